"""Figures and tables of published figures: titles say what the numbers are, and empty inputs say why."""

import pytest
import records
from test_roofline import LOAD, ROOF, chip, row, workload

from twins.evidence import roofline
from twins.evidence.published import (
    audit,
    published_benchmarks,
    published_comparison,
    published_counts,
    published_tables,
)
from twins.figures import published_figures, roofline_figures
from twins.figures.published_figures import by_generation, by_year, operations
from twins.records.record_types import Breadth, Finding, Timing
from twins.records.store import Found, Record
from twins.timing.ceilings import ceilings

ROWS = published_counts.select(published_benchmarks.benchmarks(), published_benchmarks.audit()).counted
EMPTY = "Nothing to draw: "


def timing_record(timing: Timing, notebook="02_transformer_lm", machine="chip-8gb") -> Record:
    return Record(1, "timing", machine, "CPU", {}, notebook, "quick", "r", timing)


@pytest.mark.parametrize(
    "figure",
    [
        lambda: by_generation([]),
        lambda: by_year([]),
        lambda: published_figures.by_chip([row(chip="not stated")]),
        lambda: operations([], ["op Linear"]),
        lambda: operations(ROWS, []),
        lambda: published_figures.beside([], "chip"),
        lambda: published_figures.beside([published_comparison.Pair("LM", [], [])], "chip"),
        lambda: published_figures.breadth([]),
        lambda: roofline_figures.roofs([], [ROOF], None, []),
        lambda: roofline_figures.roofs([LOAD], [], ROOF, []),
        lambda: roofline_figures.shares(roofline.published_shares([], [], [])),
    ],
)
def test_empty_inputs_say_why(figure):
    assert figure().alt.startswith(EMPTY)


def test_empty_tables_and_sentences():
    assert published_tables.sources([], []).empty and published_tables.live([], []).empty
    assert published_tables.findings([], []).empty and published_tables.breadth([]).empty
    assert published_tables.reading([], []) == "No finding is recorded."
    assert published_counts.totals([]) == "No published ratio is recorded."
    assert published_tables.wider([]) == "Nothing was looked up."
    assert published_comparison.table([]).empty and published_comparison.reading([]).startswith(
        "Nothing was measured"
    )
    assert (
        roofline.reached(roofline.published_shares([], [], []), "a time")
        == "There is no theoretical minimum for a time."
    )
    assert roofline.sides([], [ROOF]) == "No step was counted."


# --- strips ----------------------------------------------------------------------------------------------


def test_groups_with_both_sides_are_counted():
    both = [row(mlx_low=8.0, mlx_high=8.0), row()]  # 0.5 and 2
    one = [row(chip="M3", task="op"), row(chip="M3", task="op")]
    assert by_generation([*both, *one]).alt.startswith(
        "Published ratios disagree: both frameworks win in 1 of 2 groups"
    )
    assert by_year(one).alt.startswith("Published ratios agree on who is faster in all 1 groups")


def test_ranges_are_drawn_and_what_has_no_ratio_is_not():
    assert by_generation([row(unit="GiB")]).alt.startswith(EMPTY)
    figure = by_generation([row(unit="GiB"), row(chip="M1 Pro", mlx_high=8.0)])
    assert "training, M1: the same over 1" in figure.alt  # 0.5 to 2, its middle
    assert "in 0, and 1 are within" in figure.alt


def test_all_published_figures_are_drawn():
    counts = published_counts.totals(ROWS)
    assert counts in by_generation(ROWS).alt
    assert counts in by_year(ROWS).alt


def test_a_chip_is_named_without_what_was_written_after_it():
    figure = published_figures.by_chip(
        [row(chip="M3 Max (from a comment)"), row(chip="M3 Max"), row(chip="M3")]
    )
    assert (
        "training, M3 Max: MLX 2.00× as fast over 2" in figure.alt
        and "M3: MLX 2.00× as fast over 1" in figure.alt
    )


def test_the_operation_that_moved_most_is_named():
    def op(name, date, mlx):
        return row(task="op", workload=name, date_from=date, mlx_low=mlx, mlx_high=mlx)

    rows = [
        op("op A", "2024-01", 4.0),
        op("op A", "2026-01", 2.0),
        op("op B", "2024", 1.0),
        op("op B", "2026", 16.0),
    ]
    assert operations(rows, ["op A", "op B"]).alt.startswith(
        "B moved most: from MLX 4.00× as fast to PyTorch 4.00× as fast"
    )


def test_an_unknown_operation_is_refused_with_what_there_is():
    with pytest.raises(
        ValueError, match=r"operations: no published row is of 'op Nothing'; there are .*op Linear"
    ):
        operations(ROWS, ["op Nothing"])


# --- beside this machine -----------------------------------------------------------------------------------


def test_measured_ratios_stand_beside_published_ones_of_their_kind():
    step = records.step(4, mlx=1.0, torch=2.0)
    other = timing_record(records.step(4, mlx=1.0, torch=9.0), machine="other")
    published_row = row(topic="language model training", chip="M1")
    pairs = published_comparison.pairs(
        [published_row, row(workload="something else")], Found([timing_record(step), other], []), "chip-8gb"
    )
    first = pairs[0]
    assert (first.published, [round(c.ratio.value, 9) for c in first.measured]) == ([published_row], [2.0])
    assert all(not pair.published and not pair.measured for pair in pairs[1:])
    assert published_figures.beside(pairs, "chip").alt.startswith(
        "Same direction as published figures in 1 of 1"
    )
    assert published_comparison.reading(pairs).startswith(
        "Within the range that others published in 1 of 1 kinds of work"
    )


