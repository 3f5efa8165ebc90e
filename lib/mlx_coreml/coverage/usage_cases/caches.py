"""Functions that change objects while they run: caches, lists, counters, buffers."""

import mlx.core as mx

from mlx_coreml.coverage.usage_cases.usage import Kind, Made, call, normal

import mlx.nn as nn  # isort: skip

caches = Kind("cache")


class Cache:
    """Keys so far, and how many."""

    def __init__(self, keys=None):
        self.keys, self.offset = keys, 0 if keys is None else keys.shape[1]

    def update(self, keys):
        self.keys = keys if self.keys is None else mx.concatenate([self.keys, keys], axis=1)
        self.offset += keys.shape[1]
        return self.keys


class Attention(nn.Module):
    """One head over what is in a cache."""

    def __init__(self, dims=8):
        super().__init__()
        self.q, self.k, self.rope = nn.Linear(dims, dims), nn.Linear(dims, dims), nn.RoPE(dims)

    def __call__(self, x, cache=None):
        q = self.rope(self.q(x), offset=cache.offset if cache else 0)
        k = self.rope(self.k(x), offset=cache.offset if cache else 0)
        k = cache.update(k) if cache is not None else k
        return mx.softmax(q @ k.swapaxes(1, 2) / 3, axis=-1) @ k


def of(fn, *shape) -> Made:
    """A function of x, called on other numbers and zeros."""
    shape = shape or (1, 3, 8)
    return Made(
        fn, call(normal(*shape)), [call(normal(*shape)), call(mx.zeros(shape)), call(4 * normal(*shape))]
    )


@caches
def closed_over_empty():
    """An empty cache closed over"""
    attention, cache = Attention(), Cache()
    return of(lambda x: attention(x, cache))


@caches
def closed_over_filled():
    """A filled cache closed over"""
    attention, cache = Attention(), Cache(normal(1, 5, 8))
    return of(lambda x: attention(x, cache))


@caches
def as_argument():
    """A filled cache as an argument"""
    attention = Attention()

    def fn(x, cache):
        return attention(x, cache), cache.keys

    return Made(
        fn,
        call(normal(1, 3, 8), Cache(normal(1, 5, 8))),
        [call(normal(1, 3, 8), Cache(normal(1, 5, 8))), call(mx.zeros((1, 3, 8)), Cache(normal(1, 5, 8)))],
    )


@caches
def empty_as_argument():
    """A list of empty caches as an argument"""
    layers = [Attention(), Attention()]

    def fn(x, cache):
        for layer, each in zip(layers, cache, strict=True):
            x = layer(x, each)
        return x

    calls = [call(normal(1, 3, 8), [Cache(), Cache()]) for _ in range(3)]
    return Made(fn, calls[0], calls[1:])


@caches
def list_of_none():
    """None in a list of caches"""
    layers = [Attention(), Attention()]

    def fn(x, cache):
        for layer, each in zip(layers, cache, strict=True):
            x = layer(x, each)
        return x

    calls = [call(normal(1, 3, 8), [None, None]) for _ in range(3)]
    return Made(fn, calls[0], calls[1:])


@caches
def list_that_grows():
    """A list that hidden values are added to"""
    lin, seen = nn.Linear(8, 8), []

    def fn(x):
        for _ in range(2):
            x = mx.tanh(lin(x))
            seen.append(x)
        return x + seen[-2]

    return of(fn)


@caches
def argument_list_that_grows():
    """A list that is an argument and grows"""
    lin = nn.Linear(8, 8)

    def fn(x, history):
        history.append(lin(x))
        return sum(history[1:], history[0])

    calls = [call(normal(1, 3, 8), [normal(1, 3, 8)]) for _ in range(3)]
    return Made(fn, calls[0], calls[1:])


@caches
def counter():
    """A counter that does not change what is computed"""
    lin, calls = nn.Linear(8, 8), {"count": 0}

    def fn(x):
        calls["count"] += 1
        return lin(x)

    return of(fn)


