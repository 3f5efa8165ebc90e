"""Shares with intervals against known values, and what is said of them."""

import pytest
from msgspec import structs

from twins.evidence import accuracy
from twins.records.record_types import Accuracy


def scored(mlx: int, torch: int, majority: int = 34, total: int = 100) -> Accuracy:
    right = {"MLX": mlx, "PyTorch": torch, "floor": torch}
    return Accuracy("bert", {}, "passages", "digest", right, majority, total)


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [  # Newcombe 1998 (https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E)
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_intervals_are_the_published_ones(right, total, low, high):
    assert accuracy.interval(right, total) == pytest.approx((low, high), abs=5e-5)
    mirrored = accuracy.interval(total - right, total)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=5e-5)


@pytest.mark.parametrize(("right", "total"), [(1, 0), (-1, 5), (6, 5)])
def test_no_share_is_refused(right, total):
    with pytest.raises(ValueError, match=f"{right} of {total} is no share"):
        accuracy.interval(right, total)


def test_the_table_holds_both_against_the_baseline():
    table = accuracy.table(scored(60, 20)).set_index("framework")
    assert list(table.index) == ["MLX", "PyTorch"]
    assert table.loc["MLX", "accuracy %"] == 60 and table.loc["MLX", "right"] == "60 of 100"
    assert list(table["guessing %"]) == [34, 34]
    assert list(table["verdict"]) == ["better than guessing", "worse than guessing"]
    assert set(accuracy.table(scored(40, 30))["verdict"]) == {"no better than guessing"}


@pytest.mark.parametrize(
    ("right", "told"),
    [
        ((60, 61), "better than guessing (34.0 %)."),
        ((60, 40), "MLX better than guessing, PyTorch no better than guessing (34.0 %)."),
        ((33, 34), "no better than guessing (34.0 %); neither has learnt the task in 120 steps."),
    ],
)
def test_the_reading_is_one_sentence(right, told):
    found = accuracy.reading(structs.replace(scored(*right), case={"steps": 120}))
    heads = f"MLX {right[0]}.0 % and PyTorch {right[1]}.0 % of 100 held-out examples are right: "
    assert found == heads + told
