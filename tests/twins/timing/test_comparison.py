"""Winners, ties and tables out of records whose figures are known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import records
from msgspec import structs
from records import over, product, step, timed

from twins.records.record_types import Gate, Memory, Work
from twins.series.show import table
from twins.timing import comparison
from twins.timing.ceilings import ceilings
from twins.timing.comparison import Comparison
from twins.timing.statistics import AGAIN

BAND = 1.05


def rows(frame: pd.DataFrame) -> list[tuple]:
    return list(frame.itertuples(index=False, name=None))


# --- winners and ties ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sessions", "band", "winner", "sentence"),
    [
        (over(2.0, 1.25), BAND, "MLX", "x: MLX is 2.00× faster [1.60, 2.50]"),
        (over(0.5, 1.25), BAND, "PyTorch", "x: PyTorch is 2.00× faster [1.60, 2.50]"),
        (over(1.2, 1.2), BAND, None, "x: undecided, 1.20 [1.00, 1.44]"),
        (over(1 / 1.2, 1.2), BAND, None, "x: undecided, 0.83 [0.69, 1.00]"),
        (over(1.2, 1.125), BAND, "MLX", "x: MLX is 1.20× faster [1.07, 1.35]"),
        (over(1.2, 1.125), 1.1, None, "x: undecided, 1.20 [1.07, 1.35]"),
        (over(1.01, 1.02), BAND, None, "x: a tie"),
    ],
)
def test_the_sentence_is_symmetric(sessions, band, winner, sentence):
    found = Comparison("x", sessions, band)
    assert found.winner == winner
    assert str(found) == sentence


def test_ratios_are_torch_over_mlx():
    (found,) = comparison.steps([step(4, mlx=1e-3, torch=2e-3)])
    assert (found.label, found.ratio.value, found.band) == ("batch 4, eager", pytest.approx(2.0), BAND)
    assert found.winner == "MLX"
    (other,) = comparison.steps([step(4, mlx=4e-3, torch=2e-3)])
    assert other.winner == "PyTorch"


def test_every_mode_is_compared_with_itself_and_eager_steps_are_the_headline():
    record = timed(
        "training step",
        {"batch": 2},
        {
            "MLX eager": 4e-3,
            "PyTorch eager": 2e-3,
            "MLX compiled": 1e-3,
            "PyTorch compiled": 3e-3,
            "PyTorch eager" + AGAIN: 2e-3,
        },
    )
    found = comparison.by_mode(record, "lm")
    told = [(c.label, c.ratio.value) for c in found]
    assert told == [("lm, eager", pytest.approx(0.5)), ("lm, compiled", pytest.approx(3.0))]
    (headline,) = comparison.headlines([record])
    assert (headline.label, headline.ratio.value) == ("batch 2, eager", pytest.approx(0.5))


def test_a_mode_of_one_framework_alone_is_not_compared():
    seconds = {"MLX eager": 1e-3, "MLX compiled": 1e-3, "PyTorch eager": 1e-3, "PyTorch eager" + AGAIN: 1e-3}
    assert [c.label for c in comparison.by_mode(timed("training step", {"batch": 1}, seconds), "x")] == [
        "x, eager"
    ]


def test_the_error_of_the_harness_makes_ties():
    assert comparison.steps([step(4, mlx=1.0, torch=1.8)])[0].winner == "MLX"
    (noisy,) = comparison.steps([step(4, mlx=1.0, torch=1.8, again=1.3)])
    assert noisy.band == pytest.approx(1.3)
    assert noisy.winner is None
    assert comparison.aa([step(1, 1.0, 1.0), step(4, mlx=1.0, torch=1.2, again=1.3)]) == (
        "A/A: PyTorch timed against itself gives 1.300 [1.300, 1.300] over 2 measurements, where it is "
        "furthest from 1; no difference below 1.30× is published there."
    )


def test_the_error_of_either_framework_makes_ties():
    seconds = {
        "MLX eager": 1.0,
        "PyTorch eager": 1.2,
        "PyTorch eager" + AGAIN: 1.2,
        "MLX eager" + AGAIN: 0.75,
    }
    record = timed("training step", {"batch": 4}, seconds)
    (found,) = comparison.steps([record])
    assert (found.band, found.winner) == (pytest.approx(4 / 3), None)
    assert comparison.aa([record]) == (
        "A/A: MLX timed against itself gives 0.750 [0.750, 0.750] over 1 measurements and PyTorch timed "
        "against itself gives 1.000 [1.000, 1.000] over 1 measurements, where it is furthest from 1; no "
        "difference below 1.33× is published there."
    )


def test_what_is_read():
    found = comparison.steps([step(1, 1.0, 2.0), step(4, 1.0, 1.0)])
    assert comparison.reading(found).startswith(
        "batch 1, eager: MLX is 2.00× faster [1.25, 3.20]. batch 4, eager: undecided, 1.00 [0.62, 1.60]. "
        "Within one session, provisional: "
    )
    again = comparison.by_mode(step(1, 1.0, 2.0), "batch 1", step(1, 1.0, 2.2), step(1, 1.0, 2.1))
    assert comparison.reading(again).endswith(
        "Over 3 sessions: the intervals are those in which the next session's figure lies."
    )
    assert comparison.reading([]) == comparison.aa([]) == "Nothing was timed."


def test_disturbances_are_told_once():
    busy = replace(records.QUIET, load_before=9.0)
    told = comparison.warnings([step(1, 1.0, 1.0), *[step(n, 1.0, 1.0, conditions=busy) for n in (2, 4)]])
    assert told == ["The machine was busy: load up to 9.0 on 2 cores (in 6 of 9 runs)."]


# --- tables ----------------------------------------------------------------------------------------


def test_step_table():
    made = comparison.step_table([step(4, mlx=2e-3, torch=1e-3)], tokens=64)
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


def test_comparison_table():
    made = comparison.comparison_table(
        [
            Comparison("a", over(2.0, 1.25), BAND),
            Comparison("b", over(0.5, 1.25, 1), BAND),
            Comparison("c", over(1.0, 1.25), BAND),
            Comparison("d", over(1.0, 1.04), BAND),
        ]
    )
    assert rows(made) == [
        ("a", 2.0, "1.600 to 2.500", 3, "MLX faster"),
        ("b", 0.5, "0.400 to 0.625", 1, "PyTorch faster"),
        ("c", 1.0, "0.800 to 1.250", 3, "undecided"),
        ("d", 1.0, "0.962 to 1.040", 3, "tie"),
    ]


def test_gate_table():
    checks = [
        {"name": "names", "value": 0.0, "limit": 0.0, "where": "all", "passed": True},
        {"name": "outputs", "value": 3.21e-3, "limit": 1e-5, "where": "(2, 3)", "passed": False},
        {"name": "loss", "value": None, "limit": 1e-5, "where": "step 3", "passed": False},
    ]
    assert rows(comparison.gate_table(Gate("lm", {}, False, checks, {}))) == [
        ("names", "0", "0", "all", "passed"),
        ("outputs", "0.0032", "1e-05", "(2, 3)", "FAILED"),
        ("loss", "not finite", "1e-05", "step 3", "FAILED"),
    ]


def test_part_table():
    made = comparison.part_table([records.parts((1e-6, 1e-3, 3e-3, 5e-4), (2e-6, 2e-3, 5e-3, 1e-3))])
    assert list(made.columns) == ["framework", "data", "forward", "backward", "optimizer"]
    assert list(made.framework) == ["MLX", "PyTorch"]
    known = [[1e-3, 1.0, 2.0, 0.5], [2e-3, 2.0, 3.0, 1.0]]
    assert np.allclose(made.drop(columns="framework").to_numpy(), known)


def test_memory_table():
    counted = Memory("lm", {}, "MLX eager", 100 * 2**20, 90 * 2**20, "mx.get_peak_memory")
    uncounted = records.memory(PyTorch_eager=50)
    assert rows(comparison.memory_table([counted, *uncounted])) == [
        ("MLX eager", "100", 90),
        ("PyTorch eager", "50", "not counted"),
    ]
    several = structs.replace(counted, readings=[n * 2**20 for n in (90, 100, 140)])
    assert rows(comparison.memory_table([several])) == [("MLX eager", "100 (90 to 140)", 90)]
    told = comparison.memory_sources([counted, counted, *uncounted])
    assert told == "- MLX: mx.get_peak_memory.\n- PyTorch: nothing."
    assert comparison.memory_sources([]) == "Nothing was measured."


def test_the_ceiling_is_the_best_of_either_framework():
    probes = [
        product(100, "float32", mlx=2e-6, torch=4e-6),  # 2e6 operations: 1e12 and 5e11 a second
        product(200, "float32", mlx=32e-6, torch=8e-6),  # 16e6 operations: 5e11 and 2e12
        product(200, "bfloat16", mlx=1e-6, torch=1e-6),
        timed("stream", {"numbers": 10**6}, {"MLX, copy": 1e-9, "PyTorch, copy": 1e-9}),
    ]
    assert ceilings.ceiling(probes) == pytest.approx(2e12)
    assert ceilings.ceiling(probes, "bfloat16") == pytest.approx(1.6e13)
    assert ceilings.ceiling(probes, "float16") == ceilings.ceiling([]) == 0.0


def test_utilisation():
    work = Work("transformer_lm", {"batch": 4}, 10**9)
    made = ceilings.utilisation([step(4, mlx=2e-3, torch=1e-3)], [work], {"float32": 4e12})
    assert [row[:2] for row in rows(made)] == [(4, "MLX eager"), (4, "PyTorch eager")]  # no A/A variant
    assert np.allclose(made[["GFLOP/s", ceilings.SHARE]], [[500, 12.5], [1000, 25]])


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
    facts = dict(rows(comparison.machine_table(structs.replace(records.MACHINE, **changes))))
    assert facts["GPU"] == gpu
    assert (facts["chip"], facts["cores"], facts["mlx"], facts["torch"]) == ("Chip", "2", "0.32.4", "2.13.0")
    assert facts["computed on"] == changes.get("device", "CPU")


def test_a_page_without_timings_still_has_tables():
    """What a notebook asks for when the gate has failed."""
    for made in (
        comparison.step_table([], 64),
        comparison.comparison_table([]),
        comparison.part_table([]),
        comparison.memory_table([]),
        ceilings.utilisation([], [], {"float32": 1e12}),
        ceilings.probe_table([]),
    ):
        assert len(made) == 0
        assert "<table" in table(made, "Nothing")._repr_mimebundle_()["text/html"]


def test_what_a_gate_has_not_checked_is_a_row_of_its_table():
    check = {"name": "outputs", "value": 0.0, "limit": 1e-5, "where": "(2, 3)", "passed": True}
    note = "not checked in float64: mx.fft.fft (mine.py, line 44)"
    table = comparison.gate_table(Gate("mine", {}, True, [check], {}, "", [note]))
    assert list(table["verdict"]) == ["passed", "not checked"]
    assert table["where"].iloc[-1] == note
