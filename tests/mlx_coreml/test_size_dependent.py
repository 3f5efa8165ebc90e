"""Constants that depend on flexible sizes: each network is compared with MLX at many sizes."""

import inspect
import math

import mlx.nn as nn
import numpy as np
import pytest

from coreml_runtime import load
from mlx_coreml import ConversionError, convert
from twins.frameworks import mx


def normal(*shape, seed=0):
    return mx.array(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


P, RELATIVE, ROPE, QKV = normal(64, 8), normal(127, 4), nn.RoPE(8), nn.Linear(8, 24)
STRIDE, PATCH = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Conv2d(3, 8, 8, stride=8)
SKIP, GRID = nn.ConvTranspose2d(8, 3, 2, stride=2), normal(1, 4, 4, 8)
mx.eval([layer.parameters() for layer in (QKV, STRIDE, PATCH, SKIP)])


def attend(x):
    q, k, v = mx.split(QKV(x), 3, -1)
    return mx.softmax(q @ k.swapaxes(-1, -2) * 8**-0.5, -1) @ v


def windows(x, size=7):
    """SAM: padded to whole windows, attended to in each, cut back."""
    batch, height, width, channels = x.shape
    down, right = -height % size, -width % size
    y = mx.pad(x, [(0, 0), (0, down), (0, right), (0, 0)]) if down or right else x
    rows, columns = (height + down) // size, (width + right) // size
    y = y.reshape(batch, rows, size, columns, size, channels).transpose(0, 1, 3, 2, 4, 5)
    y = attend(y.reshape(-1, size * size, channels))
    y = y.reshape(batch, rows, columns, size, size, channels).transpose(0, 1, 3, 2, 4, 5)
    return x + y.reshape(batch, rows * size, columns * size, channels)[:, :height, :width]


def shifted_mask(height, width, size, shift):
    """Swin: which tokens of a shifted window were neighbours before."""
    regions, count = mx.zeros((1, height, width, 1)), 0
    parts = slice(0, -size), slice(-size, -shift), slice(-shift, None)
    for rows in parts:
        for columns in parts:
            regions[:, rows, columns, :] = count
            count += 1
    regions = regions.reshape(1, height // size, size, width // size, size, 1).transpose(0, 1, 3, 2, 4, 5)
    regions = regions.reshape(-1, size * size)
    return mx.where(regions[:, None] != regions[:, :, None], -100.0, 0.0)


def shifted_windows(x, size=4, shift=2):
    batch, height, width, channels = x.shape
    y = mx.pad(x, [(0, 0), (0, -height % size), (0, -width % size), (0, 0)])
    _, tall, wide, _ = y.shape
    y = mx.roll(y, (-shift, -shift), (1, 2))
    y = y.reshape(batch, tall // size, size, wide // size, size, channels).transpose(0, 1, 3, 2, 4, 5)
    q, k, v = mx.split(QKV(y.reshape(-1, size * size, channels)), 3, -1)
    scores = q @ k.swapaxes(-1, -2) + shifted_mask(tall, wide, size, shift)
    y = (mx.softmax(scores, -1) @ v).reshape(batch, tall // size, wide // size, size, size, channels)
    y = mx.roll(y.transpose(0, 1, 3, 2, 4, 5).reshape(batch, tall, wide, channels), (shift, shift), (1, 2))
    return x + y[:, :height, :width]


def neighbours(x, size=4):
    """A conformer's local attention: blocks, without what was padded."""
    length = x.shape[1]
    y = mx.pad(x, [(0, 0), (0, -length % size), (0, 0)])
    count = y.shape[1] // size
    y = y.reshape(1, count, size, 8)
    valid = (mx.arange(count * size) < length).reshape(count, 1, size)
    scores = mx.where(valid, y @ y.swapaxes(-1, -2), -1e9)
    return (mx.softmax(scores, -1) @ y).reshape(1, -1, 8)[:, :length]


def resized_positions(image):
    """A vision transformer: its table of positions is resized to the patches."""
    x = PATCH(image)
    batch, height, width, channels = x.shape
    x = x + nn.Upsample((height / 4, width / 4), "linear", align_corners=False)(GRID)
    return attend(x.reshape(batch, height * width, channels)).reshape(batch, height, width, channels)


def buckets(count, offset=0):
    """T5's relative positions."""
    distance = mx.arange(count)[None] - (mx.arange(1)[:, None] + offset)
    size = mx.abs(distance)
    large = 4 + (mx.log(size.astype(mx.float32) / 4) * (4 / math.log(8))).astype(mx.int32)
    return P[(distance > 0) * 8 + mx.where(size < 4, size, mx.minimum(large, 7))][..., 0]


def cached(x, keys):
    """Attention whose positions begin where the cache ends."""
    past, count = keys.shape[1], x.shape[1]
    q, k = ROPE(x, offset=past), mx.concatenate([keys, ROPE(x, offset=past)], 1)
    seen = mx.arange(past, past + count)[:, None] >= mx.arange(past + count)
    return mx.softmax(mx.where(seen, q @ k.swapaxes(1, 2), -1e9), -1) @ k


def sinusoids(image):
    """DETR: positions of two axes from counts of a mask."""
    x = STRIDE(image)
    ones = mx.ones((1, *x.shape[1:3]))
    y, z = mx.cumsum(ones, 1), mx.cumsum(ones, 2)
    y, z = (a / (b + 1e-6) * 2 * math.pi for a, b in ((y, y[:, -1:]), (z, z[:, :, -1:])))
    return x + mx.concatenate([f(a[..., None] * P[0, :2]) for a in (y, z) for f in (mx.sin, mx.cos)], -1)


LENGTH, KEYS = {"x": {1: (2, 60)}}, {"keys": {1: (1, 60)}}
IMAGE = {"image": {1: (16, 48), 2: (16, 48)}}
SIZES = {
    "length": (LENGTH, [normal(1, 5, 8)], [{"x": {1: n}} for n in (2, 3, 7, 31, 59, 60)]),
    "cache": (
        KEYS,
        [normal(1, 1, 8), normal(1, 5, 8)],
        [{"keys": {1: n}} for n in (1, 2, 7, 31, 59, 60)],
    ),
    "image": (
        IMAGE,
        [normal(1, 20, 24, 3)],
        [{"image": {1: h, 2: w}} for h, w in ((16, 16), (48, 48), (17, 19), (33, 46), (40, 24))],
    ),
    "map": (
        {"x": {1: (8, 40), 2: (8, 40)}},
        [normal(1, 15, 17, 8)],
        [{"x": {1: h, 2: w}} for h, w in ((8, 8), (40, 40), (14, 21), (14, 16), (23, 37), (9, 40))],
    ),
}
FAST = {
    "a row of a table": ("cache", lambda x, keys: x + P[keys.shape[1] : keys.shape[1] + 1] + keys.sum()),
    "rows by arange": (
        "cache",
        lambda x, keys: x + P[mx.arange(keys.shape[1], keys.shape[1] + 1)] + keys.sum(),
    ),
    "attention beside a cache": ("cache", cached),
    "buckets beside a cache": (
        "cache",
        lambda x, keys: (x @ keys.swapaxes(1, 2)) + buckets(keys.shape[1], keys.shape[1] - 1),
    ),
    "distances to the end": (
        "length",
        lambda x: (
            x + (mx.arange(x.shape[1]) - x.shape[1])[:, None] * 0.5 + mx.arange(x.shape[1])[::-1][:, None]
        ),
    ),
    "a slice about the middle of a table": (
        "length",
        lambda x: x[..., :4] @ RELATIVE[64 - x.shape[1] : 63 + x.shape[1]].T,
    ),
    "roots, logarithms, squares, counts": (
        "length",
        lambda x: x / math.sqrt(x.shape[1]) * math.log(x.shape[1] + 1) + x.shape[1] ** 2 + x.size,
    ),
    "halves": (
        "length",
        lambda x: (
            mx.concatenate([x[:, x.shape[1] // 2 :], x[:, : x.shape[1] // 2]], 1) + x[:, x.shape[1] // 3]
        ),
    ),
    "edges and mirrors": (
        "length",
        lambda x: mx.concatenate(
            [
                mx.pad(x, [(0, 0), (3, 1), (0, 0)], mode="edge"),
                mx.take(x, mx.abs(mx.arange(-1, x.shape[1] - 1)), axis=1),
            ],
            1,
        ),
    ),
    "blocks of a length": ("length", neighbours),
    "tokens and back": (
        "image",
        lambda image: (lambda y: attend(y.reshape(1, -1, 8)).reshape(y.shape))(PATCH(image)),
    ),
    "a skip of odd sizes": (
        "image",
        lambda image: SKIP(STRIDE(image))[:, : image.shape[1], : image.shape[2]] + image,
    ),
}
SLOW = {
    "windows": ("map", windows),
    "shifted windows": ("map", shifted_windows),
    "resized positions": ("image", resized_positions),
    "positions of two axes": ("image", sinusoids),
    "resampled by 3/2": ("image", lambda image: nn.Upsample(1.5, "linear")(image)),
    "resampled by 3/4": ("image", lambda image: nn.Upsample(0.75, "linear")(image)),
    "resampled to the size of a skip": (
        "image",
        lambda image: (
            nn.Upsample((image.shape[1] / 8, image.shape[2] / 8), "cubic")(normal(1, 8, 8, 3)) + image
        ),
    ),
}


def compared(fn, kind, precision="float32", tolerance=2e-4):
    """A converted function and MLX at every listed size."""
    flexible, examples, listed = SIZES[kind]
    model = convert(fn, *examples, flexible=flexible, precision=precision)
    reference = load(model.package_path)
    names = list(inspect.signature(fn).parameters)[: len(examples)]
    for k, sizes in enumerate(listed):
        inputs = []
        for name, example in zip(names, examples, strict=True):
            changed = sizes.get(name, {})
            inputs.append(normal(*(changed.get(a, n) for a, n in enumerate(example.shape)), seed=k))
        found = next(iter(reference.predict(dict(zip(names, map(np.array, inputs), strict=True))).values()))
        wanted = np.array(fn(*inputs))
        assert found.shape == wanted.shape, sizes
        error = np.sqrt(np.mean((found - wanted) ** 2) / np.mean(wanted**2))
        assert error < tolerance, (sizes, error)


@pytest.mark.parametrize("name", FAST)
def test_every_size_is_right(name):
    kind, fn = FAST[name]
    compared(fn, kind)


@pytest.mark.oracle
@pytest.mark.parametrize("name", SLOW)
def test_every_size_of_larger_networks_is_right(name):
    kind, fn = SLOW[name]
    compared(fn, kind)


@pytest.mark.oracle
@pytest.mark.parametrize("name", [*FAST, *SLOW])
def test_every_size_is_right_in_half_precision(name):
    kind, fn = (FAST | SLOW)[name]
    compared(fn, kind, "float16", 2e-2)


def test_a_listed_size_may_have_numbers_and_tables_of_its_own():
    numbers, tables = {4: 3.0, 8: 0.5, 12: 7.0}, {n: normal(n, 8, seed=n) for n in (4, 8, 12)}

    def fn(x):
        return x * numbers[x.shape[1]] + tables[x.shape[1]]

    model = convert(fn, normal(1, 8, 8), flexible={"x": {1: [4, 8, 12]}}, precision="float32")
    for size in numbers:
        x = normal(1, size, 8)
        found = load(model.package_path).predict({"x": np.array(x)})["output"]
        np.testing.assert_allclose(found, np.array(fn(x)), rtol=1e-5, atol=1e-5)


def test_nothing_is_logged_and_sizes_may_be_a_list_by_axis(caplog):
    model = convert(
        lambda x, k: x + P[mx.arange(k.shape[1], k.shape[1] + 1)],
        *(normal(1, 1, 8), normal(1, 5, 8)),
        flexible={"k": [1, (1, 60), 8]},
        precision="float32",
    )
    found = load(model.package_path).predict({"x": np.zeros((1, 1, 8)), "k": np.zeros((1, 33, 8))})["output"]
    np.testing.assert_allclose(found[0], np.array(P[33:34]), rtol=1e-6)
    assert not caplog.records


def test_two_ways_to_compute_are_refused():
    def fn(x):
        return mx.sin(x) if x.shape[1] % 16 > 7 else mx.cos(x)

    with pytest.raises(ConversionError, match=r"differs between sizes|not what MLX computes"):
        convert(fn, normal(1, 8, 8), flexible=LENGTH)
