"""States of every kind at both precisions: series of calls agree with MLX's own loop."""

import mlx.nn as nn
import numpy as np
import pytest

from coreml_runtime import load
from mlx_coreml import convert
from twins.frameworks import mx

CALLS = 6
FLAT, ROWS, POINT = mx.zeros((1, 8)), mx.zeros((4, 8)), mx.zeros((1, 16))


def kinds() -> dict:
    """A function of an input and states, its states by argument, and where each is replaced."""
    mx.random.seed(0)
    lstm, head = nn.LSTM(8, 16), nn.Linear(16, 8)
    first, second = nn.GRU(8, 16), nn.GRU(16, 16)

    def step(x, h, c, context):
        hidden, cell = lstm(x[None], h, c)
        context = mx.concatenate([context[1:], head(hidden[0])], 0)
        return context.mean(0, keepdims=True) + x, hidden[:, -1], cell[:, -1], context

    def stack(x, a, b):
        y = first(x[None], a)
        z = second(y, b)
        return z[0], y[:, -1], z[:, -1]

    def nested(x, memory):
        sums = [total + x for total in memory["sums"]]
        return sums[0] * sums[1], {"sums": [sums[0], sums[1] * 0.5], "last": x + 0 * memory["last"]}

    def ring(x, buffer, position):
        where = mx.arange(4)[:, None] == position
        buffer = mx.where(where, x, buffer)
        return buffer.sum(0, keepdims=True), buffer, (position + 1) % 4

    def written(x, buffer):
        buffer = mx.concatenate([buffer[1:], x[:, :8]], 0)
        return (buffer * mx.arange(4.0)[:, None]).sum(0) + x[0, 8:], buffer

    def running(x, m, v):
        return (x - m) * mx.rsqrt(v + 1), 0.9 * m + 0.1 * x, 0.9 * v + 0.1 * mx.square(x)

    one = mx.zeros((1,))
    return {
        "lstm with context": (step, [POINT, POINT, ROWS], {"h": 1, "c": 2, "context": 3}),
        "two grus": (stack, [POINT, POINT], {"a": 1, "b": 2}),
        "nested": (nested, [{"sums": [FLAT, FLAT], "last": FLAT}], {"memory": 1}),
        "ring buffer": (ring, [ROWS, one], {"buffer": 1, "position": 2}),
        "running mean and variance": (running, [FLAT, FLAT], {"m": 1, "v": 2}),
        "swapped": (lambda x, a, b: (x + a - b, b, a + x), [FLAT, FLAT], {"a": 1, "b": 2}),
        "handed on": (lambda x, a, b, c: (x + a, b, c, a + x), [FLAT] * 3, {"a": 1, "b": 2, "c": 3}),
        "old and new are read": (lambda x, s: (s * 2 + (s + x) * 3 + mx.exp(-s), s + x), [FLAT], {"s": 1}),
        "the output is the state": (lambda x, s: (s + x, s + x), [FLAT], {"s": 1}),
        "one follows the other": (lambda x, a, b: (a * b, a + x, a + b), [FLAT, FLAT], {"a": 1, "b": 2}),
        "reset": (lambda x, s, r: (x + s + r, mx.ones((1, 8)), r + x), [FLAT, FLAT], {"s": 1, "r": 2}),
        "the input itself": (lambda x, s, r: (x - s, x, r + s), [FLAT, FLAT], {"s": 1, "r": 2}),
        "slice of an input": (written, [ROWS], {"buffer": 1}, 16),
    }  # fmt: skip


@pytest.mark.parametrize("precision", ["float16", "float32"])
@pytest.mark.parametrize("kind", kinds())
def test_a_series_of_calls_agrees_with_mlx(kind, precision):
    fn, kept, states, *width = kinds()[kind]
    inputs = np.random.default_rng(0).standard_normal((CALLS, 1, *(width or [8]))).astype(np.float32)
    example = mx.array(inputs[0])
    model = convert(
        fn, example, *kept, states=states, precision=precision, deployment_target="iOS18", check=False
    )
    reference = load(model.package_path)
    state, found, wanted = reference.make_state(), [], []
    for x in inputs:
        made = fn(mx.array(x), *kept)
        kept = made[1:]
        wanted.append(np.array(made[0]))
        found.append(next(iter(reference.predict({"x": x}, state).values())))
    limit = 5e-3 if precision == "float16" else 2e-3  # states are fp16 in both
    np.testing.assert_allclose(found, wanted, rtol=limit, atol=limit * np.abs(wanted).max())
    assert np.abs(wanted[0] - wanted[-1]).max() > 0.1  # the series is no constant


def test_each_state_is_written_right_after_its_value():
    model = convert(
        lambda x, a, b: (mx.exp(a + x) * (b - x), a + x, b - x),
        *(FLAT, FLAT, FLAT),
        states={"a": 1, "b": 2},
        deployment_target="iOS18",
    )
    function = model.get_spec().mlProgram.functions["main"]
    told = [each.type for each in function.block_specializations[function.opset].operations]
    told = [word for word in told if word not in ("const", "cast")]
    written = [told[i - 1] for i, word in enumerate(told) if word == "write_state"]
    assert written == ["add", "sub"] and told.index("write_state") < told.index("exp"), told


def test_an_input_varies_beside_a_fixed_state():
    def fn(x, total, count):
        seen = x.sum(1)
        return x * (total + seen)[:, None], total + seen, count + 1

    model = convert(
        fn, mx.ones((1, 5, 8)), FLAT, FLAT,
        states={"total": 1, "count": 2}, flexible={"x": {1: (1, 9)}}, deployment_target="iOS18",
    )  # fmt: skip
    reference = load(model.package_path)
    state, kept = reference.make_state(), [FLAT, FLAT]
    for length in (3, 9, 1, 6):
        x = np.random.default_rng(length).standard_normal((1, length, 8)).astype(np.float32)
        made, *kept = fn(mx.array(x), *kept)
        found = next(iter(reference.predict({"x": x}, state).values()))
        np.testing.assert_allclose(found, np.array(made), rtol=1e-2, atol=2e-2)
