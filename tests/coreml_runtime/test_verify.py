"""verify: right packages pass, those that coremltools 9.0 silently gets wrong are caught and located."""

import coremltools as ct
import mlx.core as mx
import mlx.nn
import numpy as np
import pytest
import torch
from cases import floats
from coremltools.converters.mil.mil import Builder as mb
from packages import OPSETS, save
from torch import nn

from coreml_runtime import load
from coreml_runtime.verification import native_core_ml
from coreml_runtime.verification.comparison import COMPUTE_UNITS, verify
from coreml_runtime.verification.observation import call


class Function(nn.Module):
    """A function as a module, which is what coremltools converts."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *values):
        return self.function(*values)


def package_of(tmp_path, module, *examples, dtypes=(), route="trace", precision="FLOAT32", opset=16):
    """The module converted and saved; inputs are x0, x1, ..."""
    if route == "trace":
        captured = torch.jit.trace(module, examples, check_trace=False)
    else:
        captured = torch.export.export(module, examples).run_decompositions({})
    kinds = dtypes or [x.numpy().dtype.type for x in examples]
    inputs = [
        ct.TensorType(name=f"x{i}", shape=x.shape, dtype=kind)
        for i, (x, kind) in enumerate(zip(examples, kinds, strict=True))
    ]
    model = ct.convert(
        captured,
        inputs=inputs,
        minimum_deployment_target=OPSETS[opset],
        compute_precision=getattr(ct.precision, precision),
    )
    model.save(str(tmp_path / "module.mlpackage"))
    return tmp_path / "module.mlpackage"


def report_of(tmp_path, module, *examples, **options):
    package = package_of(tmp_path, module.eval(), *examples, **options)
    return verify(module, package, {f"x{i}": x.numpy() for i, x in enumerate(examples)})


T = torch.from_numpy


def test_a_right_package_passes(tmp_path):
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5)
    )
    report = report_of(tmp_path, network, T(floats(2, 3, 8, 8)))
    assert report.passed and report.divergence is None
    assert [row.runtime for row in report.rows[:2]] == ["reference strict", "reference exact"]
    assert max(row.rms_relative for row in report.rows[:2]) < 1e-6
    assert min(row.cosine for row in report.rows) > 0.999999
    assert "passes: worst rms-relative error" in str(report) and "tolerance 1e-05" in str(report)
    assert list(report.table()["output"].unique()) == [report.rows[0].output]
    assert "<table" in report._repr_html_()


def test_fp16_has_its_own_tolerance(tmp_path):
    report = report_of(
        tmp_path, nn.Sequential(nn.Linear(64, 64), nn.Tanh()), T(floats(4, 64)), precision="FLOAT16"
    )
    assert report.passed and report.tolerance == 5e-3
    assert 1e-5 < report.rows[0].rms_relative < 1e-3


# What coremltools 9.0 converts without a word to another function; see its issues #2680, #2774, #2769, #2773.
SILENT = {
    "torch.add drops alpha when exported": (
        lambda x, y: torch.add(x, y, alpha=3).relu(),
        (floats(2, 3), floats(2, 3, seed=1)),
        {"route": "export"},
        "add",
    ),
    "torch.sub drops alpha when exported": (
        lambda x, y: torch.sub(x, y, alpha=3).relu(),
        (floats(2, 3), floats(2, 3, seed=1)),
        {"route": "export"},
        "sub",
    ),
    "torch.narrow from a negative start is empty": (
        lambda x: torch.narrow(x, 1, -2, 2),
        (floats(2, 5),),
        {},
        "slice_by_index",
    ),
    "torch.atan2(0, -1) is 0 instead of pi": (
        torch.atan2,
        (np.array([0, 1], np.float32), np.array([-1, 2], np.float32)),
        {},
        None,  # a composition of many operations, none of which torch has
    ),
    "torch.reciprocal(1e-5) is 9e3 instead of 1e5": (
        lambda x: torch.reciprocal(x).relu(),
        (np.array([1e-5, 2], np.float32),),
        {},
        "inverse",
    ),
    "torch.triu of -inf is nan when exported": (
        lambda x: torch.triu(x, 1),
        (np.full((3, 3), -np.inf, np.float32),),
        {"route": "export"},
        None,
    ),
}


@pytest.mark.parametrize("bug", SILENT)
def test_silent_conversion_errors_are_caught(tmp_path, bug):
    function, examples, options, operation = SILENT[bug]
    report = report_of(tmp_path, Function(function), *map(T, examples), **options)
    assert not report.passed
    assert report.divergence is not None
    if operation:
        assert report.divergence.type == operation
    assert report.divergence.name in str(report) and str(report.divergence.shape) in str(report)


def test_integer_inputs_without_a_declared_type_become_fp16(tmp_path):
    network, ids = nn.Embedding(3000, 4), torch.tensor([[2049, 5]])
    report = report_of(tmp_path, network, ids, dtypes=[None], precision="FLOAT16")
    assert not report.passed and report.divergence is not None  # fp16 has no 2049
    assert report_of(tmp_path, network, ids, dtypes=[np.int32], precision="FLOAT16").passed


def test_overflow_in_fp16_is_located(tmp_path):
    def rms_norm(x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)

    report = report_of(tmp_path, Function(rms_norm), T(400 * floats(2, 64)), precision="FLOAT16")
    strict, exact, *_ = report.rows  # and Core ML's, on a Mac
    assert not strict.passed and exact.rms_relative < 1e-3
    assert not report.divergence.finite


@mb.program(input_specs=[mb.TensorSpec(shape=(2, 4))], opset_version=OPSETS[17])
def mlx_like(x):
    return mb.sigmoid(x=mb.mul(x=mb.add(x=x, y=1.0), y=3.0, name="scaled"), name="y")


def test_mlx_function(tmp_path):
    package = save(mlx_like, 17, tmp_path / "m.mlpackage")
    x = floats(2, 4)
    assert verify(lambda x: mx.sigmoid((x + 1) * 3), package, {"x": mx.array(x)}).passed
    assert verify(lambda x: mx.sigmoid((x + 1) * 3), package, {"x": x}, framework="mlx").passed
    report = verify(lambda x: mx.sigmoid((x + 1) * 2), package, {"x": x}, framework="mlx")
    assert not report.passed and (report.divergence.type, report.divergence.name) == ("mul", "scaled")


def test_mlx_module(tmp_path):
    layer = mlx.nn.Linear(4, 4)
    weight, bias = np.array(layer.weight), np.array(layer.bias)

    def program(x):
        return mb.relu(x=mb.linear(x=x, weight=weight, bias=bias, name="product"), name="y")

    built = mb.program(input_specs=[mb.TensorSpec(shape=(2, 4))], opset_version=OPSETS[17])(program)
    network = mlx.nn.Sequential(layer, mlx.nn.ReLU())
    assert verify(network, save(built, 17, tmp_path / "m.mlpackage"), {"x": floats(2, 4)}).passed
    layer.bias = layer.bias + 1
    report = verify(network, tmp_path / "m.mlpackage", {"x": floats(2, 4)})
    assert report.divergence.name == "product"


def test_outputs_by_name_and_by_order(tmp_path):
    @mb.program(input_specs=[mb.TensorSpec(shape=(3,))], opset_version=OPSETS[17])
    def program(x):
        return mb.exp(x=x, name="up"), mb.square(x=x, name="even")

    package, x = save(program, 17, tmp_path / "two.mlpackage"), {"x": T(floats(3))}
    assert verify(lambda x: (x.exp(), x.square()), package, x).passed
    assert verify(lambda x: {"even": x.square(), "up": x.exp()}, package, x).passed
    assert not verify(lambda x: (x.square(), x.exp()), package, x).passed
    with pytest.raises(ValueError, match="the source returns 1 values, the package 2: up, even"):
        verify(lambda x: x.exp(), package, x)


def test_classifier(tmp_path):
    network, x = nn.Sequential(nn.Linear(4, 3), nn.Softmax(-1)).eval(), T(floats(1, 4))
    model = ct.convert(
        torch.jit.trace(network, x),
        inputs=[ct.TensorType(name="x", shape=x.shape, dtype=np.float32)],
        classifier_config=ct.ClassifierConfig(["ant", "bee", "cow"]),
        minimum_deployment_target=OPSETS[16],
        compute_precision=ct.precision.FLOAT32,
    )
    model.save(str(tmp_path / "classifier.mlpackage"))
    report = verify(network, tmp_path / "classifier.mlpackage", {"x": x})
    assert report.passed and report.rows[0].shape == (1, 3)


def test_image_output(tmp_path):
    negative = Function(lambda x: 255 - x)
    x = T(np.arange(72, dtype=np.float32).reshape(1, 3, 4, 6))
    model = ct.convert(
        torch.jit.trace(negative, x),
        inputs=[ct.TensorType(name="x", shape=x.shape, dtype=np.float32)],
        outputs=[ct.ImageType(name="y", color_layout=ct.colorlayout.RGB)],
        minimum_deployment_target=OPSETS[16],
        compute_precision=ct.precision.FLOAT32,
    )
    model.save(str(tmp_path / "image.mlpackage"))
    assert verify(negative, tmp_path / "image.mlpackage", {"x": x}).passed


def test_other_shapes_fail(tmp_path):
    package = save(mlx_like, 17, tmp_path / "m.mlpackage")
    row = verify(lambda x: x.sum(), package, {"x": T(floats(2, 4))}).rows[0]
    assert not row.passed and row.rms_relative == np.inf


def test_unknown_framework(tmp_path):
    package = save(mlx_like, 17, tmp_path / "m.mlpackage")
    with pytest.raises(
        ValueError, match="is not known from its type or its inputs; state the framework, one of torch, mlx"
    ):
        verify(lambda x: x, package, {"x": floats(2, 4)})
    with pytest.raises(ValueError, match="framework 'jax' is not known; known are torch, mlx"):
        verify(lambda x: x, package, {"x": floats(2, 4)}, framework="jax")


@pytest.fixture
def asked(monkeypatch):
    """macOS 15 with a Core ML that is 20 % off on every unit but the CPU; the list gets the units asked."""
    units: list[str] = []

    def core_ml(package, calls, unit, function):
        units.append(unit)
        factor = 1.0 if unit == "CPU_ONLY" else 1.2
        found = [load(package, function).predict(each) for each in calls]
        return [{name: factor * value for name, value in each.items()} for each in found]

    monkeypatch.setattr("coreml_runtime.verification.comparison._core_ml", core_ml)
    monkeypatch.setattr(native_core_ml, "here", lambda: True)
    monkeypatch.setattr(native_core_ml, "version", lambda: (15, 0))
    monkeypatch.setattr(native_core_ml, "library", lambda: "")
    return units


def test_on_a_mac_only_the_cpu_is_asked_and_decides(tmp_path, asked):
    package, x = save(mlx_like, 17, tmp_path / "m.mlpackage"), {"x": floats(2, 4)}
    report = verify(lambda x: mx.sigmoid((x + 1) * 3), package, x, framework="mlx")
    assert asked == ["CPU_ONLY"]
    assert [row.runtime for row in report.rows] == ["reference strict", "reference exact", "Core ML CPU_ONLY"]
    assert report.passed
    wrong = verify(lambda x: mx.sigmoid((x + 1) * 2), package, x, framework="mlx")
    assert not wrong.passed and not wrong.rows[-1].passed


def test_other_units_are_shown_and_do_not_decide(tmp_path, asked):
    package, x = save(mlx_like, 17, tmp_path / "m.mlpackage"), {"x": floats(2, 4)}
    report = verify(
        lambda x: mx.sigmoid((x + 1) * 3), package, x, framework="mlx", compute_units=COMPUTE_UNITS
    )
    assert [(row.passed, row.decides) for row in report.rows[2:]] == [(True, True)] + [(False, False)] * 3
    assert report.passed and "Core ML ALL" not in str(report)


def test_a_package_newer_than_the_system_is_judged_by_the_reference_alone(tmp_path, asked, monkeypatch):
    monkeypatch.setattr(native_core_ml, "version", lambda: (14, 6))
    package, x = save(mlx_like, 18, tmp_path / "m.mlpackage"), {"x": floats(2, 4)}
    report = verify(lambda x: mx.sigmoid((x + 1) * 3), package, x, framework="mlx")
    assert asked == [] and report.passed
    assert str(report).endswith("; Core ML itself needs macOS 15")


def test_the_source_computes_on_the_cpu():
    devices = []

    def source(x):
        devices.append(mx.default_stream(mx.default_device()))
        return x + 1

    with mx.stream(mx.default_device()):
        call(source, {"x": floats(2)}, "mlx")
    assert [stream.device for stream in devices] == [mx.Device(mx.cpu, 0)]


def test_a_refusal_of_core_ml_fails_and_is_told(tmp_path, asked, monkeypatch):
    def refused(package, calls, unit, function):
        raise RuntimeError("Unable to compute the prediction\nusing ML Program.")

    monkeypatch.setattr("coreml_runtime.verification.comparison._core_ml", refused)
    package, x = save(mlx_like, 17, tmp_path / "m.mlpackage"), {"x": floats(2, 4)}
    given = (lambda x: mx.sigmoid((x + 1) * 3), package, x)
    report = verify(*given, framework="mlx")
    assert not report.passed and report.divergence is None
    assert str(report).endswith(
        "Core ML CPU_ONLY refuses the package: Unable to compute the prediction using ML Program."
    )
    assert verify(*given, framework="mlx", compute_units=["ALL"]).passed  # for information


def test_the_cpu_of_core_ml_may_have_kernels_of_its_own(tmp_path, asked, monkeypatch):
    """Beyond the tolerance of the reference runtime, within that of Core ML's CPU, and beyond both."""
    package, x = save(mlx_like, 17, tmp_path / "m.mlpackage"), {"x": floats(2, 4)}
    for error, passed in ((5e-5, True), (2e-4, False)):

        def core_ml(package, calls, unit, function, error=error):
            found = [load(package, function).predict(each) for each in calls]
            return [{name: (1 + error) * value for name, value in each.items()} for each in found]

        monkeypatch.setattr("coreml_runtime.verification.comparison._core_ml", core_ml)
        report = verify(lambda x: mx.sigmoid((x + 1) * 3), package, x, framework="mlx")
        assert report.passed is passed
        assert [row.tolerance for row in report.rows] == [1e-5, 1e-5, 1e-4]
        assert f"{error:.1e}" in str(report) and "tolerance 1e-04" in str(report)


