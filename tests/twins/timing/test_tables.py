"""The tables of a page out of records whose figures are known."""

import numpy as np
import pandas as pd
import pytest
import records
from msgspec import structs
from records import step

from twins.records.record_types import Gate, Memory
from twins.timing import tables


def rows(frame: pd.DataFrame) -> list[tuple]:
    return list(frame.itertuples(index=False, name=None))


def test_step_table():
    made = tables.step_table([step(4, mlx=2e-3, torch=1e-3)], tokens=64)
    assert list(made.columns) == [
        "batch",
        "step",
        "wall ms",
        "CPU ms",
        "cores busy",
        "first call s",
        "tokens/s",
    ]
    assert rows(made) == [
        (4, "MLX eager", 2.0, 4.0, 2.0, 0.02, 128_000),
        (4, "PyTorch eager", 1.0, 2.0, 2.0, 0.01, 256_000),
        (4, "PyTorch eager again", 1.0, 2.0, 2.0, 0.01, 256_000),
    ]


def test_gate_table():
    checks = [
        {"name": "names", "value": 0.0, "limit": 0.0, "where": "all", "passed": True},
        {"name": "outputs", "value": 3.21e-3, "limit": 1e-5, "where": "(2, 3)", "passed": False},
        {"name": "loss", "value": None, "limit": 1e-5, "where": "step 3", "passed": False},
    ]
    assert rows(tables.gate_table(Gate("lm", {}, False, checks, {}))) == [
        ("names", "0", "0", "all", "passed"),
        ("outputs", "0.0032", "1e-05", "(2, 3)", "FAILED"),
        ("loss", "not finite", "1e-05", "step 3", "FAILED"),
    ]


def test_part_table():
    made = tables.part_table([records.parts((1e-6, 1e-3, 3e-3, 5e-4), (2e-6, 2e-3, 5e-3, 1e-3))])
    assert list(made.columns) == ["framework", "data", "forward", "backward", "optimizer"]
    assert list(made.framework) == ["MLX", "PyTorch"]
    known = [[1e-3, 1.0, 2.0, 0.5], [2e-3, 2.0, 3.0, 1.0]]
    assert np.allclose(made.drop(columns="framework").to_numpy(), known)


def test_memory_table():
    counted = Memory("lm", {}, "MLX eager", 100 * 2**20, 90 * 2**20, "mx.get_peak_memory")
    uncounted = records.memory(PyTorch_eager=50)
    assert rows(tables.memory_table([counted, *uncounted])) == [
        ("MLX eager", "100", 90),
        ("PyTorch eager", "50", "not counted"),
    ]
    several = structs.replace(counted, readings=[n * 2**20 for n in (90, 100, 140)])
    assert rows(tables.memory_table([several])) == [("MLX eager", "100 (90 to 140)", 90)]
    told = tables.memory_sources([counted, counted, *uncounted])
    assert told == (
        "- MLX: mx.get_peak_memory.\n"
        "- PyTorch reports no peak of its own here; compare the resident set instead."
    )
    assert tables.memory_sources([]) == "Nothing was measured."


@pytest.mark.parametrize(
    ("changes", "gpu"),
    [
        ({}, "none that both use"),
        ({"device": "Apple GPU"}, "Apple GPU"),
        ({"device": "CUDA", "gpu": "NVIDIA H100"}, "NVIDIA H100"),
        ({"gpu": "NVIDIA H100"}, "NVIDIA H100"),
    ],
)
def test_machine_table(changes, gpu):
    facts = dict(rows(tables.machine_table(structs.replace(records.MACHINE, **changes))))
    assert facts["GPU"] == gpu
    assert (facts["chip"], facts["cores"], facts["mlx"], facts["torch"]) == ("Chip", "2", "0.32.4", "2.13.0")
    assert facts["computed on"] == changes.get("device", "CPU")


def test_what_a_gate_has_not_checked_is_a_row_of_its_table():
    check = {"name": "outputs", "value": 0.0, "limit": 1e-5, "where": "(2, 3)", "passed": True}
    note = "not checked in float64: mx.fft.fft (mine.py, line 44)"
    made = tables.gate_table(Gate("mine", {}, True, [check], {}, "", [note]))
    assert list(made["verdict"]) == ["passed", "not checked"]
    assert made["where"].iloc[-1] == note


def test_memory_is_compared_by_the_frameworks_own_counts_where_both_keep_one():
    counted = [
        Memory("lm", {}, f"{name} eager", 100 * 2**20, own * 2**20, "counter", readings=[])
        for name, own in (("MLX", 40), ("PyTorch", 60))
    ]
    assert tables.counted(counted) and [tables.added(each, counted) for each in counted] == [40, 60]
    (read,) = records.memory(PyTorch_eager=50)
    assert tables.added(read, [*counted, read]) == 50 and tables.added(counted[0], [*counted, read]) == 100
