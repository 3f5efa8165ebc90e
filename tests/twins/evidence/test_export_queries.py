"""The best route has one definition, models are counted once, and right means right as it was asked."""

import pytest
from msgspec import structs
from records import MACHINE, timed
from test_claims import converted, on

from twins.evidence.verdicts import export_queries, recommendations
from twins.export.conversions import verdict
from twins.records.export_types import CHECKED, DIRECT, OURS
from twins.timing.statistics import AGAIN

TRACE, EXPORT, ONNX = "PyTorch, torch.jit.trace", "PyTorch, torch.export", "PyTorch, ONNX, onnxsim"


def asked(row, precision: str, computes: str, error: float | None, right: bool | None = True):
    case = row.case | {"precision": precision, "computes": computes}
    return structs.replace(row, case=case, error=error, right=right)


def values(find, *rows):
    return {label: value for label, value, *_ in find(on(MACHINE, *rows))}


@pytest.mark.parametrize(
    ("precision", "computes", "error", "right", "found"),
    [
        ("float32", "fp16", 2.6e-4, True, False),  # onnxsim: half precision where float32 was asked
        ("float32", "fp16", 9e-6, True, True),
        ("float32", "fp32", 4e-5, False, False),
        ("float32", "fp32", 4e-5, True, True),  # on Core ML's own kernels, whose limit is wider
        ("float16", "fp16", 2.6e-4, True, True),
        ("float16", "fp32", 4e-5, False, True),  # within what was asked, though not within its own
        ("float32", "fp16", None, True, None),  # an old record that cannot be judged
        ("float32", "fp32", None, False, False),
    ],
)
def test_old_records_are_judged_by_what_was_asked(precision, computes, error, right, found):
    row = asked(converted(ONNX, 1.0), precision, computes, error, right)
    assert row.as_asked is found


def test_a_new_record_says_itself_what_was_asked_and_a_failure_is_not_right():
    row = asked(converted(TRACE, 1.0), "float32", "fp32", 4e-5)
    assert structs.replace(row, within_asked=False).as_asked is False
    assert structs.replace(row, right=None, failed="convert", message="no").as_asked is False


def test_the_cause_of_another_precision_is_named():
    row = asked(converted(ONNX, 1.0), "float32", "fp16", 2.6e-4)
    assert (verdict(row), row.cause) == ("wrong", "asked float32, package is float16")
    assert asked(converted(ONNX, 1.0), "float16", "fp16", 2.6e-4).cause == ""
    assert structs.replace(row, right=None, failed="trace", message="no diff").cause == "no diff"


def test_a_model_fails_from_pytorch_only_when_every_route_does():
    llama = [converted(DIRECT, 1.0), converted(TRACE, 1.0, right=False), converted(EXPORT, 1.0)]
    assert values(export_queries.export_failures, *llama) == {"PyTorch's best route, of 1 models": 0}
    worse = [*llama[:2], converted(EXPORT, 1.0, right=False)]
    assert values(export_queries.export_failures, *worse) == {"PyTorch's best route, of 1 models": 1}


def test_two_precisions_of_a_model_are_one_model():
    rows = [converted(route, 1.0) for route in (DIRECT, TRACE)]
    halves = [asked(rows[0], "float16", "fp16", 1e-4), asked(rows[1], "float16", "fp16", 1e-1, False)]
    ((label, value, low, high, _),) = export_queries.export_failures(on(MACHINE, *rows, *halves))
    assert (label, value, low, high) == ("PyTorch's best route, of 1 models", 1, 1, 1)


def test_the_interval_of_failures_is_over_models():
    rows = [converted(DIRECT, 1.0, model=str(i)) for i in range(10)]
    rows += [converted(EXPORT, 1.0, right=i > 4, model=str(i)) for i in range(10)]
    ((label, value, low, high, case),) = export_queries.export_failures(on(MACHINE, *rows))
    assert (label, value, case["against"]) == (
        "PyTorch's best route, of 10 models",
        5,
        "PyTorch's best route",
    )
    assert 1 <= low <= 3 and 7 <= high <= 9


def test_through_onnx_has_its_own_figure_and_a_package_in_half_precision_fails():
    rows = [converted(DIRECT, 1.0), converted(TRACE, 1.0), converted(ONNX, 1.0)]
    rows[2] = asked(rows[2], "float32", "fp16", 2.6e-4)
    found = values(export_queries.export_failures, *rows)
    assert found == {"PyTorch's best route, of 1 models": 0, "PyTorch through ONNX, of 1 models": 1}
    assert values(export_queries.export_steps, *rows) == {"bert, PyTorch's best route": 1}


def test_of_two_precisions_the_one_worse_for_mlx_is_the_figure():
    rows = [converted(DIRECT, 1.0), converted(TRACE, 3.0)]
    rows += [
        asked(converted(route, s), "float16", "fp16", 1e-4) for route, s in ((DIRECT, 1.0), (TRACE, 2.0))
    ]
    assert values(export_queries.export_time, *rows) == {"bert, PyTorch's best route": 2}


def test_time_is_the_measured_one_with_the_check():
    arms = {DIRECT: 1.0, CHECKED: 2.0, TRACE: 3.0, ONNX: 5.0, DIRECT + AGAIN: 1.0}
    body = timed("conversion", {"model": "bert", "precision": "float16"}, arms)
    found = values(export_queries.export_time, body, converted(DIRECT, 1.0), converted(TRACE, 9.0))
    known = {"bert, float16, PyTorch's best route": 1.5, "bert, float16, PyTorch through ONNX": 2.5}
    assert found == pytest.approx(known)
    alone = [value for _, value, *_ in export_queries.ratios_of([body, body], DIRECT)]
    assert alone == pytest.approx([3, 5])


def test_what_was_run_apart_or_is_absent_does_not_count():
    apart = structs.replace(converted(TRACE, 1.0), case={"precision": "float32", "apart": "2026-01-01"})
    gone = structs.replace(converted(ONNX, 1.0), right=None, failed="x", message="needs macOS: no")
    assert export_queries.by_model(on(MACHINE, apart, gone)) == {}
    assert export_queries.recommended(on(MACHINE, apart, gone)) is None
    table = recommendations.table(on(MACHINE, converted(DIRECT, 1.0))).set_index("to")
    assert table.loc["get a model to Core ML", "use"] == OURS


def test_the_limits_of_old_records_are_the_runtimes():
    from coreml_runtime.verification.comparison import TOLERANCE
    from twins.records.export_types import COMPUTES, LIMITS

    assert {COMPUTES[name]: limit for name, limit in TOLERANCE.items()} == LIMITS
