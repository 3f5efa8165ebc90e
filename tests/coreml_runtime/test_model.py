"""`Model.predict` as Core ML's own call: inputs, errors, images, classifiers, functions, shapes."""

import coremltools as ct
import numpy as np
import pytest
import torch
from cases import floats
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types
from packages import OPSETS, save
from PIL import Image

from coreml_runtime import load


@pytest.fixture(scope="module")
def sum_package(tmp_path_factory):
    @mb.program(
        input_specs=[mb.TensorSpec(shape=(2, 3)), mb.TensorSpec(shape=(3,), dtype=types.int32)],
        opset_version=OPSETS[17],
    )
    def program(x, n):
        return mb.add(x=x, y=mb.cast(x=n, dtype="fp32"), name="total"), mb.reduce_sum(
            x=n, axes=[0], name="count"
        )

    return save(program, 17, tmp_path_factory.mktemp("model") / "sum.mlpackage")


X, N = floats(2, 3), np.array([1, 2, 3], np.int32)


def test_outputs_have_the_declared_names_types_and_shapes(sum_package):
    found = load(sum_package).predict({"x": X, "n": N})
    np.testing.assert_allclose(found["total"], X + N, rtol=1e-6)
    assert found["total"].dtype == np.float32 and found["count"].dtype == np.int32
    assert found["count"].tolist() == [6]  # Core ML has no arrays of rank 0


@pytest.mark.parametrize(
    "inputs, error, message",
    [
        (
            {"x": X},
            ValueError,
            r"input 'n' is missing; the model takes x \(float32 \(2, 3\)\), n \(int32 \(3,\)\)",
        ),
        ({"x": X, "n": N, "z": X}, ValueError, "the model has no input 'z'; it takes x"),
        ({"x": X.T, "n": N}, ValueError, r"input 'x' has shape \(3, 2\), allowed is \(2, 3\)"),
        ({"x": X[0], "n": N}, ValueError, r"input 'x' has shape \(3,\), allowed is \(2, 3\)"),
        ({"x": X, "n": N + 0.5}, TypeError, "input 'n' is float64 with fractions, expected int32"),
        ({"x": "text", "n": N}, TypeError, "input 'x' is .* which is not numeric"),
    ],
    ids=["missing", "superfluous", "transposed", "rank", "fractions", "text"],
)
def test_wrong_inputs(sum_package, inputs, error, message):
    with pytest.raises(error, match=message):
        load(sum_package).predict(inputs)


def test_inputs_of_other_number_types_are_converted(sum_package):
    model = load(sum_package)
    wanted = model.predict({"x": X, "n": N})["total"]
    for x, n in (
        (X.astype(np.float64), N.astype(np.int64)),
        (torch.from_numpy(X), N.astype(np.float32)),
        (X.tolist(), N),
    ):
        np.testing.assert_array_equal(model.predict({"x": x, "n": n})["total"], wanted)


def test_inputs_and_outputs_share_no_memory(sum_package, tmp_path):
    program = mb.program(input_specs=[mb.TensorSpec(shape=(2, 3))], opset_version=OPSETS[17])(
        lambda x: mb.identity(x=x)
    )
    model, x = load(save(program, 17, tmp_path / "same.mlpackage")), X.copy()
    (found,) = model.predict({"x": x}).values()
    found[:] = 7
    np.testing.assert_array_equal(x, X)


def converted(tmp_path, function, inputs, opset=16, **options):
    """A traced torch function, converted in float32 and loaded."""

    class Wrapped(torch.nn.Module):
        def forward(self, *values):
            return function(*values)

    shapes = [getattr(declared.shape, "default", None) or declared.shape.shape for declared in inputs]
    examples = [torch.rand([int(n) for n in shape]) for shape in shapes]
    model = ct.convert(
        torch.jit.trace(Wrapped().eval(), examples),
        inputs=inputs,
        minimum_deployment_target=OPSETS[opset],
        compute_precision=ct.precision.FLOAT32,
        **options,
    )
    model.save(str(tmp_path / "converted.mlpackage"))
    return load(tmp_path / "converted.mlpackage")


def test_range_of_shapes(tmp_path):
    flexible = ct.TensorType(name="x", shape=(1, ct.RangeDim(2, 5, default=3)), dtype=np.float32)
    model = converted(tmp_path, lambda x: torch.softmax(2 * x, -1), [flexible])
    for size in (2, 5):
        x = floats(1, size)
        wanted = torch.softmax(2 * torch.from_numpy(x), -1)
        np.testing.assert_allclose(next(iter(model.predict({"x": x}).values())), wanted, rtol=1e-5)
    with pytest.raises(ValueError, match=r"has shape \(1, 6\), allowed is \(1, 2 to 5\)"):
        model.predict({"x": floats(1, 6)})


def test_enumerated_shapes(tmp_path):
    shapes = ct.EnumeratedShapes([(1, 2), (1, 4)], default=(1, 2))
    model = converted(tmp_path, torch.exp, [ct.TensorType(name="x", shape=shapes, dtype=np.float32)])
    x = floats(1, 4)
    np.testing.assert_allclose(next(iter(model.predict({"x": x}).values())), np.exp(x), rtol=1e-5)
    with pytest.raises(ValueError, match=r"has shape \(1, 3\), allowed is \(1, 2\) or \(1, 4\)"):
        model.predict({"x": floats(1, 3)})


