"""The random numbers that a function draws without a key of its own: refused, or taken as inputs.

A package draws no random numbers. With random="input", noise becomes an input: standard normal numbers for
normal ones, uniform numbers from 0 to 1 for every other distribution, from which MLX's numbers are computed.
https://ml-explore.github.io/mlx/build/html/python/random.html
"""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import mlx.core as mx
import numpy as np

from mlx_coreml.capture import places
from mlx_coreml.ir.errors import CaptureError, NotRepeatableError

Noise = Callable[[str, Sequence[int]], mx.array]  # a kind, "normal" or "uniform", and a shape
NAMES = (
    *("bernoulli", "categorical", "gumbel", "laplace", "multivariate_normal", "normal"),
    *("permutation", "randint", "truncated_normal", "uniform"),
)


class Draws:
    """What a function draws: noted while it is called, and then fed from arrays, in the same order."""

    def __init__(self, allowed: bool = False):
        self.allowed = allowed
        self.kinds: list[str] = []
        self.examples: list[mx.array] = []
        self.refusal: NotRepeatableError | None = None
        self._fed: Iterator[mx.array] | None = None
        self._noting = False
        self._rng = np.random.default_rng(0)

    @contextmanager
    def noted(self, name: str, running: Callable[[], str] = str) -> Iterator[None]:
        """Note draws inside the block, or refuse them: `name` is the function's, `running` the module's path.

        Errors: NotRepeatableError, also when the function itself catches it.
        """
        self.kinds, self.examples, self._fed, self._noting = [], [], None, True
        try:
            with self._replaced(lambda drawn: self._refuse(name, drawn, running())):
                yield
        finally:
            self._noting = False
        if self.refusal:
            raise self.refusal

    @contextmanager
    def fed(self, arrays: Sequence[mx.array]) -> Iterator[None]:
        """Draw from arrays inside the block."""
        if self._noting or not self.allowed:
            yield
            return
        self._fed = iter(arrays)
        try:
            with self._replaced(lambda drawn: None):
                yield
        finally:
            self._fed = None

    @contextmanager
    def _replaced(self, met: Callable[[str], None]) -> Iterator[None]:
        with ExitStack() as stack:
            for name in NAMES:
                original = getattr(mx.random, name)
                stack.enter_context(mock.patch.object(mx.random, name, self._drawing(name, original, met)))
            yield

    def _drawing(self, name: str, original: Callable, met: Callable[[str], None]) -> Callable:
        @functools.wraps(original)
        def draw(*args: Any, key: mx.array | None = None, **kwargs: Any) -> mx.array:
            if key is not None:
                return original(*args, key=key, **kwargs)
            met(name)
            kwargs.pop("stream", None)
            return DISTRIBUTIONS[name](self._noise, *args, **kwargs)

        return draw

    def _refuse(self, name: str, drawn: str, path: str) -> None:
        if self.allowed and drawn in DISTRIBUTIONS:
            return
        cure = "" if drawn not in DISTRIBUTIONS else ", or convert with random='input'"
        self.refusal = NotRepeatableError(
            f"{name} draws random numbers by mx.random.{drawn} ({places.of_call(path)}), and a package draws "
            f"none: pass the noise as an argument, give key=mx.random.key(0) for fixed numbers{cure}"
        )
        raise self.refusal

    def _noise(self, kind: str, shape: Sequence[int]) -> mx.array:
        if self._fed is not None:
            fed = next(self._fed, None)
            if fed is None or tuple(fed.shape) != tuple(shape):
                raise CaptureError("the function draws more random numbers, or of other shapes, than before")
            return fed
        drawn = self._rng.standard_normal(shape) if kind == "normal" else self._rng.random(shape)
        self.kinds.append(kind)
        self.examples.append(mx.array(np.asarray(drawn, np.float32)))
        return self.examples[-1]


def _normal(noise: Noise, shape=(), dtype=mx.float32, loc=None, scale=None) -> mx.array:
    made = noise("normal", shape).astype(dtype)
    made = made if scale is None else made * scale
    return (made if loc is None else made + loc).astype(dtype)


def _uniform(noise: Noise, low=0, high=1, shape=(), dtype=mx.float32) -> mx.array:
    return (low + noise("uniform", _shape(shape, low, high)) * (mx.array(high) - low)).astype(dtype)


def _bernoulli(noise: Noise, p=0.5, shape=None) -> mx.array:
    return noise("uniform", mx.array(p).shape if shape is None else shape) < p


def _randint(noise: Noise, low, high, shape=(), dtype=mx.int32) -> mx.array:
    drawn = low + noise("uniform", _shape(shape, low, high)) * (mx.array(high) - low)
    return mx.minimum(mx.floor(drawn), mx.array(high) - 1).astype(dtype)


def _gumbel(noise: Noise, shape=(), dtype=mx.float32) -> mx.array:
    return -mx.log(-mx.log(mx.clip(noise("uniform", shape), 1e-7, 1 - 1e-7))).astype(dtype)


def _categorical(noise: Noise, logits, axis=-1, shape=None, num_samples=None) -> mx.array:
    logits = mx.moveaxis(logits, axis, -1)
    if shape is not None:
        logits = mx.broadcast_to(logits, (*shape, logits.shape[-1]))
    elif num_samples is not None:
        logits = mx.broadcast_to(
            mx.expand_dims(logits, -2), (*logits.shape[:-1], num_samples, logits.shape[-1])
        )
    return mx.argmax(logits + _gumbel(noise, logits.shape), axis=-1).astype(mx.uint32)


def _laplace(noise: Noise, shape=(), dtype=mx.float32, loc=0.0, scale=1.0) -> mx.array:
    drawn = mx.clip(noise("uniform", shape), 1e-7, 1 - 1e-7) - 0.5
    return (loc - scale * mx.sign(drawn) * mx.log(1 - 2 * mx.abs(drawn))).astype(dtype)


def _truncated_normal(noise: Noise, lower, upper, shape=None, dtype=mx.float32) -> mx.array:
    low, high = (mx.erf(mx.array(end) / math.sqrt(2.0)) for end in (lower, upper))
    drawn = low + noise("uniform", _shape(shape or (), lower, upper)) * (high - low)
    return mx.clip(math.sqrt(2.0) * mx.erfinv(drawn), lower, upper).astype(dtype)


def _permutation(noise: Noise, x, axis=0) -> mx.array:
    x = mx.arange(x) if isinstance(x, int) else x
    return mx.take(x, mx.argsort(noise("uniform", (x.shape[axis],))), axis=axis)


def _shape(shape: Sequence[int], *ends: Any) -> tuple[int, ...]:
    """The shape that was asked for, or that of the ends of a range."""
    return tuple(shape) or tuple(np.broadcast_shapes(*(mx.array(end).shape for end in ends)))


DISTRIBUTIONS: dict[str, Callable] = {
    "normal": _normal,
    "uniform": _uniform,
    "bernoulli": _bernoulli,
    "randint": _randint,
    "gumbel": _gumbel,
    "categorical": _categorical,
    "laplace": _laplace,
    "truncated_normal": _truncated_normal,
    "permutation": _permutation,
}


def mode(random: str) -> bool:
    """Whether draws become inputs. Errors: CaptureError for anything but "refuse" and "input"."""
    if random not in ("refuse", "input"):
        raise CaptureError(f"random={random!r}; allowed are 'refuse' and 'input'")
    return random == "input"