def test_a_machine_on_the_other_side_is_told():
    step = timing_record(records.step(4, mlx=2.0, torch=1.0))
    pairs = published_comparison.pairs([row(topic="language model training")], Found([step], []), "chip-8gb")
    assert published_figures.beside(pairs, "chip").alt.startswith(
        "Same direction as published figures in 0 of 1"
    )
    assert published_comparison.reading(pairs).endswith("; outside: Training a transformer LM.")
    assert published_comparison.table(pairs)["here, as fast"].iloc[0] == "PyTorch 2.00× as fast"


def test_changing_sides_needs_both_variants():
    """Without a GPU the switching record times other variants, and stands beside nothing."""
    seconds = {"PyTorch twice": 1.0, "MLX twice": 2.0, "PyTorch twice again": 1.0}
    without = timing_record(records.timed("switching", {"n": 8}, seconds), "05_unified_memory")
    variants = {"PyTorch CPU then GPU, copied": 3.0, "MLX CPU then GPU, shared": 1.0, "PyTorch twice": 1.0}
    with_gpu = timing_record(
        records.timed("switching", {"n": 8}, variants | {"PyTorch twice again": 1.0}), "05_unified_memory"
    )
    assert published_comparison.pairs([], Found([without], []), "chip-8gb")[-1].measured == []
    (measured,) = published_comparison.pairs([], Found([with_gpu], []), "chip-8gb")[-1].measured
    assert measured.ratio.value == pytest.approx(3.0)


def test_without_any_measurement_the_title_says_so():
    pairs = published_comparison.pairs(ROWS, Found([], []), "chip-8gb")
    assert [len(pair.published) for pair in pairs] == [3, 3, 5, 0, 1, 0, 5, 0]
    assert published_figures.beside(pairs, "chip").alt.startswith(
        "Nothing that others published was measured"
    )


# --- the audit ------------------------------------------------------------------------------------------


def test_what_was_not_reproduced_is_not_called_reproduced():
    failed = Finding("missing optimizer step", "change", 1.0, 1.0, False)
    audited = published_benchmarks.audit()
    assert list(published_tables.live([failed], audited)["here"]) == ["NOT reproduced"]
    assert "reproduced here" not in set(published_tables.findings(audited, [failed])["known by"])
    assert "Reproduced here: 0 of 1 findings that were tried" in published_tables.reading(audited, [failed])
    worked = audit.missing_step()
    assert "reproduced here" in set(published_tables.findings(audited, [worked])["known by"])
    assert list(published_tables.live([worked], audited)["found in"]) == ["lucasste"]


def test_sources_count_figures_ratios_and_findings():
    everything = published_benchmarks.benchmarks()
    table = published_tables.sources(everything, published_benchmarks.audit()).set_index("source")
    assert table["figures"].sum() == len(everything)
    assert table["counted"].sum() == len(ROWS)
    assert table.loc["tristanbilot_detail", "findings"] == table.loc["tristanbilot_avg", "findings"] > 0
    assert table.loc["mlx_322", "findings"] == 0


# --- rooflines and breadth ------------------------------------------------------------------------------


def test_the_roofline_says_what_binds():
    memory = roofline.Load("b", {"batch": 1}, flops=10, compulsory=10**3, unfused=10**4)
    both = roofline_figures.roofs([LOAD, memory], [ROOF], ROOF, [records.step(4, 1.0, 1.0)])
    assert both.alt.startswith("Arithmetic binds 1 of 2 steps on every chip drawn, memory 1.")
    assert "chip 10" in both.alt


def test_the_shares_figure_gives_the_range():
    table = roofline.published_shares([workload()], [row()], [chip()])
    assert roofline_figures.shares(table).alt.startswith(
        "Published training reached 7 to 14 % of its chip's best"
    )
    assert roofline.reached(table, "a time").startswith("A time took 7.14–14.3× the theoretical minimum")


def test_a_share_above_the_bound_is_explained_and_not_printed():
    table = roofline.here_table([LOAD], [records.step(4, mlx=0.001, torch=0.004)], ROOF)
    assert list(table[roofline.SHARE]) == [ceilings.TOO_LOW, pytest.approx(50)]
    assert "or data lay in a cache" in ceilings.over(table, share=roofline.SHARE)
    assert roofline.reached(table, "a step").startswith("A step took 2.00× the theoretical minimum")


def test_breadth_figure_and_table_agree():
    found = [Breadth("MLX", "layers", 10, ["a", "b"]), Breadth("PyTorch", "layers", 5, [])]
    assert published_figures.breadth(found).alt.startswith(
        "PyTorch has the larger share of the other's list in 1 of 1"
    )
    assert list(published_tables.breadth(found)["has"]) == ["8 of 10 (80 %)", "5 of 5 (100 %)"]
    assert list(published_tables.breadth(found)["lacks"]) == ["a, b", "nothing"]
    many = Breadth("MLX", "layers", 30, [f"x{i}" for i in range(20)])
    assert published_tables.breadth([many])["lacks"].iloc[0].endswith("and 12 more")