def test_the_table_says_what_decides(tmp_path, asked):
    package, x = save(mlx_like, 17, tmp_path / "m.mlpackage"), {"x": floats(2, 4)}
    report = verify(
        lambda x: mx.sigmoid((x + 1) * 3), package, x, framework="mlx", compute_units=("CPU_ONLY", "ALL")
    )
    assert list(report.table()["decides"]) == ["yes", "yes", "yes", "for information"]


VERSIONS = {
    (16, 0): (26, 0),
    (16, 1, 2): (26, 1, 2),
    (10, 16): (),
    (10, 15, 7): (10, 15, 7),
    (15, 3): (15, 3),
    (26, 1): (26, 1),
    (): (),
}


@pytest.mark.parametrize("told", VERSIONS)
def test_a_version_told_for_compatibility_is_another(told):
    assert native_core_ml.true_version(told) == VERSIONS[told]


def test_a_grid_that_rounds_in_fp16_is_located_though_the_values_are_alike_when_sorted(tmp_path):
    x, grid = T(floats(1, 3, 512, 512, low=0, high=1)), T(floats(1, 64, 64, 2, low=-1, high=1))
    sample = Function(lambda x, g: nn.functional.grid_sample(x, g, align_corners=False))
    report = report_of(tmp_path, sample, x, grid, precision="FLOAT16", opset=17)
    assert not report.passed and report.divergence and report.divergence.type == "resample", str(report)


def test_an_integer_product_is_refused_with_its_source(tmp_path):
    product = Function(lambda x: torch.mm(x, torch.arange(32, dtype=torch.int32).reshape(8, 4)))
    report = report_of(tmp_path, product, torch.arange(24, dtype=torch.int32).reshape(3, 8), opset=17)
    assert not report.passed and "https://github.com/apple/coremltools/issues/2575" in report.reason
