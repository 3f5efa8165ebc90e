"""The figure of what models need: its marks, its title from the records, and that it says nothing of none."""

import pytest

from twins.figures import finetuning_figures
from twins.finetuning import what_fits
from twins.records.record_types import Footprint

GB = 2**30


def found(*sizes: tuple[str, str, str, float]) -> list[Footprint]:
    return [
        Footprint(shape, {"heading": heading}, framework, int(size * GB), None, what_fits.NOT_MEASURED)
        for shape, heading, framework, size in sizes
    ]


FULL, FEW = finetuning_figures.SHOWN
SIZES = [
    ("one", FULL, "MLX", 10),
    ("one", FULL, "PyTorch", 8),
    ("one", FEW, "MLX", 1),
    ("one", FEW, "PyTorch", 4),
]


def test_the_title_says_what_qlora_needs_of_the_rest():
    alt = finetuning_figures.needs(found(*SIZES)).alt
    assert alt.startswith("QLoRA needs 10–50 % of the memory that training every weight needs.")
    assert "one: full, float32: MLX 10 GB, PyTorch 8 GB; QLoRA, 4 bits: MLX 1 GB, PyTorch 4 GB." in alt


@pytest.mark.parametrize("records", [[], found(("one", "LoRA, bfloat16", "MLX", 1))])
def test_without_both_methods_there_is_a_note(records):
    assert "no step was calculated" in finetuning_figures.needs(records).alt