def test_optional_input_has_its_default(tmp_path):
    optional = ct.TensorType(
        name="y", shape=(2,), dtype=np.float32, default_value=np.full(2, 5.0, np.float32)
    )
    inputs = [ct.TensorType(name="x", shape=(2,), dtype=np.float32), optional]
    model = converted(tmp_path, lambda x, y: x + y, inputs)
    x = floats(2)
    np.testing.assert_allclose(next(iter(model.predict({"x": x}).values())), x + 5, rtol=1e-6)
    np.testing.assert_allclose(next(iter(model.predict({"x": x, "y": x}).values())), 2 * x, rtol=1e-6)


PIXELS = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)


@pytest.mark.parametrize("layout", ["RGB", "BGR"])
def test_colour_image(tmp_path, layout):
    image = ct.ImageType(
        name="x", shape=(1, 3, 4, 6), color_layout=layout, scale=1 / 255, bias=[0.1, 0.2, 0.3]
    )
    model = converted(tmp_path, lambda x: x * 2, [image])
    found = next(iter(model.predict({"x": Image.fromarray(PIXELS)}).values()))
    channels = PIXELS.transpose(2, 0, 1)[:: 1 if layout == "RGB" else -1]
    wanted = 2 * (channels / 255 + np.array([0.1, 0.2, 0.3]).reshape(3, 1, 1))
    np.testing.assert_allclose(found[0], wanted, rtol=1e-5)


def test_grayscale_image(tmp_path):
    image = ct.ImageType(name="x", shape=(1, 1, 4, 6), color_layout=ct.colorlayout.GRAYSCALE)
    model = converted(tmp_path, lambda x: x + 1, [image])
    found = next(iter(model.predict({"x": Image.fromarray(PIXELS[..., 0])}).values()))
    np.testing.assert_allclose(found[0, 0], PIXELS[..., 0] + 1.0)


@pytest.mark.parametrize("layout", ["RGB", "BGR"])
def test_image_output(tmp_path, layout):
    image = ct.ImageType(name="x", shape=(1, 3, 4, 6), color_layout=layout)
    model = converted(
        tmp_path, lambda x: 255 - x, [image], outputs=[ct.ImageType(name="negative", color_layout=layout)]
    )
    found = model.predict({"x": Image.fromarray(PIXELS)})["negative"]
    assert found.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(found), 255 - PIXELS)


@pytest.mark.parametrize(
    "value, error, message",
    [
        (PIXELS, TypeError, "input 'x' is ndarray, expected a PIL image of mode RGB"),
        (Image.new("L", (6, 4)), ValueError, "image 'x' has mode L, RGB needs mode RGB"),
        (
            Image.new("RGB", (4, 6)),
            ValueError,
            r"height 6 and width 4, allowed \(height, width\) is \(4, 6\)",
        ),
    ],
    ids=["array", "mode", "size"],
)
def test_wrong_images(tmp_path, value, error, message):
    model = converted(tmp_path, lambda x: x * 2, [ct.ImageType(name="x", shape=(1, 3, 4, 6))])
    with pytest.raises(error, match=message):
        model.predict({"x": value})


@pytest.mark.parametrize("labels", [["cat", "dog", "eel"], [10, 20, 30]], ids=["text", "numbers"])
def test_classifier(tmp_path, labels):
    config = ct.ClassifierConfig(labels, predicted_feature_name="kind")
    inputs = [ct.TensorType(name="x", shape=(1, 3), dtype=np.float32)]
    model = converted(tmp_path, lambda x: torch.softmax(x * 1, -1), inputs, classifier_config=config)
    x = np.array([[0.1, 2.0, -1.0]], np.float32)
    found = model.predict({"x": x})
    (probabilities,) = (value for value in found.values() if isinstance(value, dict))
    assert found["kind"] == labels[1] and list(probabilities) == labels
    np.testing.assert_allclose(list(probabilities.values()), np.exp(x[0]) / np.exp(x[0]).sum(), rtol=1e-5)


def test_functions_of_one_package(tmp_path, sum_package):
    @mb.program(input_specs=[mb.TensorSpec(shape=(4,))], opset_version=OPSETS[18])
    def double(z):
        return mb.mul(x=z, y=2.0, name="twice")

    save(double, 18, tmp_path / "double.mlpackage")
    functions = ct.utils.MultiFunctionDescriptor()
    functions.add_function(str(sum_package), src_function_name="main", target_function_name="sum")
    functions.add_function(
        str(tmp_path / "double.mlpackage"), src_function_name="main", target_function_name="double"
    )
    functions.default_function_name = "sum"
    ct.utils.save_multifunction(functions, str(tmp_path / "both.mlpackage"))
    z = floats(4)
    np.testing.assert_array_equal(
        load(tmp_path / "both.mlpackage", function="double").predict({"z": z})["twice"], 2 * z
    )
    assert list(load(tmp_path / "both.mlpackage", function="sum").inputs) == ["x", "n"]
    with pytest.raises(ValueError, match="has no function 'main'; it has double, sum"):
        load(tmp_path / "both.mlpackage")


def test_no_state(sum_package):
    with pytest.raises(ValueError, match="has no state"):
        load(sum_package).make_state()