@caches.refused(r"does not repeat itself")
def counter_that_matters():
    """A counter that changes what is computed"""
    lin, calls = nn.Linear(8, 8), {"count": 0}

    def fn(x):
        calls["count"] += 1
        return lin(x) * calls["count"]

    return of(fn)


@caches
def memo():
    """A table that the first call makes and keeps"""

    class Rotary:
        def __init__(self):
            self.tables = {}

        def __call__(self, x):
            n = x.shape[1]
            if n not in self.tables:
                angles = mx.arange(n)[:, None] * mx.exp(-mx.arange(4) / 4)
                self.tables[n] = mx.cos(angles), mx.sin(angles)
            cos, sin = self.tables[n]
            return mx.concatenate(
                [x[..., :4] * cos - x[..., 4:] * sin, x[..., 4:] * cos + x[..., :4] * sin], -1
            )

    return of(Rotary())


@caches
def last_activation():
    """A module that keeps its last activation"""

    class Keeps(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin, self.last, self._count = nn.Linear(8, 8), None, 0

        def __call__(self, x):
            self.last = self.lin(x)
            self._count += 1
            return mx.tanh(self.last)

    return of(Keeps())


@caches
def written_in_place():
    """A buffer that is written in place"""

    class Ring:
        def __init__(self):
            self.buffer, self.at = normal(1, 6, 8), 2

        def __call__(self, x):
            self.buffer[:, self.at : self.at + x.shape[1]] = x
            return self.buffer.cumsum(axis=1)

    return of(Ring())


@caches
def argument_written_in_place():
    """An argument that is written in place"""

    def fn(x, buffer):
        buffer[:, 1:4] = x
        buffer[:, 0] += 1
        return buffer * 2

    calls = [call(normal(1, 3, 8), normal(1, 6, 8)) for _ in range(3)]
    return Made(fn, calls[0], calls[1:])


@caches
def nested_dictionary():
    """A dictionary of dictionaries that is written"""
    lin, store = nn.Linear(8, 8), {"layers": {0: {}}}

    def fn(x):
        store["layers"][0]["hidden"] = lin(x)
        store["seen"] = True
        return mx.sigmoid(store["layers"][0]["hidden"])

    return of(fn)


@caches
def of_mlx_lm():
    """mlx-lm's own cache, filled, closed over"""
    from mlx_lm.models.cache import KVCache

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv = nn.Linear(16, 48)

        def __call__(self, x, cache):
            q, k, v = (p.reshape(1, -1, 2, 8).swapaxes(1, 2) for p in mx.split(self.qkv(x), 3, axis=-1))
            k, v = cache.update_and_fetch(k, v)
            out = mx.fast.scaled_dot_product_attention(q, k, v, scale=0.3, mask=None)
            return out.swapaxes(1, 2).reshape(1, -1, 16)

    layer, cache = Layer(), KVCache()
    mx.eval(layer(normal(1, 4, 16), cache))
    return of(lambda x: layer(x, cache), 1, 1, 16)


@caches
def empty_of_mlx_lm():
    """mlx-lm's own caches, empty, as an argument"""
    from mlx_lm.models import llama
    from mlx_lm.models.cache import make_prompt_cache

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "intermediate_size": 32, "num_attention_heads": 4}
    sizes |= {"num_key_value_heads": 2, "rms_norm_eps": 1e-5, "vocab_size": 40}
    model = llama.Model(llama.ModelArgs(model_type="llama", **sizes))
    tokens = [mx.array([ids]) for ids in ([1, 2, 3], [39, 0, 17], [7, 7, 7])]
    calls = [call(each, make_prompt_cache(model)) for each in tokens]
    return Made(model, calls[0], calls[1:])


@caches
def generator():
    """A generator that is used up"""

    def blocks(layers):
        yield from layers

    layers = [nn.Linear(8, 8), nn.Linear(8, 8)]

    def fn(x):
        for layer in blocks(layers):
            x = mx.tanh(layer(x))
        return x

    return of(fn)
