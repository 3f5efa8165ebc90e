"""Images whose two sizes vary: strides, patches, windows, resized position tables, pyramids."""

import math

import mlx.core as mx

from mlx_coreml.coverage.usage_cases.usage import Kind, Made, call, normal

import mlx.nn as nn  # isort: skip

images = Kind("flexible image")


def of(fn, sizes=(16, 96), unseen=((18, 50), (33, 17), (96, 64)), channels=3, example=(32, 24)) -> Made:
    """A function of x (1, H, W, C) whose height and width are in a range, at sizes no conversion probes."""
    calls = [call(normal(1, *size, channels)) for size in unseen]
    flexible = {"x": {1: sizes, 2: sizes}}
    return Made(fn, call(normal(1, *example, channels)), calls, {"flexible": flexible})


MULTIPLES = ((16, 48), (40, 24), (96, 64))


@images
def strides():
    """Strided convolutions, pooled and flattened"""
    a, b, head = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Conv2d(8, 8, 3, stride=2), nn.Linear(8, 4)
    return of(lambda x: head(nn.relu(b(nn.relu(a(x)))).mean((1, 2))))


@images
def flatten_and_back():
    """Places flattened for attention and put back"""
    conv, out = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Conv2d(8, 3, 1)

    def fn(x):
        y = conv(x)
        b, h, w, c = y.shape
        y = y.reshape(b, h * w, c)
        y = mx.softmax(y @ y.swapaxes(1, 2) * 0.3, axis=-1) @ y
        return out(y.reshape(b, h, w, c))

    return of(fn)


@images
def patches():
    """Patches by a convolution, a sequence, and unpatched"""
    embed, head = nn.Conv2d(3, 16, 8, stride=8), nn.Linear(16, 192)

    def fn(x):
        y = embed(x)
        b, h, w, _ = y.shape
        y = head(y.reshape(b, h * w, 16)).reshape(b, h, w, 8, 8, 3)
        return y.transpose(0, 1, 3, 2, 4, 5).reshape(b, h * 8, w * 8, 3)

    return of(fn, unseen=MULTIPLES)


@images
def positions_in_two_axes():
    """Sinusoids of rows and columns"""
    lin = nn.Conv2d(3, 8, 1)

    def fn(x):
        y = lin(x)
        scale = mx.exp(-mx.arange(2) * math.log(100) / 2)
        rows, columns = (mx.arange(n)[:, None] * scale for n in y.shape[1:3])
        rows = mx.concatenate([mx.sin(rows), mx.cos(rows)], axis=-1)[:, None]
        columns = mx.concatenate([mx.sin(columns), mx.cos(columns)], axis=-1)[None]
        shape = (*y.shape[1:3], 4)
        return y + mx.concatenate([mx.broadcast_to(rows, shape), mx.broadcast_to(columns, shape)], axis=-1)

    return of(fn)


@images
def tables_of_rows_and_columns():
    """Learned tables of rows and of columns"""
    rows, columns = normal(96, 3), normal(96, 3)
    return of(lambda x: x + rows[: x.shape[1], None] + columns[None, : x.shape[2]])


@images
def coordinates():
    """Coordinates from -1 to 1 as channels"""
    conv = nn.Conv2d(5, 4, 3, padding=1)

    def fn(x):
        b, h, w, _ = x.shape
        ys = mx.broadcast_to(mx.linspace(-1, 1, h)[None, :, None, None], (b, h, w, 1))
        xs = mx.broadcast_to(mx.linspace(-1, 1, w)[None, None, :, None], (b, h, w, 1))
        return conv(mx.concatenate([x, ys, xs], axis=-1))

    return of(fn)


