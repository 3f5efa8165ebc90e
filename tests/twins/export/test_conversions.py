"""Conversions as records: checked, failures with step and words, crashes that spare the others."""

import os

import pytest
from msgspec.structs import replace

from coreml_runtime import inspect
from twins.export import conversions, isolated_environment, pitfalls
from twins.export.conversions import DIRECT, Task
from twins.figures import conversion_figures
from twins.records.record_types import Conversion

HERE = "networks_for_routes"
EXPORT = "PyTorch, torch.export"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("packages")


@pytest.fixture(scope="module")
def records(folder, pytestconfig):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "PYTHONPATH", str(pytestconfig.rootpath / "tests" / "twins" / "export"), prepend=os.pathsep
        )
        tasks = [
            Task("dies", f"{HERE}:dying", {}, "float32"),
            Task("branching", f"{HERE}:branching", {}, "float32"),
            Task("small", f"{HERE}:small", {}, "float32", runs=2),
        ]
        yield list(conversions.convert(EXPORT, tasks, folder))


def test_a_process_that_dies_is_a_row_and_the_others_go_on(records):
    assert [r.model for r in records] == ["dies", "branching", "small"]
    assert (records[0].failed, records[0].steps) == ("export", {})
    assert records[0].message.startswith("3")
    assert conversions.verdict(records[0]) == "crash"


def test_a_mistake_is_a_row_with_its_step(records):
    assert (records[1].failed, records[1].size, records[1].right) == ("export", None, None)
    assert ":" in records[1].message


def test_a_package_is_checked_and_its_first_run_kept_apart(records, folder):
    done = records[2]
    assert (done.right, done.failed) == (True, "")
    assert done.error < 1e-5
    assert "passes" in done.line and str(folder) not in done.line
    assert list(done.steps) == list(done.case["first"]) == ["export", "decompose", "convert", "save"]
    held = inspect(conversions.place(folder, EXPORT, "small", "float32"))
    assert (held.count, held.size, held.uses_fp16) == (done.operations, done.size, False)
    assert held.operations["linear"] == 2


def test_an_unknown_route_is_refused():
    with pytest.raises(ValueError, match=r"route 'teleport' is not known; known are PyTorch, torch.export"):
        list(conversions.convert("teleport", []))


def test_coverage_counts_outcomes_and_causes(records):
    (found,) = conversions.coverage(records, "three")
    assert found.outcomes == {"crash": 2, "right": 1}
    assert sum(found.reasons.values()) == 2


def test_a_route_that_is_not_installed_is_absent():
    (row,) = conversions.convert(isolated_environment.ROUTE, [Task("small", f"{HERE}:small", {}, "float32")])
    assert conversions.verdict(row) == "absent"


def test_tables_and_figure_hold_what_was_recorded(records):
    table = conversion_figures.conversion_table(records)
    assert table["verdict"].tolist() == ["crash", "crash", "right"]
    assert table["seconds"].notna().tolist() == [False, False, True]
    assert conversion_figures.failures(records)["models"].tolist() == ["dies", "branching"]
    assert "2 of" not in conversion_figures.verified(records) and "1 packages" in conversion_figures.verified(
        records
    )
    assert "torch.export takes" in conversion_figures.seconds(records, "float32").alt


def test_the_reading_compares_the_direct_route_with_the_fastest_other(records):
    ours = replace(records[2], route=DIRECT, steps={"mlx_direct": 1.0, "save": 0.0})
    slow, fast = (replace(records[2], steps={"export": s}) for s in (8.0, 4.0))
    other = replace(slow, route="PyTorch, torch.jit.trace")
    told = conversion_figures.reading([ours, fast, other], "float32")
    assert "(4 times)" in told and f"{EXPORT} 4 s" in told


def test_what_was_run_apart_is_kept_with_its_versions(tmp_path):
    record = Conversion(
        "m",
        isolated_environment.ROUTE,
        {"precision": "float16"},
        {},
        None,
        None,
        None,
        None,
        "",
        "s",
        "w",
        [],
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(isolated_environment, "PACKAGES", ("torch", "onnx"))
        isolated_environment.write([record], tmp_path / "kept.jsonl")
    (back,), note = isolated_environment.read(tmp_path / "kept.jsonl")
    assert back.case.keys() == {"precision", "apart"}
    assert "run apart" in conversion_figures.route_name(back) and "torch 2" in note


def test_the_kept_records_name_versions_and_fail_in_words():
    rows, note = isolated_environment.read()
    assert "onnx2torch 1" in note
    assert all(row.case["apart"] for row in rows)
    assert all(row.message for row in rows if row.failed)


def test_pitfalls_fail_and_their_cures_do_not():
    rows = pitfalls.live(pitfalls.overflow, pitfalls.overflow_cured, pitfalls.undeclared, pitfalls.declared)
    assert [("FAILS" in line, "passes" in line) for line in rows["verification"]] == [
        (True, False),
        (False, True),
        (True, False),
        (False, True),
    ]
    fixed, free = pitfalls.live(pitfalls.fixed_length, pitfalls.any_length)["verification"]
    assert "allowed is (1, 8)" in fixed and "passes" in free
    wrong, right = pitfalls.live(pitfalls.infinite_mask, pitfalls.finite_mask)["verification"]
    assert "FAILS" in wrong and "passes" in right
