"""What the page on fine-tuning says of its records: tables, sentences and the answer."""

from dataclasses import asdict

import pytest

from twins.evidence.answers import finetuning as answers
from twins.finetuning import tuning_tables, what_fits
from twins.machine.conditions import Conditions
from twins.records.record_types import Fit, Footprint, Memory, Timing
from twins.records.store import Record
from twins.timing.statistics import AGAIN, Run, Samples

QUIET = Conditions(2, 0.5, 0.1, 0, 0.3, 1.0, 0, "mains")
CASE = {"twin": "lora fine-tuning", "method": "lora", "dtype": "float32", "checkpointed": False}
CASE |= {"model": "llama-1", "batch": 4, "length": 64}
BASE = {"twin": "qlora fine-tuning", "method": "qlora", "base": "equal 4-bit"}


def timing(mlx: float, torch: float, **more) -> Timing:
    """One measurement of five quiet processes."""
    seconds = {"MLX eager": mlx, "PyTorch eager": torch}
    seconds |= {f"{name}{AGAIN}": value for name, value in seconds.items()}
    variants = {name: Samples(2 * s, [s] * 6, [s] * 6) for name, s in seconds.items()}
    runs = [asdict(Run(variants, QUIET, 2)) for _ in range(5)]
    return Timing("fine-tuning step", CASE | more, runs)


def fit(held_out: float, **more) -> Fit:
    after = {"base": 6.0, "MLX": held_out, "PyTorch": held_out + 0.1, "floor": held_out}
    return Fit("twin", CASE | {"steps": 20} | more, "d", "0", None, {}, after)


FITS = [
    Footprint(
        shape.name, {"heading": heading, "method": "full"}, framework, size, None, what_fits.NOT_MEASURED
    )
    for heading, size in (("full, float32", 10**9), ("QLoRA, 4 bits", 10**8))
    for shape in what_fits.SHAPES[:2]
    for framework in ("MLX", "PyTorch")
]


def records(*bodies) -> list[Record]:
    where = {"machine": "m", "notebook": "10_finetuning", "run": "2026-01-01T00:00:00.000000Z"}
    where |= {"schema": 1, "device": "CPU", "profile": "quick", "versions": {}, "kind": "k"}
    return [Record(**where, body=body) for body in bodies]


def test_every_method_has_a_row_and_what_is_refused_says_why():
    others = [timing(0.2, 0.1, method="full"), timing(0.1, 0.3, **BASE)]
    fits = [fit(3.0), fit(3.5, **BASE)]
    refusals = {"own 4-bit": "PyTorch does not train it here"}
    table = tuning_tables.method_table([timing(0.1, 0.2)], others, fits, refusals, (4, 64))
    assert table["trained"].tolist() == ["LoRA", "full", "QLoRA, equal 4-bit", "QLoRA, own 4-bit"]
    assert table["MLX ms"].tolist() == ["100.0", "200.0", "100.0", ""]
    assert table["as fast"][0].startswith("MLX 2.00× as fast")
    assert table["as fast"][3] == refusals["own 4-bit"]
    assert table["held-out loss"].tolist() == [
        "MLX 3.000, PyTorch 3.100",
        "not trained",
        "MLX 3.500, PyTorch 3.600",
        "",
    ]
    assert "NF4" in table["PyTorch holds"][3] and "torchao" in table["PyTorch holds"][2]


def test_lora_is_compared_with_training_every_weight():
    told = tuning_tables.saved([timing(0.1, 0.2)], [timing(0.2, 0.25, method="full")], (4, 64))
    assert told.startswith("A step of LoRA takes 50 % in MLX and 80 % in PyTorch")
    assert tuning_tables.saved([], [], (4, 64)) == "Nothing was timed."


def test_calculated_peaks_beside_measured_ones():
    case = {"method": "lora", "dtype": "float32", "checkpointed": True, "batch": 2, "length": 8}
    found = [Footprint("2 blocks of 64", case, "MLX", 110 * 2**20, 100 * 2**20, "read"), *FITS]
    table = tuning_tables.footprint_table(found)
    assert table.iloc[0].tolist() == [
        *("MLX", "2 blocks of 64", "LoRA, float32, checkpointed", "2 × 8"),
        *(100, 110, "+10 %"),
    ]
    assert len(table) == 1
    assert tuning_tables.furthest(found) == "MLX: 1 point, at most 10 % apart, median 10 %."
    assert tuning_tables.furthest(FITS) == "Nothing was measured."


def test_the_answer():
    memory = Memory("twin", CASE, "MLX eager", 2**20 * 50, None, "s", readings=[2**20 * 50])
    own = records(timing(0.1, 0.2), timing(0.1, 0.3, **BASE), fit(3.5, **BASE), memory, *FITS)
    told = answers.answer(own)
    assert told.line == "LoRA: MLX 2.00× as fast"
    assert [case.label for case in told.cases] == ["LoRA, batch 4, 64 tokens"]
    assert told.cases[0].amount == 256
    assert told.sentences[1] == (
        "**QLoRA:** equal 4-bit: MLX 3.00× as fast (held-out loss MLX 3.500, PyTorch 3.600)."
    )
    assert told.sentences[2] == "**Memory added** (resident set): LoRA 50 MB in MLX."
    assert "full, float32: SmolLM2 360M" in told.sentences[3] and "16 GB" in told.sentences[3]


@pytest.mark.parametrize("more", [{"method": "full"}, {"checkpointed": True}])
def test_without_a_plain_step_of_lora_there_is_no_answer(more):
    assert answers.answer(records(timing(0.1, 0.2, **more))) is None
