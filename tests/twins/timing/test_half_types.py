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
        (2, "float32", "MLX", 1.0, "1"),
        (2, "float32", "PyTorch", 2.0, "1"),
        (2, "bfloat16", "MLX", 20.0, "20.000 [12.485, 32.038]"),
        (2, "bfloat16", "PyTorch", 1.0, "0.500 [0.312, 0.801]"),
    ]
    shares = pd.DataFrame({"step": range(4), "ceiling": list("abcd"), ceilings.SHARE: [1, 2, 3, None]})
    assert list(half_types.table([timed("x", CASE, SECONDS)], shares)["ceiling"]) == list("abcd")
    assert list(half_types.table([]).columns) == list(made.columns)


def test_the_reading_says_what_slower_types_do_not_mean():
    record = timed("training step by type", CASE, SECONDS)
    assert half_types.reading([record], "CPU") == (
        "MLX's bfloat16 step takes 20 times its float32 step. "
        "PyTorch's bfloat16 step takes 0.5 times its float32 step. "
        "A half type that is slower than float32 gains nothing on this CPU: "
        "**such rows say nothing about another device**."
    )
    faster = SECONDS | {"MLX bfloat16": 0.5e-3}
    assert "gains nothing" not in half_types.reading([timed("training step by type", CASE, faster)], "CPU")
    assert half_types.reading([], "CPU") == "No half type was timed."


def test_types_are_compared_like_modes():
    found = comparison.steps([timed("training step by type", CASE, SECONDS)])
    assert [(c.label, round(c.ratio.value, 3)) for c in found] == [
        ("batch 2, float32", 2.0),
        ("batch 2, bfloat16", 0.05),
    ]
