"""The grid of routes and models: marks, seconds, short causes and totals."""

import pytest

from twins.evidence.answers import route_grid
from twins.records.export_types import DIRECT, Conversion

EXPORT, TRACE, ONNX = "PyTorch, torch.export", "PyTorch, torch.jit.trace", "PyTorch, ONNX, onnxsim"


def made(route, model="bert", seconds=1.0, precision="float16", computes="fp16", error=1e-4, **more):
    case = {"precision": precision, "computes": computes} | more.pop("case", {})
    fields = {"size": 2048, "operations": 9, "error": error, "right": True, "line": "passes"}
    fields |= {
        "failed": "",
        "message": "",
        "warnings": [],
        "within_asked": error is not None and error < 5e-3,
    } | more
    return Conversion(model=model, route=route, case=case, steps={"convert": seconds}, **fields)


def failed(route, message, step="convert", model="LSTM", **case):
    nothing = {"size": None, "operations": None, "error": None, "right": None, "within_asked": None}
    said = {"failed": step, "message": message, "case": case}
    return made(route, model, **nothing | said)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("NotImplementedError: Unsupported fx node lstm, kind lstm.input", "no lstm"),
        ("RuntimeError: ONNX op 'Reciprocal' is not supported by onnxsim's exporter", "no Reciprocal"),
        ("UnsupportedOperatorError: Exporting the operator 'aten::rms_norm' to ONNX opset", "no rms_norm"),
        ("RuntimeError: PyTorch convert function for op 'mT' not implemented", "no mT"),
        ("ValueError: something else", "ValueError"),
    ],
)
def test_a_failure_is_its_cause_in_few_words(message, told):
    assert route_grid.cell(failed(EXPORT, message)) == f"✗ {told}"


def test_a_wrong_package_says_how_far_it_is_off_or_that_it_is_in_half_precision():
    wrong = made(EXPORT, precision="float32", computes="fp32", error=4e-5, right=False, within_asked=False)
    assert route_grid.cell(wrong) == "✗ off by 4e-5"
    half = made(ONNX, precision="float32", error=2.6e-4, within_asked=False)
    assert route_grid.cell(half) == "✗ fp16 only"
    assert route_grid.cell(made(TRACE, seconds=0.851)) == "✓ 0.85 s"
    assert route_grid.cell(made(ONNX, case={"apart": "2026-01-01"})) == "✓"


def test_rows_begin_with_mlx_and_their_total_and_columns_name_models_and_precision():
    rows = [made(EXPORT), made(DIRECT, seconds=0.4), made(DIRECT, "LeNet", 0.3, "float32", "fp32", 1e-7)]
    grid = route_grid.grid(rows)
    assert grid.columns.tolist() == ["route", "BERT fp16", "LeNet fp32"]
    assert grid["route"].tolist() == ["MLX, one call: 2 of 2 right", f"{EXPORT}: 1 of 1 right"]
    assert grid["LeNet fp32"].tolist() == ["✓ 0.30 s", "– not tried"]
    assert len(route_grid.grid(rows, most=1).columns) == 2


def test_routes_without_a_package_and_absent_ones_are_in_no_row():
    rows = [
        made(EXPORT),
        failed("PyTorch, ONNX, coremltools", "ValueError: onnx", "onnx_front_end"),
        failed("PyTorch, ONNX, ONNX Runtime", "RuntimeError: needs macOS: it has none", "run"),
        failed("PyTorch, ONNX, onnx2torch", "onnx2torch is not installed here", "onnx_trace"),
    ]
    assert [each.route for each in route_grid.standings(rows)] == [EXPORT]


def test_a_standing_is_the_packages_as_asked_and_the_median_of_the_right_ones():
    rows = [made(TRACE, seconds=s) for s in (1.0, 2.0, 4.0)] + [failed(TRACE, "ValueError: no")]
    (found,) = route_grid.standings(rows)
    assert (found.right, found.tried, found.seconds, found.whole) == (3, 4, 2.0, False)


def test_the_legend_has_the_limits():
    assert "5e-03 (fp16)" in route_grid.legend() and "1e-05 (fp32)" in route_grid.legend()
