"""Core AI beside Core ML: both routes as records, three runtimes, and the page without the extra."""

import importlib.util
from importlib import metadata

import pandas as pd
import pytest

from mlx_coreml.backends.coreai import installed
from twins.evidence.answers import core_ai, route_grid
from twins.evidence.verdicts import export_queries
from twins.export import conversion_tables, conversions, routes
from twins.export.conversion_process import place
from twins.export.core_ai import core_ai_tables, coverage_tables, three_runtimes
from twins.figures import conversion_figures
from twins.records import store
from twins.records.export_types import (
    BESIDE,
    DIRECT,
    FROM_MLX,
    FROM_TORCH,
    TO_CORE_AI,
    Conversion,
    ThreeRuntimes,
)

gone = bool(installed.missing()) or importlib.util.find_spec("coreai_torch") is None
extra = pytest.mark.skipif(gone, reason="needs the extra coreai")
PAGE = "13_core_ai"


def tasks(*names):
    return conversions.in_group(conversions.of_pairs(names), BESIDE)


def written(*bodies):
    head = ("m", "CPU", {"mlx": "1", "torch": "2"}, PAGE, "quick", "2026-11-28T00:00:00.000000Z")
    return [store.Record(1, type(body).__name__.lower(), *head, body) for body in bodies]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("assets")


@pytest.fixture(scope="module")
def records(folder):
    work = conversions.planned([*TO_CORE_AI, DIRECT], tasks("LeNet"))
    return list(conversions.done(work, folder))


@pytest.fixture(scope="module")
def compared(records, folder):
    calls = three_runtimes.of_models(tasks("LeNet"), records, folder)
    return list(three_runtimes.measured(calls))


@extra
def test_both_routes_give_assets_that_the_interpreter_has_right(records, folder):
    assert [r.route for r in records] == [*TO_CORE_AI, DIRECT]
    for r in records:
        assert conversions.verdict(r) == "right", r.message or r.line
        assert r.error < 1e-5 and place(folder, r.route, "LeNet", "float32").exists()
    assert records[0].case["runtimes"] == ["Core AI interpreter"]
    assert list(records[1].steps) == [step.__name__ for step in routes.CORE_AI[FROM_TORCH]]
    assert records[1].case["gives"]["save_asset"].startswith("asset, ")


@extra
def test_the_tables_and_the_chart_hold_every_route(records, compared):
    table = core_ai_tables.every(records)
    assert list(table["result"]) == ["right"] * 3
    assert list(table["run by"]) == ["Core AI interpreter"] * 2 + ["Core ML reference"]
    grid = core_ai_tables.grid(records)
    assert list(grid["route"]) == [f"{name}: 1 of 1 right" for name in core_ai.NAMES.values()]
    assert core_ai_tables.both(records).iloc[0]["Core AI, KiB"] == records[0].size / 1024
    assert "size on disk, median" in set(core_ai_tables.choices(records)["needed"])
    assert len(conversion_tables.steps(records, "LeNet", "float32")) == sum(len(r.steps) for r in records)
    drawn = conversion_figures.seconds(core_ai_tables.to_core_ai(records), "float32")
    assert "fastest route for" in drawn.alt and "coreai-torch" in drawn.alt


@extra
def test_a_model_is_compared_in_three_runtimes(compared):
    (found,) = compared
    assert found.agree and found.case == {"precision": "float32", "group": three_runtimes.MODELS}
    assert set(core_ai_tables.PAIRS) <= set(found.errors)
    assert all(error < 1e-5 for error in found.errors.values())
    table = core_ai_tables.runtimes(compared)
    assert (table.iloc[0]["calls"], table.iloc[0]["all agree"]) == (1, 1)
    assert core_ai_tables.disagreements(compared).empty


@extra
def test_cases_of_the_coverage_are_compared_and_a_process_that_dies_is_a_row(tmp_path, monkeypatch):
    (case, *_) = three_runtimes.of_cases(1, ["float16"])
    dying = {"model": "gone", "precision": "float32", "group": three_runtimes.MODELS, "files": ["a", "b"]}
    dying |= {"source": "os:_exit", "arguments": {"status": 3}}
    monkeypatch.setattr(three_runtimes, "_by_files", None)
    found = list(three_runtimes.measured([{**dying, "source": "no_such_module:f"}, case]))
    assert [r.model for r in found] == ["gone", case["model"]]
    assert "No module named 'no_such_module'" in found[0].cause and not found[0].agree
    assert found[1].agree and found[1].case == {"precision": "float16", "group": "layer"}
    assert list(core_ai_tables.disagreements(found)["call"]) == ["gone"]


