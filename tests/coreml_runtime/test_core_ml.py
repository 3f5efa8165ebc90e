"""Core ML's own predictions on the CPU against the reference runtime: operations, networks, states, images.

On macOS Core ML predicts. Everywhere a small part runs with the reference runtime in its place, which shows
that these tests are written right and nothing about Core ML.
"""

import coremltools as ct
import numpy as np
import pytest
from cases import FAMILIES, Case, all_cases
from packages import feeds, save_cases
from PIL import Image

from coreml_runtime import load
from coreml_runtime.execution import emulation
from coreml_runtime.verification import native_core_ml
from coreml_runtime.verification.comparison import verify
from mlx_coreml import convert
from twins.export import shipping
from twins.export.networks import networks
from twins.frameworks import mx

# Of the largest value: both compute in float32, but Core ML has kernels of its own for exp and tanh.
CLOSE = 1e-4
CASES = all_cases()
SAMPLE = [cases[0] for cases in FAMILIES.values()]
WITH_INPUT = next(case for case in CASES if case.operation == "relu" and case.inputs)
NETWORKS = {network.name: network for network in networks.NETWORKS}
SMALLEST = "lstm"
ON_CPU = "Core ML CPU_ONLY"


def here_and_pretended(every, some) -> pytest.MarkDecorator:
    """All of it where Core ML is, some of it with the reference runtime in Core ML's place."""
    mac = [pytest.param("Core ML", each, id=str(each), marks=pytest.mark.mac) for each in every]
    pretended = [pytest.param("stand-in", each, id=f"{each}-stand-in") for each in some]
    return pytest.mark.parametrize(("runtime", "subject"), mac + pretended, indirect=["runtime"])


@pytest.fixture
def runtime(request, monkeypatch):
    """Core ML as it is here, or the reference runtime in its place on a system that calls itself macOS."""
    if request.param == "Core ML":
        yield request.param
        return
    monkeypatch.setattr(native_core_ml, "here", lambda: True)
    monkeypatch.setattr(native_core_ml, "version", lambda: (26, 0))
    with emulation.reference_predictions():
        yield request.param


def core_ml(path, function=None):
    """Core ML's own model of a package, on the CPU; a macOS that is too old for it cannot run the test."""
    if missing := native_core_ml.unmet_requirement(path):
        pytest.skip(f"not run here: {missing}")
    return ct.models.MLModel(str(path), compute_units=ct.ComputeUnit.CPU_ONLY, function_name=function)


def assert_close(found, wanted, tolerance=CLOSE):
    """Equal names and shapes, and values within `tolerance` of the largest finite one."""
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        value, other = np.asarray(value, np.float64), np.asarray(found[name], np.float64)
        assert other.shape == value.shape, name
        scale = np.abs(value[np.isfinite(value)]).max(initial=1.0)
        np.testing.assert_allclose(other, value, rtol=0, atol=tolerance * scale, err_msg=name)


def test_every_family_of_operations_is_there():
    assert sum(map(len, FAMILIES.values())) == len(CASES) and all(FAMILIES.values())


@here_and_pretended(CASES, SAMPLE)
def test_operation(tmp_path, runtime, subject: Case):
    path = tmp_path / "case.mlpackage"
    group = [subject] if subject.inputs else [subject, WITH_INPUT]  # Core ML wants one
    save_cases(group, subject.opset, path)
    inputs = {name: array for i, case in enumerate(group) for name, array in feeds(case, f"c{i}").items()}
    found = core_ml(path).predict(inputs)
    assert_close(found, load(path).predict(inputs), max(CLOSE, subject.tolerance))


def assert_core_ml_agrees(report):
    """Core ML was among those that decided, and all of them passed."""
    assert ON_CPU in {row.runtime for row in report.rows if row.decides}, report
    assert report.passed, report


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@here_and_pretended(NETWORKS, [SMALLEST])
def test_network(tmp_path, runtime, subject, precision):
    module, inputs = networks.made(NETWORKS[subject])
    package = networks.save(networks.convert(module, inputs, precision), tmp_path / "network.mlpackage")
    core_ml(package)
    assert_core_ml_agrees(verify(module, package, inputs))


