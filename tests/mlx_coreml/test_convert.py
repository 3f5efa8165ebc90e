"""The call that converts: names, metadata, formats, the check against MLX, refusals in one sentence."""

import re
import subprocess
import sys

import mlx.nn as nn
import numpy as np
import pytest
from coremltools.converters.mil.mil import Builder as mb
from PIL import Image

from coreml_runtime import load
from mlx_coreml import ConversionError, UnsupportedError, WrongModelError, convert, lowering
from mlx_coreml.backends.mil.assemble import target_named
from mlx_coreml.backends.mil.lowering.registry import RULES
from mlx_coreml.conversion.convert import Request, lower
from twins.frameworks import mx

import torch  # isort: skip  (after twins.frameworks: the BLAS)

X = mx.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]])


def names(model, side="output") -> list[str]:
    return [feature.name for feature in getattr(model.get_spec().description, side)]


def verdict(model) -> float:
    """The worst error that the check reports."""
    return float(re.search(r"error (\S+)", model.user_defined_metadata["verified"])[1])


class Convolutional(nn.Module):
    """Every family of vision: strided convolution, batch norm, pooling, a mean, a linear layer."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm(8)
        self.conv = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, 5)

    def __call__(self, image):
        x = nn.MaxPool2d(2)(nn.relu(self.norm(self.stem(image))))
        return self.head(nn.relu(self.conv(x)).mean(axis=(1, 2)))


def test_a_model_is_saved_and_predicts(tmp_path):
    network = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
    model = convert(network, X, precision="float32", outputs=["y"])
    model.save(str(tmp_path / "network.mlpackage"))
    found = load(tmp_path / "network.mlpackage").predict({"x": np.array(X)})
    np.testing.assert_allclose(found["y"], np.array(network(X)), rtol=1e-5)
    assert verdict(model) < 1e-5 and "/" not in model.user_defined_metadata["verified"]


def test_names_are_the_functions_own_made_identifiers():
    def fn(tokens, options):
        return {
            "a b": tokens + 1,
            "a.b": tokens * 2,
            "9": tokens,
            "tensor": options["mask"],
            "tokens": tokens - 1,
        }

    model = convert(fn, X, {"mask": X})
    assert names(model, "input") == ["tokens", "options_mask"]
    assert names(model) == ["a_b", "a_b_1", "output_9", "tensor_", "tokens_1"]
    model = convert(lambda x: (x + 1, [x * 2, x]), X, check=False)
    assert names(model) == ["output_0", "output_1_0", "output_1_1"]


def test_metadata_goes_to_its_fields():
    told = {"author": "A", "license": "MIT", "version": 2, "short_description": "adds", "corpus": "c"}
    model = convert(lambda x: x + 1, X, metadata=told | {"inputs": {"x": "in"}, "outputs": {"output": "out"}})
    assert (model.author, model.license, model.version, model.short_description) == ("A", "MIT", "2", "adds")
    assert model.input_description["x"] == "in" and model.output_description["output"] == "out"
    assert model.user_defined_metadata["corpus"] == "c"


@pytest.mark.parametrize(
    "fn, example",
    [
        (lambda x: x, X),
        (lambda x: mx.array([1.0, 2.0]), X),
        (lambda x: (x + 1,) * 2, X),
        (lambda x: (x, x), X),
        (lambda x: x.sum(), X),
        (lambda x: x * 2, mx.array(3.0)),
        (mx.logical_not, mx.array([True, False])),
        (lambda x: x * 2, X.astype(mx.bfloat16)),
        (lambda x: x * 2, mx.array([70000, -3], mx.int64)),
    ],
)
@pytest.mark.parametrize("target", ["iOS15", "iOS18"])
def test_anything_of_arrays_converts(fn, example, target):
    assert verdict(convert(fn, example, deployment_target=target)) < 5e-3


def test_half_types_go_in_and_out_as_fp16_where_core_ml_can():
    kinds = []
    for target in ("iOS15", "iOS16"):
        spec = convert(lambda x: x * 2, X.astype(mx.float16), deployment_target=target).get_spec()
        kinds += [f.type.multiArrayType.dataType for f in (*spec.description.input, *spec.description.output)]
    assert kinds == [65568, 65568, 65552, 65552]  # FLOAT32 twice, FLOAT16 twice


@pytest.fixture
def sine():
    """Replaces the rule for Sin until the test ends."""
    original = RULES["Sin"]
    yield lowering("Sin", override=True)
    RULES["Sin"] = original


def test_check_refuses_a_wrong_model_and_names_the_operation(sine):
    sine(lambda node, x: RULES["Cos"](node, x))
    with pytest.raises(WrongModelError, match=r"not what MLX computes: .* diverges at cos 'Sin'"):
        convert(lambda x: mx.sin(x) + 1, X)
    assert names(convert(lambda x: mx.sin(x) + 1, X, check=False)) == ["output"]


def test_what_would_be_baked_from_the_example_is_refused():
    calls = []

    def counting(x):
        calls.append(1)
        return x * len(calls)

    for fn in (counting, lambda x: x + mx.random.normal((3,))):
        with pytest.raises(WrongModelError):
            convert(fn, X)


def test_check_runs_in_evaluation_mode_and_leaves_the_module_as_it_was():
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm(4), nn.Dropout(0.5))
    network.train()
    before = np.array(network.layers[1].running_mean)
    assert verdict(convert(network, X)) < 5e-3
    assert network.training and network.layers[1].training
    np.testing.assert_array_equal(np.array(network.layers[1].running_mean), before)


def test_a_lowering_can_be_added_and_is_not_replaced_by_accident():
    def energy(x):
        return mx.linalg.svd(x, compute_uv=False, stream=mx.cpu)

    with pytest.raises(UnsupportedError, match=r"no lowering for SVD \(1 times, in the function itself\)"):
        convert(energy, X)
    lowering("SVD")(lambda node, x: mb.reduce_l2_norm(x=x, axes=[1], keep_dims=False))
    try:
        orthogonal = mx.array([[0.0, 3.0, 0.0], [2.0, 0.0, 0.0]])
        model = convert(energy, orthogonal, precision="float32", check=False)
        found = load(model.package_path).predict({"x": np.array(orthogonal)})
        np.testing.assert_allclose(found["output"], np.array(energy(orthogonal)), rtol=1e-6)
        with pytest.raises(WrongModelError):
            convert(energy, X)
    finally:
        del RULES["SVD"]
    with pytest.raises(ValueError, match="'Sin' has a lowering already"):
        lowering("Sin")(lambda node, x: x)


def test_every_unsupported_primitive_is_told_at_once():
    class Factored(nn.Module):
        def __call__(self, x):
            return mx.linalg.svd(x, stream=mx.cpu)[1] + mx.linalg.qr(x, stream=mx.cpu)[1].sum()

    network = nn.Sequential(nn.Linear(3, 3), Factored())
    with pytest.raises(UnsupportedError, match=r"QRF \(1 times, in layers.1\).*SVD \(1 times, in layers.1\)"):
        convert(network, X)


def test_what_a_rule_cannot_do_is_one_sentence(sine):
    sine(lambda node, x: mb.reshape(x=x, shape=[5]))
    with pytest.raises(ConversionError, match=r"primitive 'Sin' .* cannot be lowered: Invalid target shape"):
        convert(mx.sin, X)
    sine(lambda node, x: mb.reshape(x=x, shape=[6]))
    with pytest.raises(ConversionError, match=r"was lowered to fp..\[6\], expected is fp16 or fp32\[2, 3\]"):
        convert(mx.sin, X)


REFUSED = {
    "names 1": lambda: convert(lambda x: (x, x + 1), X, outputs=["a"]),
    "precision 'int8' is not known; known are float16, float32, mixed": lambda: convert(
        mx.sin, X, precision="int8"
    ),
    "deployment target 'iOS12' is not known; known are iOS13": lambda: convert(
        mx.sin, X, deployment_target="iOS12"
    ),
    "has rank 6; Core ML allows rank 5 at most": lambda: convert(mx.sin, mx.zeros((1, 2, 1, 2, 1, 2))),
    "holds 1099511627776, beyond int32": lambda: convert(lambda x: x + 2**40, mx.array([1], mx.int64)),
    "Core ML has no complex numbers": lambda: convert(lambda x: mx.real(x), mx.array([1 + 2j])),
    "Core ML has no empty arrays": lambda: convert(mx.sin, mx.zeros((0, 3))),
    "image_inputs names 'y'; the inputs are x": lambda: convert(lambda x: x, X, image_inputs={"y": {}}),
    "has key 'scal'; known are": lambda: convert(
        lambda x: x, mx.zeros((1, 4, 4, 3)), image_inputs={"x": {"scal": 1}}
    ),
    "color 'CMYK'; known are RGB": lambda: convert(
        lambda x: x, mx.zeros((1, 4, 4, 3)), image_inputs={"x": {"color": "CMYK"}}
    ),
    r"RGB needs floating-point \[1, height, width, 3\]": lambda: convert(
        lambda x: x, X, image_inputs={"x": {}}
    ),
    "2 biases; RGB takes 1 or 3": lambda: convert(
        lambda x: x, mx.zeros((1, 4, 4, 3)), image_inputs={"x": {"bias": [1, 2]}}
    ),
    "metadata describes input 'z'; the model has x": lambda: convert(
        lambda x: x, X, metadata={"inputs": {"z": ""}}
    ),
    "function to capture is int; allowed are MLX modules": lambda: convert(3, X),
    "function to capture is Linear; allowed are MLX modules": lambda: convert(torch.nn.Linear(3, 2), X),
    "returns an array of shape \\(0, 3\\) at '1'; Core ML has no empty": lambda: convert(
        lambda x: (x, x[:0]), X
    ),
    r"outputs=\[1\]; allowed is a name, or a list of names": lambda: convert(mx.sin, X, outputs=[1]),
    r"states is \['x'\]; allowed is a dictionary": lambda: convert(
        mx.sin, X, states=["x"], deployment_target="iOS18"
    ),
    r"flexible is \['x'\]; allowed is a dictionary": lambda: convert(mx.sin, X, flexible=["x"]),
    "image_inputs is 'x'; allowed is a dictionary": lambda: convert(mx.sin, X, image_inputs="x"),
    r"image_inputs\['x'\] is 'RGB'; allowed is a dictionary": lambda: convert(
        lambda x: x, mx.zeros((1, 4, 4, 3)), image_inputs={"x": "RGB"}
    ),
    "has scale 'a'; allowed is a number": lambda: convert(
        lambda x: x, mx.zeros((1, 4, 4, 3)), image_inputs={"x": {"scale": "a"}}
    ),
    "input 'x' is both an image and a state": lambda: convert(
        lambda x: (x, x * 2),
        mx.zeros((1, 4, 4, 3)),
        image_inputs={"x": {}},
        states={"x": 1},
        deployment_target="iOS18",
    ),
    "metadata has key 3; allowed are texts": lambda: convert(mx.sin, X, metadata={3: ""}),
    "deployment target 17 is not known": lambda: convert(mx.sin, X, deployment_target=17),
    "states need deployment_target iOS18": lambda: convert(
        lambda x, c: (x, c + x), X, X, states={"c": 1}, deployment_target="iOS14"
    ),
}


@pytest.mark.parametrize("told", REFUSED)
def test_refusals_are_one_sentence(told):
    with pytest.raises(ConversionError, match=told) as refused:
        REFUSED[told]()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "color, options", [("RGB", {"bias": [-1, -1.1, -0.9]}), ("BGR", {}), ("GRAYSCALE", {"bias": -0.5})]
)
def test_a_picture_is_scaled_and_turned(color, options):
    channels = 1 if color == "GRAYSCALE" else 3
    mx.random.seed(0)
    network = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.ReLU())
    example = mx.random.normal((1, 12, 10, channels))
    model = convert(
        network,
        example,
        precision="float32",
        image_inputs={"x": {"scale": 1 / 127.5, "color": color} | options},
    )
    assert verdict(model) < 1e-5
    pixels = np.random.default_rng(1).integers(0, 256, (12, 10, channels), np.uint8)
    found = load(model.package_path).predict({"x": Image.fromarray(pixels.squeeze())})["output"]
    numbers = pixels[..., ::-1] if color == "BGR" else pixels
    wanted = network(mx.array(numbers[None] / 127.5 + np.array(options.get("bias", 0.0)), dtype=mx.float32))
    np.testing.assert_allclose(found, np.array(wanted), atol=1e-5)
    image = model.get_spec().description.input[0].type.imageType
    assert (image.height, image.width) == (12, 10)


def test_a_pictures_transpose_goes_away():
    request = (Convolutional(), [mx.zeros((1, 16, 16, 3))], None, {}, {})
    kinds = []
    for images in ({}, {"image": {}}):
        lowered = lower(Request(*request, images, target_named("iOS17"), "float16"))
        kinds.append([o.op_type for o in lowered.program.functions["main"].operations].count("transpose"))
    assert kinds == [1, 0]


@pytest.mark.parametrize("target", ["iOS13", "iOS14", "macOS11"])
def test_early_targets_give_a_neural_network(target, tmp_path):
    model = convert(Convolutional(), mx.random.normal((1, 16, 16, 3)), deployment_target=target)
    spec = model.get_spec()
    assert spec.WhichOneof("Type") == "neuralNetwork" and spec.specificationVersion <= 5
    kinds = [layer.WhichOneof("layer") for layer in spec.neuralNetwork.layers]
    assert kinds.count("convolution") == 2 and kinds.count("pooling") == 1
    assert names(model, "input") == ["image"] and names(model) == ["output"]
    assert verdict(model) < 1e-5
    model.save(str(tmp_path / "network.mlmodel"))
    assert (tmp_path / "network.mlmodel").stat().st_size > 4 * 8 * 8 * 9


def test_what_a_neural_network_cannot_express_is_refused(sine):
    sine(lambda node, x: mb.fill_like(ref_tensor=x, value=1.0))
    with pytest.raises(ConversionError, match=r"primitive 'Sin' .* cannot be lowered: .*iOS13"):
        convert(mx.sin, X, deployment_target="iOS13")


IMPORTS = """
import sys
import coreml_runtime
assert "mlx" not in sys.modules
assert "torch" not in sys.modules
from mlx_coreml import convert, lowering
assert all(map(callable, (convert, lowering)))
from twins.frameworks import mx
convert(mx.tanh, mx.zeros((2,)))
"""


def test_the_runtime_imports_no_mlx_and_a_conversion_says_nothing():
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_recurrence_written_out_from_constant_states_converts():
    weights, inner = (mx.random.normal((8, 32), key=mx.random.key(seed)) for seed in (1, 2))
    bias = mx.ones((32,))

    def lstm(x):
        gates, hidden, cell, made = mx.addmm(bias, x, inner), None, mx.zeros((1, 8)), []
        for step in range(2):
            read = gates[:, step] if hidden is None else gates[:, step] + hidden @ weights
            i, f, u, o = mx.split(mx.zeros((1, 32)) + read, 4, axis=-1)
            cell = mx.sigmoid(f) * cell + mx.sigmoid(i) * mx.tanh(u)
            hidden = mx.sigmoid(o) * mx.tanh(cell)
            made.append(hidden)
        return mx.stack(made, axis=1)

    assert (
        verdict(convert(lstm, mx.random.normal((1, 2, 8), key=mx.random.key(3)), precision="float32")) < 1e-5
    )