@extra
def test_a_matrix_product_that_the_interpreter_adds_in_half_precision_is_found():
    found = list(three_runtimes.measured(three_runtimes.of_sums([4096])))
    assert [r.agree for r in found] == [True, False]
    assert found[1].errors[core_ai_tables.PAIRS[1]] == 0.5 and found[1].errors[core_ai_tables.PAIRS[0]] == 0
    assert found[1].cause.startswith("Core AI's interpreter is alone")
    told = core_ai_tables.rounding(found)
    assert told.startswith(
        "Product of 4096 ones in fp16: off by 50% in the interpreter, by 0% in the reference"
    )


@extra
def test_the_answer_counts_routes_formats_and_runtimes(records, compared):
    told = core_ai.answer(written(*records, *compared))
    assert told.line.startswith("MLX to Core AI: 1 of 1 right, median ")
    assert "PyTorch to Core AI: 1 of 1 right" in told.line and "MLX to Core ML: 1 of 1 right" in told.line
    assert "**Beside Core ML**, from MLX: converting to Core " in told.sentences[1]
    assert "both sides unchecked" in told.sentences[2]
    assert told.sentences[3] == "**Three runtimes** agree in 1 of 1 calls."


def test_without_the_extra_each_route_is_a_row_that_says_what_to_install(monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(installed, "version", absent)
    monkeypatch.setattr(routes.importlib.util, "find_spec", lambda name: None)
    assert not core_ai_tables.is_here() and "pip install" in core_ai_tables.here()
    assert three_runtimes.of_cases(1) == []
    rows = list(conversions.done(conversions.planned(TO_CORE_AI, tasks("LeNet"))))
    assert [conversions.verdict(r) for r in rows] == ["absent", "absent"]
    table = core_ai_tables.every(rows)
    assert list(table["route"]) == ["MLX to Core AI", "PyTorch to Core AI"]
    assert table["result"].str.contains(r"is not installed here: `pip install").all()
    assert "coreai-core 1.0.0b3 and coreai-torch is not" in table["result"][1]
    assert three_runtimes.of_models(tasks("LeNet"), rows, store.ROOT) == []
    assert "is not installed here" in core_ai_tables.agreement([])
    assert core_ai_tables.grid(rows).empty
    told = core_ai.answer(written(*rows))
    assert "pip install" in told.sentences[0] and len(told.sentences) == 1


def row(route, model, right=True):
    case = {"precision": "float32", "group": BESIDE}
    return Conversion(model, route, case, {"a": 1.0}, 10, None, 1e-7, right, "line", "", "", [], right)


def test_records_of_this_page_count_for_core_ai_alone():
    rows = [row(FROM_MLX, "a"), row(FROM_TORCH, "a", right=False), row(DIRECT, "a")]
    found = written(*rows)
    assert export_queries.by_model(found) == {}
    assert [r.route for r in export_queries.by_model(found, to_core_ai=True)["a"]["float32"]] == [*TO_CORE_AI]
    ((label, value, *_, case),) = export_queries.export_failures(found)
    assert (label, value, case) == ("coreai-torch, of 1 models", 1.0, {"against": "coreai-torch"})
    assert export_queries.export_time(found) == [] and route_grid.name(DIRECT) == "MLX, one call"


def test_a_disagreement_is_a_row_with_its_errors_and_its_cause():
    errors = dict.fromkeys(core_ai_tables.PAIRS, 0.5) | {core_ai_tables.PAIRS[1]: None}
    case = {"precision": "float16", "group": "operation"}
    found = [ThreeRuntimes("mx.exp", case, errors, 0.005, "rounding")]
    table = core_ai_tables.disagreements(found)
    assert table.iloc[0]["cause"] == "rounding" and pd.isna(table.iloc[0]["Core AI to MLX"])
    assert core_ai_tables.agreement(found) == "All three runtimes agree in fp16: 0 of 1 calls."
    told = core_ai.answer(written(row(FROM_MLX, "a"), *found))
    assert told.sentences[-1] == "**Three runtimes** agree in 0 of 1 calls; otherwise: rounding."


def test_the_committed_coverage_is_counted_by_group():
    table = coverage_tables.by_group()
    assert {"layer", "operation", "model"} <= set(table["group"])
    assert (table["right in Core AI"] <= table["measured in both"]).all()
    assert (table["cases"] >= table["right"]).all()
    both = coverage_tables.in_both()
    differ = (both["verdict ai"] == "right") != (both["verdict ml"] == "right")
    assert len(coverage_tables.in_one_alone()) == differ.sum()
    assert (
        f"{(both['verdict ml'] == 'right').sum():,} cases that are right in Core ML" in coverage_tables.told()
    )
