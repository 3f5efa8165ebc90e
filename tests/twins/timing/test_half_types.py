"""What half types cost, out of records whose every figure is known."""

import pandas as pd
from records import timed

from twins.evidence import half_types
from twins.timing import comparison
from twins.timing.ceilings import ceilings
from twins.timing.statistics import AGAIN

CASE = {"twin": "transformer_lm", "batch": 2}
SECONDS = {
    "MLX float32": 1e-3,
    "PyTorch float32": 2e-3,
    "MLX bfloat16": 20e-3,
    "PyTorch bfloat16": 1e-3,
    "PyTorch float32" + AGAIN: 2e-3,
}


def test_the_table_divides_by_each_frameworks_own_float32():
    made = half_types.table([timed("training step by type", CASE, SECONDS)])
    assert [tuple(row) for row in made.itertuples(index=False)] == [
        (2, "float32", "MLX", 1.0, ""),
        (2, "float32", "PyTorch", 2.0, ""),
        (2, "bfloat16", "MLX", 20.0, "float32 20.0× [12.5–32.0]"),
        (2, "bfloat16", "PyTorch", 1.0, "bfloat16 2.00× [1.25–3.20]"),
    ]
    shares = pd.DataFrame({"step": range(4), "ceiling": list("abcd"), ceilings.SHARE: [1, 2, 3, None]})
    assert list(half_types.table([timed("x", CASE, SECONDS)], shares)["ceiling"]) == list("abcd")
    assert list(half_types.table([]).columns) == list(made.columns)


def test_the_reading_says_what_slower_types_do_not_mean():
    record = timed("training step by type", CASE, SECONDS)
    assert half_types.reading([record], "CPU") == (
        "MLX: float32 20.0× as fast as bfloat16. PyTorch: bfloat16 2.00× as fast as float32. "
        "This says nothing about other hardware."
    )
    slower = timed("training step by type", CASE, SECONDS | {"PyTorch bfloat16": 9e-3})
    told = half_types.reading([slower], "CPU")
    assert told.startswith("**float32 is the faster type in both frameworks** on this CPU. MLX: ")
    same = timed("training step by type", CASE, SECONDS | {"PyTorch bfloat16": 2e-3})
    assert "PyTorch: bfloat16 as fast as float32 within the noise." in half_types.reading([same], "CPU")
    faster = timed("training step by type", CASE, SECONDS | {"MLX bfloat16": 0.5e-3})
    assert "other hardware" not in half_types.reading([faster], "CPU")
    assert half_types.reading([], "CPU") == "No half type was timed."


def test_types_are_compared_like_modes():
    found = comparison.steps([timed("training step by type", CASE, SECONDS)])
    assert [(c.label, round(c.ratio.value, 3)) for c in found] == [
        ("batch 2, float32", 2.0),
        ("batch 2, bfloat16", 0.05),
    ]