@here_and_pretended(networks.COMPRESSED, ["int8"])
def test_compressed_weights(tmp_path, runtime, subject):
    module, inputs = networks.made(NETWORKS[SMALLEST])
    target, compress = networks.COMPRESSED[subject]
    package = networks.save(
        compress(networks.convert(module, inputs, "fp16", target)), tmp_path / "small.mlpackage"
    )
    found = core_ml(package).predict(inputs)
    assert_close(found, load(package).predict(inputs), 2e-2)  # fp16 on both sides


@here_and_pretended([6], [6])
def test_a_decoder_keeps_its_cache_as_state(tmp_path, runtime, subject):
    module, model = networks.convert_decoder()
    package = networks.save(model, tmp_path / "decoder.mlpackage")
    core_ml(package)
    assert_core_ml_agrees(verify(module, package, networks.decoder_steps(subject)))


@here_and_pretended([3], [3])
def test_a_state_is_that_of_mlx_over_several_calls(tmp_path, runtime, subject):
    model = convert(
        *(lambda x, total: (2 * (total + x), total + x), mx.zeros((3,)), mx.zeros((3,))),
        states={"total": 1},
        deployment_target="iOS18",
    )
    package = shipping.saved(model, tmp_path, "counter")
    predictor, x = core_ml(package), np.float32([1, -2, 0.5])
    state = predictor.make_state()
    for call in range(1, subject + 1):
        assert_close(predictor.predict({"x": x}, state), {"output_0": 2 * call * x}, 1e-3)


COLOURS = {"RGB": (2, 3, 3), "BGR": (2, 3, 3), "GRAYSCALE": (2, 3)}


@here_and_pretended(COLOURS, COLOURS)
def test_a_picture_goes_in(tmp_path, runtime, subject):
    shape = COLOURS[subject]
    channels = shape[2] if len(shape) == 3 else 1
    model = convert(
        *(lambda x: x.sum(axis=(1, 2)), mx.zeros((1, 2, 3, channels))),
        image_inputs={"x": {"scale": 1 / 255, "color": subject}},
    )
    package = shipping.saved(model, tmp_path, "picture")
    picture = Image.fromarray(np.arange(np.prod(shape), dtype=np.uint8).reshape(shape) * 9)
    assert_close(core_ml(package).predict({"x": picture}), load(package).predict({"x": picture}), 5e-3)


@here_and_pretended(["double", "triple"], ["double", "triple"])
def test_a_function_is_chosen_by_name(tmp_path, runtime, subject):
    factors = {"double": 2, "triple": 3}
    parts = {
        name: shipping.saved(
            convert(lambda x, f=factor: x * f, mx.zeros((2,)), deployment_target="iOS18"), tmp_path, name
        )
        for name, factor in factors.items()
    }
    package, x = shipping.together(parts, tmp_path / "both.mlpackage"), np.float32([1, -2])
    core_ml(package, subject)
    source = {"double": lambda x: x * 2, "triple": lambda x: x * 3}[subject]
    assert_core_ml_agrees(verify(source, package, {"x": x}, framework="mlx", function=subject))


@here_and_pretended([(1, 3), (5, 3), (8, 3)], [(5, 3)])
def test_any_size_in_a_range(tmp_path, runtime, subject):
    model = convert(lambda x: mx.softmax(x, axis=-1), mx.zeros((2, 3)), flexible={"x": {0: (1, 8)}})
    package = shipping.saved(model, tmp_path, "flexible")
    x = np.linspace(-2, 2, np.prod(subject), dtype=np.float32).reshape(subject)
    assert_close(core_ml(package).predict({"x": x}), load(package).predict({"x": x}), 5e-3)


def test_a_conversion_loads_its_package_once_and_on_the_cpu(monkeypatch):
    """Each load compiles the package, and for the Neural Engine that can take minutes."""
    units = []

    class Counted(emulation.ReferenceProxy):
        def __init__(self, path, compute_units, *rest, **options):
            units.append(compute_units)
            super().__init__(path, compute_units, *rest, **options)

    monkeypatch.setattr(emulation, "ReferenceProxy", Counted)
    monkeypatch.setattr(native_core_ml, "here", lambda: True)
    monkeypatch.setattr(native_core_ml, "version", lambda: (26, 0))
    with emulation.reference_predictions():
        convert(lambda x: mx.exp(x) @ mx.ones((3, 2)), mx.zeros((2, 3)))
    assert units == ["CPU_ONLY"]
