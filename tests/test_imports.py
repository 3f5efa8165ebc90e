"""What modules may load, and the house's limits, read from the sources; rooms: test_rooms.py."""

import ast
import re
from pathlib import Path

import pytest

from twins.series import source_digest

KNOWN = source_digest.modules()
MODELS = ("bert", "resnet", "transformer_lm", "vit")


def used(name: str) -> set[str]:
    """Modules of lib/ that a module imports itself."""
    return {found for found in source_digest.imported(KNOWN[name].read_text()) if found in KNOWN}


def outside(name: str) -> set[str]:
    """Top-level packages a module imports."""
    return {found.partition(".")[0] for found in source_digest.imported(KNOWN[name].read_text())}


@pytest.mark.parametrize("name", MODELS)
def test_models_import_only_the_frameworks(name):
    assert used(f"twins.models.{name}") == set()
    assert outside(f"twins.models.{name}") <= {"mlx", "torch", "numpy", "dataclasses", "math", "typing"}


LIVE = {"twins.evidence.breadth", "twins.evidence.published.audit"}  # look into the frameworks themselves
LIVE |= {"twins.evidence.published.export_checks"}
READS = [n for n in KNOWN if n.startswith(("twins.evidence", "twins.records")) and n not in LIVE]
READS += [
    f"twins.figures.{name}_figures" for name in ("training", "vision", "published", "roofline", "machine")
]
READS += ["twins.timing.comparison", "twins.timing.statistics", "twins.series.show"]


@pytest.mark.parametrize("name", READS)
def test_what_reads_records_loads_no_framework(name):
    reached = {name} | source_digest.reached(KNOWN[name].read_text())
    assert {n for n in reached if outside(n) & {"mlx", "torch"}} == set()


def test_the_libraries_do_not_name_the_report():
    own = [name for name in KNOWN if name.startswith(("coreml_runtime", "mlx_coreml"))]
    assert [name for name in own if re.search(r"\btwins\b", KNOWN[name].read_text())] == []


def test_the_runtime_knows_nothing_of_mlx():
    own = [name for name in KNOWN if name.startswith("coreml_runtime")]
    assert {name for name in own if "mlx" in outside(name)} == set()


def test_the_command_that_runs_the_report_is_imported_by_nothing_below_it():
    above = {"twins.series.runner", "twins.series.publish", "twins.timing.peers.bench"}
    found = {name: used(name) & above for name in KNOWN if not name.startswith("twins.series")}
    benches = ("twins.export.bench.conversion", "twins.export.bench.core_ai")
    allowed = {name: {"twins.timing.peers.bench"} for name in benches}  # its rows
    assert {name: hit for name, hit in found.items() if hit} == allowed


def ready(name: str) -> bool:
    """Whether importing a module of lib/, and so its packages first, prepares the process for MLX."""
    if name not in KNOWN:
        return False
    parents = [".".join(name.split(".")[:i]) for i in range(1, name.count(".") + 1)]
    reached = {each for own in (name, *parents) for each in source_digest.reached(KNOWN[own].read_text())}
    return "mlx_startup" in reached


MLX = {"mlx", "mlx_lm"}


@pytest.mark.parametrize("name", [n for n in KNOWN if MLX & outside(n) and n != "twins.frameworks"])
def test_the_fast_blas_is_readied_before_mlx_is_imported(name):
    """Imported first, MLX keeps its wheel's reference BLAS, and is about twenty times too slow."""
    before = [name.rpartition(".")[0]]
    for node in ast.parse(KNOWN[name].read_text()).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            found = list(source_digest.imported(ast.unparse(node)))
            if any(each.partition(".")[0] in MLX for each in found):
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
    reached = source_digest.reached("from twins.timing import study")
    needed = {"twins.timing.study", "twins.timing.variants", "twins.timing.harness", "twins.frameworks"}
    assert needed | {"twins", "mlx_startup"} <= reached
    assert "twins.series.runner" not in reached


def test_digest_changes_with_the_code_it_depends_on_only():
    plots = source_digest.digest("from twins.figures import training_figures")
    assert plots == source_digest.digest("from twins.figures import training_figures")
    assert plots != source_digest.digest("from twins.records import store")


def test_digest_changes_with_a_table_that_is_read(tmp_path, monkeypatch):
    (tmp_path / "claims.yaml").write_text("[]")
    monkeypatch.setattr(source_digest, "DATA", tmp_path)
    reads, others = "from twins.evidence.verdicts import claims", "from twins.models import vit"
    before = source_digest.digest(reads), source_digest.digest(others)
    (tmp_path / "claims.yaml").write_text("[1]")
    assert source_digest.digest(reads) != before[0]
    assert source_digest.digest(others) == before[1]
