"""Imports point one way, and the house's limits hold: read from the sources, nothing is run."""

import ast
from pathlib import Path

import pytest

from twins.series import source_digest

KNOWN = source_digest.modules()
ORACLE, LOWERING = "coreml_runtime", "mlx_coreml.backends.mil.lowering"


def used(name: str) -> set[str]:
    """Modules of twins that a module imports itself."""
    path = KNOWN[name]
    return {
        found for found in source_digest.imported(path.read_text()) if found in KNOWN and found != "twins"
    }


def outside(name: str) -> set[str]:
    """Top-level packages a module imports."""
    return {found.partition(".")[0] for found in source_digest.imported(KNOWN[name].read_text())}


@pytest.mark.parametrize("name", [n for n in KNOWN if n.startswith("twins.models.")])
def test_models_import_only_the_frameworks(name):
    assert used(name) == set()
    assert outside(name) <= {"mlx", "torch", "numpy", "dataclasses", "math"}


@pytest.mark.parametrize(
    "name",
    [
        "twins.figures.training_figures",
        "twins.figures.vision_figures",
        "twins.timing.comparison",
        "twins.evidence.accuracy",
        "twins.evidence.half_types",
        "twins.evidence.summary",
        "twins.evidence.claims",
        "twins.evidence.decisions",
        "twins.evidence.queries",
        "twins.evidence.published.published_benchmarks",
        "twins.evidence.published.published_tables",
        "twins.figures.published_figures",
        "twins.figures.roofline_figures",
        "twins.evidence.published.published_comparison",
        "twins.evidence.roofline",
        "twins.series.show",
        "twins.records.store",
    ],
)
def test_what_reads_records_loads_no_framework(name):
    reached = {name} | source_digest.reached(KNOWN[name].read_text())
    assert {n for n in reached if outside(n) & {"mlx", "torch"}} == set()


def test_nothing_below_imports_the_runner_or_the_notebooks():
    above = {
        "twins.series.runner",
        "twins.series.notebook_files",
        "twins.series.site",
        "twins.timing.peers.bench",
        "twins.series.publish",
    }
    above |= {"twins.series.sharing", "twins.export.bench.conversion"}
    found = {name: used(name) & above for name in KNOWN if name not in above}
    assert {name: hit for name, hit in found.items() if hit} == {}


def test_the_oracle_shares_no_code_with_what_it_checks():
    found = [n for n in KNOWN if n.startswith(ORACLE) and any(u.startswith(LOWERING) for u in used(n))]
    assert found == []


def test_only_frameworks_branches_on_the_framework_at_import():
    assert "twins.frameworks" in used("twins.models")
    assert used("twins.frameworks") == {"mlx_startup.blas", "twins.machine.macos", "mlx_startup.open_files"}


def ready(name: str) -> bool:
    """Whether importing a module of twins imports twins.frameworks."""
    return name in KNOWN and "twins.frameworks" in {name} | source_digest.reached(KNOWN[name].read_text())


@pytest.mark.parametrize("name", [n for n in KNOWN if "mlx" in outside(n) and n != "twins.frameworks"])
def test_the_fast_blas_is_readied_before_mlx_is_imported(name):
    """Imported first, MLX keeps its wheel's reference BLAS, and is about twenty times too slow."""
    before = [name.rpartition(".")[0]]
    for node in ast.parse(KNOWN[name].read_text()).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            found = list(source_digest.imported(ast.unparse(node)))
            if any(each.partition(".")[0] == "mlx" for each in found):
                break
            before += found
    assert any(map(ready, before))


def functions(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            if body:
                yield node.name, body[-1].end_lineno - body[0].lineno + 1


@pytest.mark.parametrize("name", KNOWN)
def test_functions_stay_within_forty_lines_and_modules_say_what_they_are_for(name):
    assert [f for f, length in functions(KNOWN[name]) if length > 40] == []
    assert ast.get_docstring(ast.parse(KNOWN[name].read_text()))


@pytest.mark.parametrize("name", KNOWN)
def test_nothing_catches_everything_or_loads_a_pickle(name):
    tree = ast.parse(KNOWN[name].read_text())
    handlers = [n for n in ast.walk(tree) if isinstance(n, ast.ExceptHandler)]
    assert [h.lineno for h in handlers if h.type is None or getattr(h.type, "id", "") == "Exception"] == []
    calls = {
        n.func.attr for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)
    }
    assert "pickle" not in outside(name)
    assert not ("load" in calls and "torch.load" in KNOWN[name].read_text())


def test_reached_follows_strings_and_parents():
    reached = source_digest.reached("from twins import study")
    assert {
        "twins.timing.study",
        "twins.timing.variants",
        "twins.timing.harness",
        "twins.frameworks",
        "twins",
    } <= reached
    assert "twins.series.runner" not in reached


def test_digest_changes_with_the_code_it_depends_on_only():
    plots = source_digest.digest("from twins import plots")
    assert plots == source_digest.digest("from twins import plots")
    assert plots != source_digest.digest("from twins import results")
