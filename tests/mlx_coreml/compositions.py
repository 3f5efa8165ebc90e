"""Random compositions of MLX's operations: a few inputs, then steps that each read what was made before.

A step is kept when its result is finite, not large, of rank 5 or less, and hardly moves when the inputs do:
what rounding alone changes would say nothing about a converter.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import mlx.nn as nn
import numpy as np

from twins.frameworks import mx

Step = tuple[str, Callable[[list[mx.array]], mx.array]]  # its text, and what it computes of all values so far
LARGEST, ELEMENTS = 1e3, 2000
NUDGES = 8  # of a half type: a number that is rounded to a whole one moves in few of them
NUDGE, MOVED = 1e-6, 2e-5  # relative changes of the inputs and, at most, of a result

UNARY = {
    **{
        f"mx.{f.__name__}": f
        for f in (mx.tanh, mx.sigmoid, mx.abs, mx.square, mx.sin, mx.cos, mx.erf, mx.negative)
    },
    **{f"mx.{f.__name__}": f for f in (mx.floor, mx.ceil, mx.round, mx.sign, mx.arctan, mx.arcsinh)},
    **{f"nn.{f.__name__}": f for f in (nn.relu, nn.silu, nn.softplus, nn.elu, nn.leaky_relu, nn.hardswish)},
    **{f"nn.{f.__name__}": f for f in (nn.gelu, nn.gelu_approx, nn.relu6, nn.selu, nn.mish, nn.log_sigmoid)},
    "exp(tanh)": lambda x: mx.exp(mx.tanh(x)),
    "sqrt(abs)": lambda x: mx.sqrt(mx.abs(x) + 0.1),
    "rsqrt(abs)": lambda x: mx.rsqrt(mx.abs(x) + 0.1),
    "log(abs)": lambda x: mx.log(mx.abs(x) + 0.5),
    "log1p(abs)": lambda x: mx.log1p(mx.abs(x)),
    "expm1(tanh)": lambda x: mx.expm1(mx.tanh(x)),
    "power": lambda x: (mx.abs(x) + 0.3) ** 1.5,
    "clip": lambda x: mx.clip(x, -0.7, 1.1),
    "to int and back": lambda x: (x * 3).astype(mx.int32).astype(mx.float32) * 0.5,
    "isfinite": lambda x: mx.where(mx.isfinite(x), x, 0.0) + 1,
}
BINARY = {
    **{
        f"mx.{f.__name__}": f
        for f in (mx.add, mx.subtract, mx.multiply, mx.maximum, mx.minimum, mx.logaddexp)
    },
    "divide": lambda a, b: a / (mx.abs(b) + 0.5),
    "where": lambda a, b: mx.where(a > b, a * 2, b),
    "arctan2": lambda a, b: mx.arctan2(a, mx.abs(b) + 0.3),
    "remainder": lambda a, b: mx.remainder(a, mx.abs(b) + 1.3),
    "floor_divide": lambda a, b: (a * 5) // (mx.abs(b) + 1.7),
    "power": lambda a, b: (mx.abs(a) + 0.5) ** mx.tanh(b),
    "and": lambda a, b: mx.logical_and(a > 0, b < 0.5).astype(mx.float32) + a,
    "equal": lambda a, b: (mx.round(a) == mx.round(b)).astype(mx.float32),
}


def wide(fn: Callable) -> Callable:
    """Only over axes longer than one: MLX 0.32.4 crashes on a logarithm of a sum of one number."""

    def checked(x, axis, **options):
        if axis is None or 1 in [x.shape[a] for a in np.atleast_1d(axis)]:
            raise ValueError("no axis, or one of one number")
        return fn(x, axis=axis, **options)

    return checked


REDUCTIONS = {f"mx.{f.__name__}": f for f in (mx.sum, mx.mean, mx.max, mx.min, mx.var, mx.prod)}
REDUCTIONS["mx.logsumexp"] = wide(mx.logsumexp)
ALONG = {
    "softmax": mx.softmax,
    "cumsum": lambda x, axis: mx.cumsum(x, axis=axis),
    "reverse cumsum": lambda x, axis: mx.cumsum(x, axis=axis, reverse=True, inclusive=False),
    "cummax": lambda x, axis: mx.cummax(x, axis=axis),
    "sort": lambda x, axis: mx.sort(x, axis=axis),
    "argmax": lambda x, axis: mx.argmax(x, axis=axis, keepdims=True).astype(mx.float32),
    "argsort": lambda x, axis: mx.argsort(x, axis=axis).astype(mx.float32),
    "take along": lambda x, axis: mx.take_along_axis(x, mx.argsort(-x, axis=axis), axis=axis),
    "roll": lambda x, axis: mx.roll(x, 1, axis=axis),
    "repeat": lambda x, axis: mx.repeat(x, 2, axis=axis),
    "log_softmax": wide(nn.log_softmax),
    "twice": lambda x, axis: mx.concatenate([x, -x], axis=axis),
    "stack": lambda x, axis: mx.stack([x, x * 2], axis=axis),
    "pad": lambda x, axis: mx.pad(
        x, [(1, 2) if i == axis else (0, 0) for i in range(x.ndim)], constant_values=0.5
    ),
    "take": lambda x, axis: mx.take(x, mx.array([0, x.shape[axis] - 1, 0]), axis=axis),
    "gather by value": lambda x, axis: mx.take(x, mx.argmin(x, axis=axis), axis=axis),
    "differences": lambda x, axis: mx.split(x, [1], axis=axis)[1] - mx.split(x, [-1], axis=axis)[0],
    "expand": lambda x, axis: mx.expand_dims(x, axis),
    "glu": lambda x, axis: mx.concatenate(mx.split(x, 2, axis=axis)[::-1], axis=axis),
    "top 2": lambda x, axis: mx.sort(mx.topk(x, 2, axis=axis), axis=axis),
    "norm": lambda x, axis: x / (mx.linalg.norm(x, axis=axis, keepdims=True) + 0.1),
}


@dataclass(frozen=True)
class Composition:
    """Steps on shared inputs; called with them, it gives the last step's value."""

    steps: tuple[Step, ...]

    def __call__(self, *inputs: mx.array) -> mx.array:
        values = list(inputs)
        for _, compute in self.steps:
            values.append(compute(values))
        return values[-1]

    def __str__(self) -> str:
        return "; ".join(text for text, _ in self.steps)


