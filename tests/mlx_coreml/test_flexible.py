"""Flexible shapes: one program for every size, checked at its least, its greatest and in between."""

import mlx.nn as nn
import numpy as np
import pytest

from coreml_runtime import load
from mlx_coreml import CaptureError, ConversionError, FunctionError, WrongModelError, convert
from mlx_coreml.backends.mil.assemble import target_named
from mlx_coreml.backends.mil.flexible.axes import independent, probes, read_axes, tied
from mlx_coreml.capture.tracing import capture
from twins.frameworks import mx
from twins.models.transformer_lm import Config, MlxTransformerLM


def normal(*shape):
    return mx.array(np.random.default_rng(0).standard_normal(shape).astype(np.float32))


def agree(fn, model, *inputs, tolerance=1e-4):
    """The saved model and MLX on the same inputs."""
    reference = load(model.package_path)
    found = reference.predict(dict(zip(reference.inputs, map(np.array, inputs), strict=True)))
    wanted = fn(*inputs)
    wanted = wanted if isinstance(wanted, tuple | list) else [wanted]
    for ours, theirs in zip(found.values(), wanted, strict=True):
        assert ours.shape == (theirs.shape or (1,))
        np.testing.assert_allclose(ours, np.array(theirs), rtol=tolerance, atol=tolerance)


CASES = {
    "linear": nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3)).__call__,
    "mean over the length": lambda x: x - mx.mean(x, axis=0),
    "mean of everything": lambda x: mx.mean(x),
    "softmax over the length": lambda x: mx.softmax(x, axis=0),
    "last": lambda x: x[-1],
    "first": lambda x: x[:1] * 2,
    "all but the first": lambda x: x[1:] - x[:-1],
    "reversed": lambda x: x[::-1] + 1,
    "heads": lambda x: x.reshape(x.shape[0], 2, 4).transpose(1, 0, 2) @ x.T[:4],
    "merged": lambda x: x.reshape(-1) * 2,
    "repeated": lambda x: mx.repeat(x, 2, axis=0),
    "tiled": lambda x: mx.tile(x, (3, 1)),
    "broadcast": lambda x: mx.broadcast_to(mx.arange(3.0), (x.shape[0], 3)) + x[:, :3],
    "split": lambda x: mx.split(x, [x.shape[0] - 2], axis=0),
    "positions": lambda x: x + mx.arange(x.shape[0], dtype=mx.float32)[:, None],
    "causal": lambda x: (x @ x.T) * mx.tril(mx.ones((x.shape[0], x.shape[0]))),
    "padded": lambda x: mx.pad(x, ((1, 2), (0, 0))),
    "concatenated": lambda x: mx.concatenate([x, mx.zeros((2, 8)), x]),
    "length as a number": lambda x: x / x.shape[0],
    "gathered": lambda x: x[mx.array([0, 2, 1])],
    "interpolated": lambda x: nn.Upsample(2)(x[None])[0],
}


@pytest.fixture(scope="module")
def any_length():
    """Every case as an output of one model."""

    def together(x):
        return {f"case_{i}": fn(x) for i, fn in enumerate(CASES.values())}

    return load(
        convert(together, normal(7, 8), precision="float32", flexible={"x": {0: (3, 40)}}).package_path
    )


