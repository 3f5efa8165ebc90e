"""Figures and tables of single layers: titles are true of the records, whoever is faster."""

import re

import numpy as np
import pytest
from records import timed

from twins.figures import vision_figures
from twins.timing.ceilings import ceilings
from twins.timing.statistics import AGAIN

BOTH_WAYS = vision_figures.BOTH_WAYS


def layer(kind: str, seconds: tuple[float, float], kernel=0, channels=4, batch=16, work=BOTH_WAYS, flops=0):
    """A record of one layer: seconds of (MLX, PyTorch), compiled as fast as eager."""
    case = {"kind": kind, "kernel": kernel, "channels": channels, "batch": batch, "size": 8}
    mlx, torch = seconds
    variants = {"MLX eager": mlx, "PyTorch eager": torch, "MLX compiled": mlx, "PyTorch compiled": torch}
    variants |= {"PyTorch eager" + AGAIN: torch}
    return timed("layer", case | {"work": work, "flops": flops}, variants)


def convolution(kernel: int, batch: int, rates: tuple[float, float], channels: int = 4, **more):
    """A convolution of a million operations at rates in operations per second."""
    seconds = tuple(1e6 / rate for rate in rates)
    return layer("convolution", seconds, kernel, channels, batch, flops=10**6, **more)


RECORDS = [
    *(convolution(3, batch, (1e9 * batch, 2e9 * batch)) for batch in (1, 16, 64)),
    convolution(1, 16, (8e9, 4e9)),
    convolution(3, 16, (16e9, 32e9), channels=8),
    convolution(3, 16, (1e9, 1e9), work="forward"),
    layer("ReLU", (1.0, 2.0), channels=8),
    layer("ReLU", (1.0, 2.0), channels=4),
]


def words(figure) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", figure.svg)


def test_sweeps_say_the_best_share_of_each():
    by_batch = vision_figures.sweep(RECORDS, "batch", 256e9)
    assert "Convolutions reach up to 25 % in MLX and 50 % in PyTorch" in words(by_batch)
    assert by_batch.alt == (
        "Convolutions reach up to 25 % in MLX and 50 % in PyTorch, of the ceiling of 256 GFLOP/s in float32; "
        "forward and backward, kernel 3 × 3, along the batch."
    )
    assert {"1", "16", "64", "batch size", "MLX eager", "PyTorch compiled"} <= set(words(by_batch))
    by_kernel = vision_figures.sweep(RECORDS, "kernel", 256e9)
    assert "Convolutions reach up to 6.2 % in MLX and 12 % in PyTorch" in words(by_kernel)
    assert by_kernel.alt.endswith("batch 16, along the kernel.")


def test_a_share_above_the_ceiling_is_not_drawn():
    figure = vision_figures.sweep(RECORDS, "batch", 64e9)  # a quarter: PyTorch's eager 50 % would be 200 %
    assert "100 % in MLX" in figure.alt
    table = vision_figures.layer_table(RECORDS, 0.5e9)
    assert set(table["MLX %"].dropna()) == {ceilings.TOO_LOW}


@pytest.mark.parametrize(("records", "peak"), [([], 1e9), (RECORDS, 0.0), (RECORDS[-1:], 1e9)])
def test_nothing_is_drawn_of_nothing(records, peak):
    figure = vision_figures.sweep(records, "batch", peak)
    assert figure.alt == "Nothing to draw: no convolution, or no ceiling, was timed"


def test_layers_are_compared_where_all_were_timed():
    found = {c.label: c.ratio.value for c in vision_figures.layers(RECORDS)}
    known = {
        "3 × 3 convolution, 8 channels, batch 16, eager": 0.5,
        "3 × 3 convolution, 8 channels, batch 16, compiled": 0.5,
        "ReLU, 8 channels, batch 16, eager": 2.0,
        "ReLU, 8 channels, batch 16, compiled": 2.0,
    }
    assert found == pytest.approx(known)
    assert vision_figures.layer_reading(vision_figures.layers(RECORDS)) == (
        "Among the layers MLX does worst in 3 × 3 convolution, 8 channels, batch 16, eager: "
        "undecided: PyTorch 2.00× as fast [0.42–9.62]. "
        "It does best in ReLU, 8 channels, batch 16, compiled: undecided: MLX 2.00× as fast [0.42–9.62]."
    )
    assert vision_figures.layer_reading([]) == "No layer was timed."


def test_layer_table():
    made = vision_figures.layer_table(RECORDS, 256e9)
    first = made.iloc[0]
    assert first["layer"] == "3 × 3 convolution, 4 channels, batch 1"
    assert (first["work"], first["MLX ms"], first["PyTorch ms"]) == (BOTH_WAYS, 1.0, 0.5)
    assert first["as fast, this session"] == "PyTorch 2.00× as fast [2.00–2.00]"
    assert (first["MLX %"], first["PyTorch %"]) == pytest.approx((100 / 256, 200 / 256))
    assert made[made["layer"].str.startswith("ReLU")][["MLX %", "PyTorch %"]].isna().all().all()


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_name_their_classes(channels):
    images = np.random.default_rng(0).standard_normal((9, 6, 6, channels))
    figure = vision_figures.pictures(images, np.arange(9) % 3, ("cat", "dog", "frog"), "Nine")
    assert figure.alt == "Nine, of the classes cat, dog, frog, cat, dog, frog, cat, dog."
    assert words(figure).count("cat") == 3
    assert "<image" in figure.svg