def unary(rng, values) -> Step:
    i, name = _recent(rng, values), str(rng.choice(list(UNARY)))
    return f"{name}(v{i})", lambda v: UNARY[name](v[i])


def binary(rng, values) -> Step:
    name, i = str(rng.choice(list(BINARY))), _recent(rng, values)
    j = int(rng.choice([k for k, v in enumerate(values) if _broadcast(v.shape, values[i].shape)]))
    return f"{name}(v{i}, v{j})", lambda v: BINARY[name](v[i], v[j])


def reduction(rng, values) -> Step:
    name, i = str(rng.choice(list(REDUCTIONS))), _recent(rng, values)
    rank = values[i].ndim
    count = int(rng.integers(1, max(rank, 1) + 1))
    axes = tuple(sorted(int(a) for a in rng.choice(rank, min(count, rank), replace=False))) if rank else None
    keep = bool(rng.integers(2))
    return f"{name}(v{i}, {axes}, {keep})", lambda v: REDUCTIONS[name](v[i], axis=axes, keepdims=keep)


def along(rng, values) -> Step:
    name, i = str(rng.choice(list(ALONG))), _recent(rng, values)
    axis = int(rng.integers(0, max(values[i].ndim, 1)))
    return f"{name}(v{i}, axis={axis})", lambda v: ALONG[name](v[i], axis)


def transpose(rng, values) -> Step:
    i = _recent(rng, values)
    order = [int(a) for a in rng.permutation(values[i].ndim)]
    return f"transpose(v{i}, {order})", lambda v: mx.transpose(v[i], order)


def reshape(rng, values) -> Step:
    i = _recent(rng, values)
    sizes, left = [], values[i].size
    while left > 1 and len(sizes) < 4:
        size = int(rng.choice([n for n in range(1, left + 1) if left % n == 0]))
        sizes.append(size)
        left //= size
    shape = [*sizes, left]
    return f"reshape(v{i}, {shape})", lambda v: mx.reshape(v[i], shape)


def cut(rng, values) -> Step:
    i, index = _recent(rng, values), []
    for n in values[i].shape:
        step = int(rng.choice([1, 1, 2, -1]))
        low, high = sorted(int(k) for k in rng.integers(0, n + 1, 2))
        index.append(slice(None, None, step) if step < 0 or low == high else slice(low, high, step))
    return f"v{i}[{index}]", lambda v: v[i][tuple(index)]


def product(rng, values) -> Step:
    i = _recent(rng, values)
    width = values[i].shape[-1]
    weight = mx.array((rng.standard_normal((width, 3)) / np.sqrt(width)).astype(np.float32))
    if rng.integers(2) and values[i].ndim > 1:
        return f"v{i} @ v{i}.T", lambda v: v[i] @ mx.swapaxes(v[i], -1, -2) / width
    layer = nn.Linear(width, 3)
    layer.weight = weight.T
    return f"linear(v{i})", lambda v: layer(v[i])


