"""States that a package keeps between calls, several of them: LSTM, GRU stacks, caches, rings, streams."""

import mlx.core as mx

from mlx_coreml.coverage.usage_cases.usage import Kind, Made, call, normal

import mlx.nn as nn  # isort: skip

states = Kind("state")


def of(fn, kept: dict, *shapes: tuple, inputs: tuple = (1, 1, 8), **options) -> Made:
    """A function of x and states of these shapes, called five times: numbers, zeros, large ones."""
    zero = [mx.zeros(shape) for shape in shapes]
    xs = [normal(*inputs), mx.zeros(inputs), 3 * normal(*inputs), normal(*inputs), normal(*inputs)]
    options = {"states": kept, "deployment_target": "iOS18"} | options
    return Made(fn, call(normal(*inputs), *zero), [call(x, *zero) for x in xs], options)


def lstm_step():
    """An LSTM of one step, with its two states."""
    lstm = nn.LSTM(8, 16)

    def fn(x, h, c):
        hidden, cell = lstm(x, h, c)
        return hidden, hidden[:, -1], cell[:, -1]

    return fn


@states
def lstm():
    """An LSTM with hidden state and cell"""
    return of(lstm_step(), {"h": 1, "c": 2}, (1, 16), (1, 16))


@states
def lstm_half():
    """An LSTM with hidden state and cell in float16"""
    return of(lstm_step(), {"h": 1, "c": 2}, (1, 16), (1, 16), precision="float16")


@states
def lstm_with_head():
    """An LSTM with a head and norm in float16"""
    lstm, norm, head = nn.LSTM(8, 16), nn.LayerNorm(16), nn.Linear(16, 4)

    def fn(x, h, c):
        hidden, cell = lstm(x, h, c)
        return head(norm(hidden)), hidden[:, -1], cell[:, -1]

    return of(fn, {"h": 1, "c": 2}, (1, 16), (1, 16), precision="float16")


@states
def gru_stack():
    """Two GRUs in float16"""
    first, second = nn.GRU(8, 16), nn.GRU(16, 16)

    def fn(x, a, b):
        y = first(x, a)
        z = second(y, b)
        return z, y[:, -1], z[:, -1]

    return of(fn, {"a": 1, "b": 2}, (1, 16), (1, 16), precision="float16")


@states
def counters():
    """Two counters"""
    return of(lambda x, a, b: (x * 2 + b, a + 1, b + a), {"a": 1, "b": 2}, (1,), (1,), precision="float16")


@states
def statistics():
    """A running mean and a running variance in float16"""

    def fn(x, m, v):
        return (x - m) * mx.rsqrt(v + 1e-3), 0.9 * m + 0.1 * x.mean(1), 0.9 * v + 0.1 * x.square().mean(1)

    return of(fn, {"m": 1, "v": 2}, (1, 8), (1, 8), inputs=(1, 4, 8), precision="float16")


@states
def ring_and_lstm():
    """A ring buffer of audio beside an LSTM, context and cell"""
    step, lin = lstm_step(), nn.Linear(32, 8)

    def fn(x, h, c, ring):
        ring = mx.concatenate([ring[:, 1:], x], axis=1)
        out, h, c = step(lin(ring.reshape(1, 1, 32)), h, c)
        return out, h, c, ring

    kept = {"h": 1, "c": 2, "ring": 3}
    return of(fn, kept, (1, 16), (1, 16), (1, 4, 8), precision="float16")


@states
def streaming_convolutions():
    """A stream through two convolutions, each with what it saw"""
    first, second = nn.Conv1d(8, 8, 3), nn.Conv1d(8, 8, 3)

    def fn(x, a, b):
        seen = mx.concatenate([a, x], axis=1)
        y = nn.gelu(first(seen))
        also = mx.concatenate([b, y], axis=1)
        return second(also), seen[:, -2:], also[:, -2:]

    return of(fn, {"a": 1, "b": 2}, (1, 2, 8), (1, 2, 8), inputs=(1, 4, 8), precision="float16")


def kv_step():
    """Attention over a cache of 8 places that is written at a position."""
    att = nn.Linear(8, 8)

    def fn(x, pos, k, v):
        k = mx.slice_update(k, att(x), pos, axes=[1])
        v = mx.slice_update(v, x, pos, axes=[1])
        scores = mx.where(mx.arange(8)[None, None] <= pos, x @ k.swapaxes(1, 2), -1e4)
        return mx.softmax(scores, axis=-1) @ v, k, v

    return fn