@images
def windows():
    """Windows with padding, as SAM cuts them"""

    def fn(x):
        b, h, w, c = x.shape
        x = mx.pad(x, [(0, 0), (0, -h % 8), (0, -w % 8), (0, 0)])
        hp, wp = x.shape[1:3]
        y = x.reshape(b, hp // 8, 8, wp // 8, 8, c).transpose(0, 1, 3, 2, 4, 5).reshape(-1, 64, c)
        y = mx.softmax(y @ y.swapaxes(1, 2), axis=-1) @ y
        y = y.reshape(b, hp // 8, wp // 8, 8, 8, c).transpose(0, 1, 3, 2, 4, 5).reshape(b, hp, wp, c)
        return y[:, :h, :w]

    return of(fn)


@images
def whole_windows():
    """Windows of sizes that are their multiples, enumerated"""

    def fn(x):
        b, h, w, c = x.shape
        y = x.reshape(b, h // 8, 8, w // 8, 8, c).transpose(0, 1, 3, 2, 4, 5).reshape(-1, 64, c)
        y = mx.softmax(y @ y.swapaxes(1, 2), axis=-1) @ y
        return y.reshape(b, h // 8, w // 8, 8, 8, c).transpose(0, 1, 3, 2, 4, 5).reshape(b, h, w, c)

    sizes = [(16, 16), (32, 24)]
    calls = [call(normal(1, h, w, 3)) for h, w in sizes]
    return Made(fn, call(normal(1, 32, 24, 3)), calls, {"flexible": {"x": {1: [16, 32], 2: [16, 24]}}})


@images
def shifted():
    """Rolled rows and columns, as Swin shifts windows"""
    return of(lambda x: mx.roll(x, (-2, -3), axis=(1, 2)) * 2)


@images
def resized_table():
    """A position table resized to the patches"""
    embed, table = nn.Conv2d(3, 8, 8, stride=8), normal(1, 4, 4, 8)

    def fn(x):
        y = embed(x)
        h, w = y.shape[1:3]
        resize = nn.Upsample(scale_factor=(h / 4, w / 4), mode="linear", align_corners=False)
        return y + resize(table)

    return of(fn, sizes=[32, 64], unseen=((32, 32), (64, 64)), example=(32, 32))


def pyramid():
    """An encoder and a decoder with shortcuts, for sizes that are multiples of 4."""
    down, deep = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Conv2d(8, 8, 3, stride=2, padding=1)
    up, out = nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(8, 3, 3, padding=1)

    def fn(x):
        a = nn.silu(down(x))
        b = nn.silu(deep(a))
        return out(up(a + up(b)))

    return fn


@images
def enumerated_pyramid():
    """An encoder and a decoder with shortcuts, enumerated sizes"""
    return of(pyramid(), sizes=[16, 32, 48], unseen=((16, 16), (32, 32), (48, 48)), example=(32, 32))


@images.refused(r"(fails|refuses|cannot).*\[.*\]")
def any_pyramid():
    """An encoder and a decoder with shortcuts, sizes that it does not do among those of a range"""
    return of(pyramid())


@images
def upsampled_to_the_input():
    """Scores upsampled and cut to the size of the input"""
    conv, up = nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Upsample(scale_factor=2, mode="nearest")
    return of(lambda x: up(conv(x))[:, : x.shape[1], : x.shape[2]])


@images
def pixel_shuffle():
    """Pixels shuffled into four times as many"""
    conv = nn.Conv2d(3, 12, 3, padding=1)

    def fn(x):
        y = conv(x)
        b, h, w, _ = y.shape
        return y.reshape(b, h, w, 2, 2, 3).transpose(0, 1, 3, 2, 4, 5).reshape(b, 2 * h, 2 * w, 3)

    return of(fn)


@images
def edges():
    """Edge padding of both axes"""
    conv = nn.Conv2d(3, 4, 3)
    return of(lambda x: conv(mx.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], mode="edge")))


@images
def reflected():
    """Reflection of both axes by slices"""

    def fn(x):
        x = mx.concatenate([x[:, 1:3][:, ::-1], x, x[:, -3:-1][:, ::-1]], axis=1)
        return mx.concatenate([x[:, :, 1:3][:, :, ::-1], x, x[:, :, -3:-1][:, :, ::-1]], axis=2)

    return of(fn)


@images
def normalized_and_batched():
    """Instance and group norms, with a batch that varies"""
    conv, a, b = (
        nn.Conv2d(3, 8, 3, padding=1),
        nn.GroupNorm(2, 8, pytorch_compatible=True),
        nn.InstanceNorm(8),
    )
    calls = [call(normal(n, h, w, 3)) for n, h, w in ((1, 17, 30), (3, 40, 16), (4, 64, 33))]
    flexible = {"x": {0: (1, 4), 1: (16, 64), 2: (16, 64)}}
    return Made(lambda x: b(nn.silu(a(conv(x)))), call(normal(2, 24, 32, 3)), calls, {"flexible": flexible})