def norm(rng, values) -> Step:
    i = _recent(rng, values)
    width = values[i].shape[-1]
    kind = [nn.LayerNorm, nn.RMSNorm, nn.BatchNorm][int(rng.integers(3))]
    layer = kind(width).eval()
    layer.weight = mx.array(rng.uniform(0.5, 1.5, width).astype(np.float32))
    return f"{kind.__name__}(v{i})", lambda v: layer(v[i])


def spatial(rng, values) -> Step:
    """A convolution or pooling of what has two or three axes between batch and channels."""
    i = int(rng.choice([k for k, v in enumerate(values) if v.ndim in (3, 4)]))
    rank, channels = values[i].ndim - 2, values[i].shape[-1]
    pools = [[nn.MaxPool1d, nn.AvgPool1d], [nn.MaxPool2d, nn.AvgPool2d]][rank - 1]
    choice = int(rng.integers(3))
    if choice < 2:
        size, stride, padding = int(rng.integers(1, 4)), int(rng.integers(1, 3)), 0
        layer = pools[choice](size, stride=stride, padding=padding)
        return f"{pools[choice].__name__}(v{i}, {size}, {stride})", lambda v: layer(v[i])
    options = {"stride": int(rng.integers(1, 3)), "padding": int(rng.integers(0, 2))}
    largest = min(values[i].shape[1:-1]) + 2 * options["padding"]  # beyond it MLX's result has no meaning
    layer = [nn.Conv1d, nn.Conv2d][rank - 1](
        channels, 2, int(rng.integers(1, min(4, largest + 1))), **options
    )
    layer.weight = mx.array((0.4 * rng.standard_normal(layer.weight.shape)).astype(np.float32))
    return f"conv{rank}d(v{i}, {layer.weight.shape}, {options})", lambda v: layer(v[i])


def flatten(rng, values) -> Step:
    """Two axes beside each other become one, whatever their sizes."""
    i = int(rng.choice([k for k, v in enumerate(values) if v.ndim > 1]))
    axis = int(rng.integers(0, values[i].ndim - 1))
    return f"flatten(v{i}, {axis}, {axis + 1})", lambda v: mx.flatten(v[i], axis, axis + 1)


MAKERS = [
    *(unary, unary, binary, binary, reduction, along, along),
    *(transpose, reshape, flatten, cut, product, norm, spatial),
]


def compose(
    rng: np.random.Generator,
    inputs: Sequence[mx.array],
    others: Sequence[Sequence[mx.array]] = (),
    rounding: float = NUDGE,
    dtype: mx.Dtype = mx.float32,
    tolerance: float = 1e-4,
    length: int = 5,
) -> Composition:
    """A composition of `length` steps on these inputs, as good on other numbers and sizes of them.

    `dtype` is the type that the composition is to be computed in, `rounding` the relative error of a number
    in it; a step is kept when it is about the same in this type, which rounds a step's constants too: what
    moves by more than half the tolerance of the comparison says nothing about a converter.
    """
    most = min(MOVED / NUDGE * rounding, tolerance / 2)
    runs = [list(each) for each in (inputs, *others)]
    nudges = NUDGES if rounding > NUDGE else 1
    moved = [
        [(x * (1 + rounding * mx.array(_normal(rng, x.shape)))).astype(dtype) for x in each]
        for each in runs * nudges
    ]
    steps: list[Step] = []
    while len(steps) < length:
        try:
            text, compute = MAKERS[int(rng.integers(len(MAKERS)))](rng, runs[0])
            made, also = ([compute(values) for values in each] for each in (runs, moved))
            mx.eval(made, also)
        except (ValueError, IndexError, RuntimeError):  # a step that MLX does not do on these values
            continue
        if all(_kept(a, b, most) for a, b in zip(made * nudges, also, strict=True)):
            steps.append((f"v{len(runs[0])} = {text}", compute))
            for values, value in zip(runs + moved, made + also, strict=True):
                values.append(value)
    return Composition(tuple(steps))


def _normal(rng, shape) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def _kept(made: mx.array, moved: mx.array, most: float) -> bool:
    if made.ndim > 5 or not 0 < made.size <= ELEMENTS or made.shape != moved.shape:
        return False
    a, b = (np.array(each.astype(mx.float32), np.float64) for each in (made, moved))
    if not np.isfinite(a).all() or not 1e-2 < np.sqrt(np.mean(a**2)) < LARGEST:
        return False
    return bool(np.sqrt(np.mean((a - b) ** 2)) <= most * np.sqrt(np.mean(a**2)))


def _recent(rng, values) -> int:
    """The last value twice as likely as all others together."""
    return len(values) - 1 if rng.integers(3) else int(rng.integers(len(values)))


def _broadcast(a: tuple, b: tuple) -> bool:
    return all(m == n or 1 in (m, n) for m, n in zip(a[::-1], b[::-1], strict=False))