@pytest.mark.parametrize("length", [3, 4, 11, 39, 40])
def test_one_program_computes_every_length(any_length, length):
    x = normal(length, 8)
    found = any_length.predict({"x": np.array(x)})
    for (name, fn), prefix in zip(CASES.items(), range(len(CASES)), strict=True):
        wanted = fn(x)
        parts = wanted if isinstance(wanted, list) else [wanted]
        ours = [v for k, v in found.items() if k == f"case_{prefix}" or k.startswith(f"case_{prefix}_")]
        for one, other in zip(ours, parts, strict=True):
            np.testing.assert_allclose(one, np.array(other), rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.fixture(scope="module")
def language_model():
    mx.random.seed(0)
    return MlxTransformerLM(Config(vocabulary=30, context=64, width=64, layers=2, heads=4))


@pytest.mark.parametrize("precision, tolerance", [("float32", 1e-4), ("float16", 2e-2)])
def test_a_language_model_of_any_length_and_batch(language_model, precision, tolerance):
    """Its context and its width are equal: at the longest input a length could pass for a width."""
    tokens = mx.array(np.random.default_rng(0).integers(0, 30, (3, 64)), dtype=mx.int32)
    flexible = {"ids": {0: (1, 3), 1: (1, 64)}}
    model = convert(language_model, tokens[:2, :10], precision=precision, flexible=flexible)
    array = model.get_spec().description.input[0].type.multiArrayType
    bounds = [(size.lowerBound, size.upperBound) for size in array.shapeRange.sizeRanges]
    assert list(array.shape) == [2, 10] and bounds == [(1, 3), (1, 64)]
    for batch, length in ((1, 1), (3, 2), (2, 33), (1, 64)):
        agree(language_model, model, tokens[:batch, :length], tolerance=tolerance)
    with pytest.raises(ValueError, match=r"allowed is \(1 to 3, 1 to 64\)"):
        load(model.package_path).predict({"ids": np.zeros((4, 2), np.int32)})


class Convolutional(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm(8)
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.head = nn.Linear(4, 5)

    def __call__(self, image):
        x = nn.MaxPool2d(2)(nn.relu(self.norm(self.stem(image))))
        x = self.up(x)
        return self.head(x.mean(axis=(1, 2))), x


@pytest.mark.parametrize(
    "sizes, shapes",
    [
        ({0: (1, 8)}, [(1, 16, 16), (8, 16, 16)]),
        ({1: [16, 32, 64], 2: [16, 24, 40]}, [(1, 16, 16), (1, 32, 24), (1, 64, 40)]),
        ({1: (16, 48), 2: (16, 40)}, [(1, 16, 40), (1, 48, 17), (1, 31, 23)]),
    ],
)
def test_pictures_of_any_size_and_batch(sizes, shapes):
    mx.random.seed(0)
    network = Convolutional().eval()
    model = convert(network, normal(1, 16, 16, 3), precision="float32", flexible={"image": sizes})
    for shape in shapes:
        agree(network, model, normal(*shape, 3))


def test_a_cache_of_fixed_capacity_takes_any_number_of_tokens():
    def fn(x, cache, start):
        cache = mx.slice_update(cache, x, start, axes=(0,))
        return cache, mx.slice(cache, start, axes=(0,), slice_size=(2, 4)) @ x.T

    arrays = normal(3, 4), normal(12, 4), mx.array([5])
    model = convert(fn, *arrays, flexible={"x": {0: (2, 6)}}, precision="float32", deployment_target="iOS18")
    for length in (2, 5, 6):
        agree(fn, model, normal(length, 4), *arrays[1:])


def test_a_flexible_picture_is_an_image_input():
    network = Convolutional()
    options = {
        "image_inputs": {"image": {"scale": 1 / 255}},
        "flexible": {"image": {1: (16, 48), 2: (16, 40)}},
    }
    image = convert(network, normal(1, 16, 20, 3), **options).get_spec().description.input[0].type.imageType
    assert (image.height, image.width) == (16, 20)
    bounds = image.imageSizeRange
    assert (bounds.heightRange.upperBound, bounds.widthRange.upperBound) == (48, 40)


def test_lengths_that_mlx_needs_equal_are_one_and_others_vary_apart():
    both = {"x": {0: (2, 20)}, "y": {0: (2, 20)}}
    added = convert(lambda x, y: x + y, normal(5, 3), normal(5, 3), flexible=both, precision="float32")
    agree(lambda x, y: x + y, added, normal(9, 3), normal(9, 3))
    broadcast = convert(
        lambda x, y: x + y, normal(5, 3), normal(5, 1), flexible={"x": {0: (3, 9)}, "y": {0: (3, 9)}}
    )
    agree(lambda x, y: x + y, broadcast, normal(9, 3), normal(9, 1), tolerance=5e-3)
    crossed = convert(lambda x, y: x @ y.T, normal(5, 3), normal(5, 3), flexible=both, precision="float32")
    agree(lambda x, y: x @ y.T, crossed, normal(9, 3), normal(4, 3))


def test_lists_of_sizes_belong_together():
    listed = {"x": {0: [2, 5, 9]}, "y": {0: [2, 5, 9]}}
    model = convert(
        lambda x, y: x + y,
        normal(5, 3),
        normal(5, 3),
        flexible=listed,
        deployment_target="iOS18",
        precision="float32",
    )
    agree(lambda x, y: x + y, model, normal(9, 3), normal(9, 3))
    with pytest.raises(ValueError, match="allowed is"):
        load(model.package_path).predict({"x": np.zeros((4, 3)), "y": np.zeros((4, 3))})


def test_probes_avoid_sizes_of_the_model_and_one():
    graph = capture(lambda x, y: x @ y, normal(20, 24), normal(24, 9))
    axes = read_axes({"x": {0: (1, 64)}, "y": {1: (8, 16)}}, graph, target_named("iOS17"))
    made = probes(independent(axes), avoid={24, 40, 39})
    rows = [sizes[0, 0] for sizes in made]
    columns = [sizes[1, 1] for sizes in made]
    assert rows[0] == 64 and columns[0] == 16 and len(made) == 4
    assert len(set(rows)) == 4 and not {1, 24, 39, 40} & set(rows)
    assert all(8 <= n <= 16 for n in columns) and len(tied(axes)) == 2


def flexible(sizes, fn=lambda x: x * 2, **options):
    return convert(fn, normal(5, 8), flexible=sizes, **options)


REFUSED = {
    r"flexible\['x'\] is \(1, 9\); allowed is {axis": lambda: flexible({"x": (1, 9)}),
    "axis 'a' of 'x', which has axes 0 to 1": lambda: flexible({"x": {"a": (1, 9)}}),
    "contains a loop, whose size must be fixed; a GRU": lambda: flexible(
        {"x": {0: (1, 9)}}, nn.GRU(8, 4).__call__
    ),
    "flexible names input 'y'; the inputs are x": lambda: flexible({"y": {0: (1, 9)}}),
    "axis 3 of 'x', which has axes 0 to 1": lambda: flexible({"x": {3: (1, 9)}}),
    "does not hold the example's size 5": lambda: flexible({"x": {0: (6, 9)}}),
    r"is \[2, 9\], which does not hold the example's size 5": lambda: flexible({"x": {0: [2, 9]}}),
    "is 3; allowed are a range": lambda: flexible({"x": {0: 3}}),
    r"is \(0, 9\); allowed are a range": lambda: flexible({"x": {0: (0, 9)}}),
    r"is \[9, 5\]; allowed are": lambda: flexible({"x": {0: [9, 5]}}),
    "Core ML takes up to 128": lambda: flexible({"x": {0: list(range(1, 200))}}),
    "Core ML takes one kind per input": lambda: flexible({"x": {0: (1, 9), 1: [8, 16]}}),
    "lists belong together": lambda: flexible({"x": {0: [5, 9], 1: [8, 9, 10]}}),
    "need deployment_target iOS18 or later": lambda: convert(
        lambda x, y: x + y, normal(5), normal(5), flexible={"x": {0: [2, 5]}, "y": {0: [2, 5]}}
    ),
    r"operation 'add' \('Add'\) has a constant that is \[0 -0.2793 .* a list of sizes": lambda: flexible(
        {"x": {0: (1, 90)}},
        lambda x: x + mx.array(np.sin(np.arange(8) * x.shape[0] % 7).astype(np.float32)),
    ),
    "where the largest has 'split' .* with 9 results, a smaller one has 'split'": lambda: flexible(
        {"x": {0: (1, 9)}}, lambda x: sum(mx.split(x, x.shape[0], axis=0)[:2])
    ),
    "the model differs between sizes: where the largest has 'sin'": lambda: flexible(
        {"x": {0: (1, 9)}}, lambda x: mx.sin(x) if x.shape[0] > 7 else mx.cos(x)
    ),
}


@pytest.mark.parametrize("told", REFUSED)
def test_what_cannot_be_flexible_is_told(told):
    with pytest.raises(ConversionError, match=told) as refused:
        REFUSED[told]()
    assert "\n" not in str(refused.value)


def test_a_model_that_changes_where_nobody_looked_is_caught_by_the_check():
    with pytest.raises(WrongModelError, match="not what MLX computes"):
        flexible({"x": {0: (1, 90)}}, lambda x: mx.sin(x) if x.shape[0] > 7 else mx.cos(x))


def no_batch_of_one(x):
    if x.shape[0] == 1:
        raise ValueError("no batch of one")
    return x * 2


def test_mlxs_own_refusal_of_a_size_comes_through():
    def halves(x):
        return x.reshape(2, -1, 8)

    with pytest.raises(FunctionError, match=r"halves fails at x \(9, 8\): .*Cannot reshape"):
        convert(halves, normal(4, 8), flexible={"x": {0: (1, 9)}})
    with pytest.raises(FunctionError, match=r"fails in the check at \(1, 8\): ValueError: no batch of one"):
        flexible({"x": {0: (1, 90)}}, no_batch_of_one)
    with pytest.raises(CaptureError, match="reads the numbers"):
        flexible({"x": {0: (1, 9)}}, lambda x: x if x.sum() > 0 else -x)
