"""Conversions as records: checked, failures with step and words, crashes that spare the others."""

import os

import pytest
from msgspec.structs import replace

from coreml_runtime import inspect
from twins.evidence.answers import route_grid
from twins.export import conversion_tables, conversions, isolated_environment
from twins.export.conversion_process import Task, place
from twins.export.conversions import DIRECT
from twins.export.trap_cures import pitfalls, traps
from twins.figures import conversion_figures
from twins.records.export_types import Conversion

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
            Task("killed", f"{HERE}:killed", {}, "float32"),
            Task("branching", f"{HERE}:branching", {}, "float32"),
            Task("small", f"{HERE}:small", {}, "float32"),
        ]
        yield list(conversions.convert(EXPORT, tasks, folder))


def test_a_process_that_dies_is_a_row_and_the_others_go_on(records):
    assert [r.model for r in records] == ["dies", "killed", "branching", "small"]
    assert (records[0].failed, records[0].steps) == ("export", {})
    assert records[0].message.startswith("3")
    assert records[1].message.startswith("was killed, as a system does when memory runs out")
    assert [conversions.verdict(record) for record in records[:2]] == ["crash", "crash"]


def test_a_mistake_is_a_row_with_its_step(records):
    assert (records[2].failed, records[2].size, records[2].right) == ("export", None, None)
    assert ":" in records[2].message


def test_a_package_is_checked_and_its_first_run_kept_apart(records, folder):
    done = records[3]
    assert (done.right, done.failed) == (True, "")
    assert done.error < 1e-5
    assert "passes" in done.line and str(folder) not in done.line
    assert list(done.steps) == list(done.case["first"]) == ["export", "decompose", "convert", "save"]
    held = inspect(place(folder, EXPORT, "small", "float32"))
    assert (held.count, held.size, held.uses_fp16) == (done.operations, done.size, False)
    assert held.operations["linear"] == 2


def test_an_unknown_route_is_refused():
    with pytest.raises(ValueError, match=r"route 'teleport' is not known; known are PyTorch, torch.export"):
        list(conversions.convert("teleport", []))


def test_coverage_counts_outcomes_and_causes(records):
    (found,) = conversions.coverage(records, "four")
    assert found.outcomes == {"crash": 3, "right": 1}
    assert sum(found.reasons.values()) == 3


def test_a_route_that_is_not_installed_is_absent():
    (row,) = conversions.convert(isolated_environment.ROUTE, [Task("small", f"{HERE}:small", {}, "float32")])
    assert conversions.verdict(row) == "absent"


def test_tables_and_figure_hold_what_was_recorded(records):
    table = conversion_tables.every(records)
    assert table["result"].tolist() == ["crash", "crash", "crash", "right"]
    assert table["seconds"].notna().tolist() == [False, False, False, True]
    assert conversion_tables.failures(records)["models"].tolist() == ["dies", "killed", "branching"]
    assert conversion_tables.checked(records).startswith("1 packages were made and checked; 1 are right")
    assert conversion_tables.checks(records)["model"].tolist() == ["small"]
    assert "torch.export takes" in conversion_figures.seconds(records, "float32").alt


def test_every_step_says_what_it_gave(records):
    table = conversion_tables.steps(records, "small", "float32")
    assert table["step"].tolist()[0] == "1. Capture the whole graph"
    assert table["gives"].str.startswith(("ExportedProgram", "ML Program", "package")).all()
    assert (table["seconds"] > 0).all()


def test_sizes_by_side_are_one_sentence(records):
    ours = replace(records[3], route=DIRECT, size=1024, operations=2)
    told = conversion_tables.comes_out([records[3], ours], "small", "float32")
    assert told.startswith("small in fp32: 1 KiB and 2 operations from MLX; ")
    assert told.endswith(f"{records[3].operations} operations from PyTorch.")
    assert conversion_tables.comes_out([], "small").endswith("no package is right.")


def test_one_process_takes_every_route_and_a_removed_one_takes_one_model(tmp_path, pytestconfig):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(pytestconfig.rootpath / "tests" / "twins" / "export"), prepend=":")
        tasks = [Task("small", f"{HERE}:small", {}, each) for each in conversions.PRECISIONS]
        wanted = [DIRECT, "PyTorch, ONNX (tracing), onnxsim", "PyTorch, ONNX, coremltools"]
        found = list(conversions.along(wanted, tasks, tmp_path))
    assert [(r.route, r.case["precision"]) for r in found] == [
        *((route, each) for route in wanted[:2] for each in conversions.PRECISIONS),
        (wanted[2], "float16"),
    ]
    assert [r.as_asked for r in found] == [True, True, False, True, False]
    assert found[3].case["made_as"] == "float32"  # the package is one, judged by both limits
    assert found[2].steps == found[3].steps and "first" in found[2].case
    assert place(tmp_path, wanted[1], "small", "float16").exists()
    assert found[0].case["runtimes"][0].startswith("reference")


def test_one_network_at_several_depths_is_no_model_of_its_own():
    (task,) = conversions.of_depths([2])
    assert (task.model, task.group) == ("transformer_lm, 2 blocks", "depths of one network")
    assert conversions.pair(task.model, "MLX")[1][0].shape == (1, 32)


def test_the_line_says_which_pages_records_are_missing(monkeypatch, tmp_path):
    from twins.machine import identity

    monkeypatch.setenv("TWINS_RESULTS", str(tmp_path))
    found, told = conversions.shared(identity.fingerprint(), "07_coreml_from_pytorch")
    assert found == [] and "run `make report-07`" in told


def test_the_reading_compares_the_direct_route_with_the_fastest_other(records):
    ours = replace(records[3], route=DIRECT, steps={"mlx_direct": 1.0, "save": 0.0})
    slow, fast = (replace(records[3], steps={"export": s}) for s in (8.0, 4.0))
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
    assert "separate environment" in route_grid.name(back) and "torch 2" in note


def test_the_kept_records_name_versions_and_fail_in_words():
    rows, note = isolated_environment.read()
    assert "onnx2torch 1" in note
    assert all(row.case["apart"] for row in rows)
    assert all(row.message for row in rows if row.failed)


def test_traps_show_and_their_cures_work():
    table, found = traps.tried()
    assert found.outcomes == {"wrong": 3, "crash": 2, "right": 0}
    assert found.case == {"cured": len(traps.KNOWN), "of": len(traps.KNOWN)}
    assert len(table) == 3 * len(traps.KNOWN)
    fixed = table.loc[table["you see"] == "Only one length works", "check"].tolist()
    assert "allowed is (1, 8)" in fixed[0] and "passes" in fixed[1]
    assert traps.confirmed(found).startswith("Run on this page: 3 give a wrong package silently, 2 stop")
    assert len(traps.table()) == len(traps.KNOWN)


def test_ids_of_64_bits_become_32():
    (long, ours) = traps.live(pitfalls.long_numbers, pitfalls.mlx_long_numbers).to_dict("records")
    assert "int32" in long["inputs"] and "int32" in ours["inputs"]
    assert "passes" in long["check"] and "passes" in ours["check"]


def test_what_is_refused_is_refused_in_words():
    errors = traps.refused()["error"].tolist()
    assert errors == ["CaptureError", "UnsupportedError", "NotRepeatableError"]