def positions(fn, kept: dict, **options) -> Made:
    """A cache step, called at one position after another, then beyond what was the example's."""
    zero = mx.zeros((1, 8, 8)), mx.zeros((1, 8, 8))
    unseen = [call(normal(1, 1, 8), mx.array([i]), *zero) for i in (0, 1, 2, 3, 7)]
    options = {"states": kept, "deployment_target": "iOS18"} | options
    return Made(fn, call(normal(1, 1, 8), mx.array([3]), *zero), unseen, options)


@states
def kv_cache():
    """Keys and values written at a position"""
    return positions(kv_step(), {"k": 1, "v": 2})


@states
def kv_cache_half():
    """Keys and values written at a position in float16"""
    return positions(kv_step(), {"k": 1, "v": 2}, precision="float16")


@states
def kv_cache_first():
    """Caches returned before the output"""
    step = kv_step()

    def fn(x, pos, k, v):
        out, k, v = step(x, pos, k, v)
        return k, v, out

    return positions(fn, {"k": 0, "v": 1}, precision="float16")


@states
def ring_at_position():
    """A ring buffer written at a position modulo its length"""

    def fn(x, pos, ring):
        ring = mx.slice_update(ring, x, pos % 4, axes=[1])
        return ring.sum(1), ring

    zero = mx.zeros((1, 4, 8))
    unseen = [call(normal(1, 1, 8), mx.array([i]), zero) for i in (0, 3, 4, 5, 1001)]
    options = {"states": {"ring": 1}, "deployment_target": "iOS18"}
    return Made(fn, call(normal(1, 1, 8), mx.array([1]), zero), unseen, options)


@states
def nested_state():
    """A state that is a list of dictionaries"""
    layers = [nn.GRU(8, 8), nn.GRU(8, 8)]

    def fn(x, cache):
        after = []
        for layer, each in zip(layers, cache, strict=True):
            x = layer(x, each["h"])
            after.append({"h": x[:, -1], "count": each["count"] + 1})
        return x, after

    def at(x):
        return call(x, [{"h": mx.zeros((1, 8)), "count": mx.zeros((1,))} for _ in range(2)])

    unseen = [at(normal(1, 1, 8)) for _ in range(4)]
    return Made(fn, at(normal(1, 1, 8)), unseen, {"states": {"cache": 1}, "deployment_target": "iOS18"})


@states
def slices_of_inputs():
    """States that are slices of an input"""

    def fn(x, s, r):
        both = mx.concatenate([s, r, x], axis=1)
        return both.mean(1), x[:, -1:], x[:, :1] * 0.5 + r

    return of(fn, {"s": 1, "r": 2}, (1, 1, 8), (1, 1, 8), inputs=(1, 3, 8), precision="float16")


@states
def results_by_name():
    """Results by name, a state among them"""
    gru = nn.GRU(8, 16)

    def fn(x, h):
        y = gru(x, h)
        return {"scores": y.mean(1), "h": y[:, -1], "last": y[:, -1] * 2}

    return of(fn, {"h": "h"}, (1, 16), inputs=(1, 3, 8))


@states
def spikes():
    """Membranes of two layers of spiking neurons"""
    first, second = nn.Linear(8, 16), nn.Linear(16, 4)

    def fn(x, u, v):
        u = 0.9 * u + first(x)
        spikes = (u > 0.3).astype(mx.float32)
        u = u - spikes * 0.3
        v = 0.8 * v + second(spikes)
        return v, u, v

    return of(fn, {"u": 1, "v": 2}, (1, 16), (1, 4), inputs=(1, 8))


@states
def average_of_the_past():
    """An exponential average whose output is the state itself"""
    return of(lambda x, m: (0.9 * m + 0.1 * x, 0.9 * m + 0.1 * x), {"m": 1}, (1, 8), inputs=(1, 8))


@states.refused(r"iOS ?18|iOS18")
def old_system():
    """States on a system that has none"""
    return of(lambda x, m: (x + m, m + 1), {"m": 1}, (1, 8), inputs=(1, 8), deployment_target="iOS17")


@states.refused(r"state 'q'.*(x|m)|'q'")
def unknown_state():
    """A state that the function does not have"""
    made = of(lambda x, m: (x + m, m + 1), {"m": 1}, (1, 8), inputs=(1, 8))
    return Made(made.fn, made.example, made.unseen, {**made.options, "states": {"q": 1}})
