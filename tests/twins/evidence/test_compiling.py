"""When compiling pays: seconds of compiling over the seconds that a compiled step saves."""

import copy

import numpy as np
import pytest
from msgspec.structs import replace
from records import step, timed

from twins.evidence import compiling


def test_compiling_pays_after_its_seconds_over_the_seconds_saved_per_step():
    assert compiling.steps(2.0, 0.010, 1.25) == 1000  # a step saves 2 ms
    assert compiling.steps(2.0, 0.010, 1.0) == compiling.steps(2.0, 0.010, 0.9) == np.inf
    assert compiling.steps(-1.0, 0.010, 2.0) == 0  # no compiling to earn back


def test_the_table_and_the_sentence_hold_both_frameworks():
    seconds = {"MLX eager": 1.0, "PyTorch eager": 1.0, "MLX compiled": 2.0, "PyTorch compiled": 0.8}
    record = timed("training step", {"twin": "bert", "batch": 4}, seconds)
    runs = [copy.deepcopy(run) for run in record.runs]
    for run, first in zip(runs, (160.0, 110.0, 110.0), strict=True):  # eager's first call takes 10 seconds
        run["arms"]["PyTorch compiled"]["first"] = first
    record = replace(record, runs=runs)
    found = compiling.paybacks([record])
    assert [(each.label, each.framework) for each in found] == [
        ("BERT, batch 4", "MLX"),
        ("BERT, batch 4", "PyTorch"),
    ]
    table = compiling.table(found).set_index("framework")
    assert list(table["pays after, steps"]) == ["never", "500"]
    assert table.loc["PyTorch", "compiling s"] == 100 and table.loc["PyTorch", "longest s"] == 150
    assert table.loc["MLX", "95 % interval"] == "never"
    assert "Compiling MLX never pays. Compiling PyTorch pays after" in compiling.reading(found, 100)
    assert "Within the 100 steps of this page it pays in 0 of 2 cases" in compiling.reading(found, 100)
    assert "in 1 of 2 cases" in compiling.reading(found, 10_000, "steps")


def test_what_was_not_compiled_has_no_row():
    assert compiling.paybacks([step(4, 1.0, 1.0)]) == []
    assert compiling.reading([]) == "Nothing was timed both eager and compiled."
    assert len(compiling.paybacks([step(4, 1.0, 1.0, ("eager", "compiled"))])) == 2


@pytest.mark.parametrize("count", [None, 7])
def test_a_page_that_does_not_train_compares_with_no_number_of_steps(count):
    told = compiling.reading(compiling.paybacks([step(4, 1.0, 1.0, ("eager", "compiled"))]), count)
    assert ("Within the 7 steps" in told) == (count is not None)
