"""What is timed: the direct route with and without its check, and PyTorch's fastest right routes."""

import pytest
from networks_for_routes import small

from coreml_runtime import load
from twins.export import conversion_process, conversion_tables, conversion_times
from twins.export.conversion_process import Task
from twins.figures import conversion_figures
from twins.records.export_types import CHECKED, DIRECT, Conversion
from twins.timing import harness
from twins.timing.statistics import AGAIN

TRACE, EXPORT, ONNX = "PyTorch, torch.jit.trace", "PyTorch, torch.export", "PyTorch, ONNX, onnxsim"
TASK = Task("small", "networks_for_routes:small", {}, "float16")


def done(route, seconds, error=1e-4, computes="fp16"):
    case = {"precision": "float16", "computes": computes}
    return Conversion("small", route, case, {"x": seconds}, 1, 1, error, True, "", "", "", [])


def test_the_fastest_right_route_of_each_kind_is_timed():
    records = [done(DIRECT, 1), done(TRACE, 3), done(EXPORT, 2), done(ONNX, 1)]
    assert conversion_times.fastest(TASK, records) == [DIRECT, ONNX, EXPORT]
    assert conversion_times.fastest(TASK, records[:2]) == [DIRECT, TRACE]
    wrong = [*records[:2], done(ONNX, 0.1, error=0.1, computes="fp32")]
    assert conversion_times.fastest(TASK, wrong) == [DIRECT, TRACE]


def test_nothing_is_timed_where_one_side_is_missing():
    assert list(conversion_times.times([TASK], [done(DIRECT, 1)], 1)) == []
    assert len(conversion_figures.time_table([])) == 0


def test_every_variant_converts_and_the_record_holds_them(monkeypatch):
    def in_this_process(variants, arguments, plan, tell):
        return [harness.run_from(harness.timed(variants, arguments, vars(plan), 0))]

    monkeypatch.setattr(harness, "measure", in_this_process)
    (found,) = conversion_times.times([TASK], [done(DIRECT, 1), done(TRACE, 3)], 1)
    assert found.case == {"model": "small", "precision": "float16"}
    arms = found.runs[0]["arms"]
    assert set(arms) == {DIRECT, TRACE, CHECKED, DIRECT + AGAIN}
    assert all(len(each["wall"]) == 1 and each["wall"][0] > 0 for each in arms.values())
    (row,) = conversion_figures.time_table([found]).to_dict("records")
    assert (row["model"], row["against"]) == ("small", "PyTorch's best route")
    (row,) = conversion_tables.times([found]).to_dict("records")
    assert (row["model"], row["against"]) == ("small fp16", TRACE)
    assert "× as fast [" in row["as fast [95 %], with the check"]


def test_the_checked_variant_checks(monkeypatch, tmp_path):
    from twins.export import routes

    asked = []
    monkeypatch.setattr(routes, "mlx_direct", lambda job, _, check=False: asked.append(check))
    monkeypatch.setattr(routes, "save", lambda job, model: None)
    conversion_times._conversion(CHECKED, TASK, tmp_path)()
    assert asked == [True]


def test_the_limit_is_that_of_what_was_asked(tmp_path):
    """A package in half precision is right by its own limit and wrong where float32 was asked."""
    model, example = small("PyTorch")
    from twins.export import routes

    job = routes.Job(model, example, conversion_times.ct.target.iOS17, "float16", tmp_path)
    package, _ = routes.follow(TRACE, job, {})
    report = conversion_process.checked(model, example, package, "PyTorch", "float32")
    assert load(package).uses_fp16 and not report.passed
    assert conversion_process.by_own_precision(report, "fp16")
    assert not conversion_process.by_own_precision(report, "fp32")
    assert conversion_process.checked(model, example, package, "PyTorch", "float16").passed


@pytest.mark.parametrize("processes", [0, -1])
def test_too_few_processes_are_refused(processes):
    with pytest.raises(ValueError, match="processes and rounds must be at least 1"):
        conversion_times.plan(processes)
