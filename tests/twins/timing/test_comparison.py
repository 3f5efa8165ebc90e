"""Winners, ties and tables out of records whose figures are known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import records
from records import over, product, step, timed

from twins.records.record_types import Work
from twins.series.show import table
from twins.timing import comparison, tables
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
        (over(2.0, 1.25), BAND, "MLX", "x: MLX 2.00× as fast [1.60–2.50]"),
        (over(0.5, 1.25), BAND, "PyTorch", "x: PyTorch 2.00× as fast [1.60–2.50]"),
        (over(1.2, 1.2), BAND, None, "x: undecided: MLX 1.20× as fast [1.00–1.44]"),
        (over(1 / 1.2, 1.2), BAND, None, "x: undecided: PyTorch 1.20× as fast [1.00–1.44]"),
        (over(1.2, 1.125), BAND, "MLX", "x: MLX 1.20× as fast [1.07–1.35]"),
        (over(1.2, 1.125), 1.1, None, "x: undecided: MLX 1.20× as fast [1.07–1.35]"),
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
        "Noise check: PyTorch timed against itself differed by up to 1.30×; smaller differences there count "
        "as ties."
    )
    assert comparison.aa([step(1, 1.0, 1.0)]) == (
        "Noise check: PyTorch timed against itself differed by up to 1.00×; differences below 1.05× count as "
        "ties."
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
        "Noise check: MLX timed against itself differed by up to 1.33× and PyTorch timed against itself "
        "differed by up to 1.00×; smaller differences there count as ties."
    )


def test_what_is_read():
    found = comparison.steps([step(1, 1.0, 2.0), step(4, 1.0, 1.0)])
    assert comparison.reading(found).startswith(
        "Batch 1, eager: MLX 2.00× as fast [1.25–3.20]. Batch 4, eager: undecided: "
    )
    assert "One session so far: " in comparison.reading(found)
    again = comparison.by_mode(step(1, 1.0, 2.0), "batch 1", step(1, 1.0, 2.2), step(1, 1.0, 2.1))
    assert comparison.reading(again).endswith(
        "Over 3 sessions: the figure of the next session is expected in the interval (95 %)."
    )
    assert comparison.reading([]) == comparison.aa([]) == "Nothing was timed."


def test_disturbances_are_told_once():
    busy = replace(records.QUIET, load_before=9.0)
    told = comparison.warnings([step(1, 1.0, 1.0), *[step(n, 1.0, 1.0, conditions=busy) for n in (2, 4)]])
    assert told == ["The machine was busy: load up to 9.0 on 2 cores (in 6 of 9 runs)."]


# --- tables ----------------------------------------------------------------------------------------


def test_comparison_table():
    made = comparison.comparison_table(
        [
            Comparison("a", over(2.0, 1.25), BAND),
            Comparison("b", over(0.5, 1.25, 1), BAND),
            Comparison("c", over(1.2, 1.2), BAND),
            Comparison("d", over(1.0, 1.04), BAND),
        ]
    )
    assert list(made.columns) == ["case", "as fast [95 % interval]", "sessions"]
    assert rows(made) == [
        ("a", "MLX 2.00× as fast [1.60–2.50]", 3),
        ("b", "PyTorch 2.00× as fast [1.60–2.50]", 1),
        ("c", "undecided: MLX 1.20× as fast [1.00–1.44]", 3),
        ("d", "tie", 3),
    ]


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


def test_a_page_without_timings_says_so_in_place_of_its_tables():
    """What a notebook asks for when the gate has failed."""
    for made in (
        tables.step_table([], 64),
        comparison.comparison_table([]),
        tables.part_table([]),
        tables.memory_table([]),
        ceilings.utilisation([], [], {"float32": 1e12}),
        ceilings.probe_table([]),
    ):
        assert len(made) == 0
        assert table(made, "Timings")._repr_mimebundle_()["text/markdown"] == "Timings: none."
