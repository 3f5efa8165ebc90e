"""Random programs of elementwise, reduction, shape and indexing operations against NumPy.

The number of programs is a sample; the mark `oracle` selects the full two thousand.
"""

import numpy as np
import pytest
from coremltools.converters.mil.mil import Builder as mb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from packages import OPSETS, save

from coreml_runtime import load

SAMPLE, FULL = 40, 2000
SETTINGS = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "database": None,
    "derandomize": True,
}

UNARY = {
    "abs": np.abs,
    "ceil": np.ceil,
    "cos": np.cos,
    "floor": np.floor,
    "sign": np.sign,
    "square": np.square,
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "atan": np.arctan,
}
BINARY = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "maximum": np.maximum, "minimum": np.minimum}
REDUCTIONS = {
    "reduce_sum": np.sum,
    "reduce_mean": np.mean,
    "reduce_max": np.max,
    "reduce_min": np.min,
    "reduce_l1_norm": lambda x, **k: np.sum(np.abs(x), **k),
    "reduce_sum_square": lambda x, **k: np.sum(np.square(x), **k),
}


def unary(draw, x):
    name = draw(st.sampled_from(sorted(UNARY)))
    return lambda v: getattr(mb, name)(x=v), UNARY[name](x)


def binary(draw, x):
    name = draw(st.sampled_from(sorted(BINARY)))
    shape = tuple(draw(st.sampled_from([1, size])) for size in x.shape)[draw(st.integers(0, x.ndim - 1)) :]
    y = draw(arrays.arrays(np.float32, shape, elements=st.floats(-2, 2, width=16)))
    return lambda v: getattr(mb, name)(x=v, y=y), BINARY[name](x, y)


def reduction(draw, x):
    name, keep = draw(st.sampled_from(sorted(REDUCTIONS))), draw(st.booleans()) or x.ndim == 1
    axes = draw(
        st.lists(st.integers(0, x.ndim - 1), min_size=1, max_size=x.ndim if keep else x.ndim - 1, unique=True)
    )
    signed = [axis - x.ndim if draw(st.booleans()) else axis for axis in axes]
    result = REDUCTIONS[name](x, axis=tuple(axes), keepdims=keep).astype(np.float32)
    return lambda v: getattr(mb, name)(x=v, axes=signed, keep_dims=keep), result


def transpose(draw, x):
    perm = draw(st.permutations(range(x.ndim)))
    return lambda v: mb.transpose(x=v, perm=list(perm)), x.transpose(perm)


def reshape(draw, x):
    factor = draw(st.sampled_from([n for n in (1, 2, 3, 4) if x.size % n == 0]))
    shape = (factor, -1) if draw(st.booleans()) else (-1, factor, 1)
    return lambda v: mb.reshape(x=v, shape=list(shape)), x.reshape(shape)


def expand(draw, x):
    axis = draw(st.integers(-x.ndim - 1, x.ndim))
    if x.ndim == 5:
        return None
    return lambda v: mb.expand_dims(x=v, axes=[axis]), np.expand_dims(x, axis)


def cut(draw, x):
    begin, end, stride, index = [], [], [], []
    for size in x.shape:
        first = draw(st.integers(0, size - 1))
        last = draw(st.integers(first + 1, size))
        step = draw(st.integers(1, 2))
        negative = draw(st.booleans())
        begin.append(first - size if negative else first)
        end.append(last)
        stride.append(step)
        index.append(slice(first, last, step))
    return lambda v: mb.slice_by_index(x=v, begin=begin, end=end, stride=stride), x[tuple(index)]


def concat(draw, x):
    axis, before = draw(st.integers(-x.ndim, x.ndim - 1)), draw(st.booleans())
    y = np.full_like(x, draw(st.floats(-2, 2, width=16)))
    pair = (y, x) if before else (x, y)
    return lambda v: mb.concat(values=(y, v) if before else (v, y), axis=axis), np.concatenate(pair, axis)


def gather(draw, x):
    axis = draw(st.integers(-x.ndim, x.ndim - 1))
    picked = draw(st.lists(st.integers(0, x.shape[axis] - 1), min_size=1, max_size=4))
    indices = np.array(picked, np.int32)
    return lambda v: mb.gather(x=v, indices=indices, axis=axis), np.take(x, indices, axis)


def pad(draw, x):
    pads = [draw(st.integers(0, 2)) for _ in range(2 * x.ndim)]
    pairs = list(zip(pads[::2], pads[1::2], strict=True))
    return lambda v: mb.pad(x=v, pad=pads, mode="constant", constant_val=0.5), np.pad(
        x, pairs, constant_values=0.5
    )


def flip(draw, x):
    axes = draw(st.lists(st.integers(0, x.ndim - 1), min_size=1, unique=True))
    return lambda v: mb.reverse(x=v, axes=axes), np.flip(x, axes)


def running_sum(draw, x):
    axis = draw(st.integers(0, x.ndim - 1))
    return lambda v: mb.cumsum(x=v, axis=axis), np.cumsum(x, axis, dtype=np.float32)


def one_of_two(draw, x):
    bound = draw(st.floats(-1, 1, width=16))
    return lambda v: mb.select(cond=mb.greater(x=v, y=np.float32(bound)), a=v, b=np.float32(0.25)), np.where(
        x > np.float32(bound), x, np.float32(0.25)
    )


STEPS = [
    unary,
    binary,
    reduction,
    transpose,
    reshape,
    expand,
    cut,
    concat,
    gather,
    pad,
    flip,
    running_sum,
    one_of_two,
]


@st.composite
def programs(draw):
    """An input, the operations applied to it in order, and every result NumPy gets."""
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    x = draw(arrays.arrays(np.float32, tuple(shape), elements=st.floats(-2, 2, width=16)))
    builders, results = [], [x]
    for step in draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=6)):
        made = step(draw, results[-1])
        # Rounding errors of large values are no mismatch, and Core ML stops at rank 5 and empty tensors.
        if made and made[1].ndim <= 5 and made[1].size <= 4096 and np.abs(made[1]).max() < 1e4:
            builders.append(made[0])
            results.append(np.asarray(made[1], np.float32))
    return x, builders, results[1:]


def check(path, case):
    x, builders, wanted = case
    if not builders:
        return

    def build(x):
        values = []
        for i, builder in enumerate(builders):
            x = builder(x)
            values.append(mb.identity(x=x, name=f"y{i}"))
        return tuple(values)

    program = mb.program(input_specs=[mb.TensorSpec(shape=x.shape)], opset_version=OPSETS[17])(build)
    found = load(save(program, 17, path / "program.mlpackage")).predict({"x": x})
    for i, value in enumerate(wanted):
        assert found[f"y{i}"].shape == (value.shape or (1,))
        np.testing.assert_allclose(
            found[f"y{i}"], value, rtol=1e-4, atol=1e-4 * max(1.0, np.abs(value).max())
        )


@given(case=programs())
@settings(max_examples=SAMPLE, **SETTINGS)
def test_random_programs(case, tmp_path_factory):
    check(tmp_path_factory.getbasetemp(), case)


@pytest.mark.oracle
@given(case=programs())
@settings(max_examples=FULL, **SETTINGS)
def test_many_random_programs(case, tmp_path_factory):
    check(tmp_path_factory.getbasetemp(), case)
