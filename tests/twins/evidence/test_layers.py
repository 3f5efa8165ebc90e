"""Single layers: one direction for every ratio."""

import pytest
from records import timed

from twins.evidence import layers
from twins.timing import comparison
from twins.timing.statistics import AGAIN

CASE = {"kind": "convolution", "channels": 64, "size": 8, "batch": 16, "kernel": 3, "work": "forward"}


def layer(mlx: float, torch: float, **more):
    seconds = {"MLX eager": mlx, "PyTorch eager": torch, "PyTorch eager" + AGAIN: torch}
    return timed("layer", CASE | {"flops": 10**9} | more, seconds)


def test_the_table_names_the_faster_framework():
    made = layers.table([layer(3e-3, 1e-3), layer(1e-3, 2e-3, kernel=0, kind="ReLU", flops=0)], 2e12)
    assert list(made["layer"]) == ["3 × 3 convolution, 64 channels, batch 16", "ReLU, 64 channels, batch 16"]
    told = list(made["as fast [95 % interval]"])
    assert told == ["PyTorch 3.00× as fast [3.00–3.00]", "MLX 2.00× as fast [2.00–2.00]"]
    assert made["PyTorch % of ceiling"][0] == pytest.approx(50) and made["PyTorch % of ceiling"].isna()[1]
    assert layers.table([], 1.0).empty


def test_the_reading_names_the_worst_and_the_best_layer():
    found = [
        comparison.headline(each, layers.label(each.case))
        for each in (layer(90e-3, 1e-3), layer(1e-3, 20e-3, kernel=1))
    ]
    told = layers.reading(found)
    assert told.startswith("Among single layers MLX does worst in 3 × 3 convolution, 64 channels, batch 16 (")
    assert "PyTorch 90.0× as fast" in told and "best in 1 × 1 convolution" in told
    assert layers.reading([]) == "No layer was timed."
