"""Checks a converted model against MLX: on the example, other numbers, other sizes, over several calls."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlx.core as mx
import numpy as np

from mlx_coreml.backends.mil.images import CHANNELS, Image, from_pixels
from mlx_coreml.backends.mil.states import Stateful
from mlx_coreml.ir.errors import ConversionError
from mlx_coreml.ir.graph import Tensor

if TYPE_CHECKING:
    from coreml_runtime import Report

TOLERANCE = {"float32": 1e-4, "float16": 2e-2, "mixed": 2e-2}  # rms-relative
MASKING = 1e30  # numbers this large, or infinite, say only that something is left out
STATE_TOLERANCE = 2e-2  # a state is fp16, whatever the model computes in


@dataclass(frozen=True)
class Source:
    """The flat MLX function of a captured graph, and the inputs that its model takes as images or states."""

    name: str
    flat: Callable
    inputs: Sequence[Tensor]
    images: Mapping[str, Image] = field(default_factory=dict)
    states: Mapping[int, int] = field(default_factory=dict)

    def callable(self) -> Callable:
        """The function that the model must agree with."""
        fed = from_pixels(self.flat, [t.name for t in self.inputs], self.images) if self.images else self.flat
        return Stateful(fed, self.inputs, self.states) if self.states else fed

    def feed(self, arrays: Sequence[mx.array], rng: np.random.Generator) -> dict:
        """The model's inputs: states left out, random pictures for images."""
        named = zip(self.inputs, arrays, strict=True)
        kept = [pair for i, pair in enumerate(named) if i not in self.states]
        fed = {t.name: a if a.ndim else a.reshape(1) for t, a in kept}
        return fed | {n: _picture(fed[n].shape, image, rng) for n, image in self.images.items()}


@contextmanager
def mlx_on_cpu() -> Iterator[None]:
    """Run MLX's operations on its CPU stream (context or decorator); evaluated arrays stay where they are."""
    with mx.stream(mx.cpu):
        yield


def check_is_installed() -> None:
    """Errors: ConversionError naming what the check needs and is not installed."""
    missing = [name for name in ("coreml_runtime", "torch") if importlib.util.find_spec(name) is None]
    if missing:
        raise ConversionError(
            f"the check needs {' and '.join(missing)}, not found here: "
            "`pip install './lib/mlx_coreml[check]'` in a checkout, or convert with check=False (--no-check)"
        )


@mlx_on_cpu()
def check_model(
    source: Source, package: str | Path, examples: Sequence[Sequence[mx.array]], precision: str
) -> Report:
    """The report of `verify` for a package on each example (flat arrays), and on random numbers like them.

    A result that was computed from the example and stored as a constant differs on the others. A model with
    states is called several times in a row.
    """
    from coreml_runtime import verify

    rng = np.random.default_rng(0)
    series = [*examples, [like(array, rng) for array in examples[0]]]
    if source.states:
        series.append([like(array, rng) for array in examples[0]])
    tolerance = max(TOLERANCE[precision], STATE_TOLERANCE if source.states else 0.0)
    calls = [source.feed(arrays, rng) for arrays in series]
    report = verify(source.callable(), package, calls, framework="mlx", tolerance=tolerance)
    return replace(report, package=source.name)


def like(array: mx.array, rng: np.random.Generator) -> mx.array:
    """Random numbers within an array's range; standard normal ones when all its floats are equal."""
    if array.dtype == mx.bool_:
        return mx.array(rng.integers(0, 2, array.shape).astype(bool))
    values = np.array(array.astype(mx.float32) if array.dtype == mx.bfloat16 else array)
    if not values.size:
        return array
    low, high = (float(end) for end in (values.min(), values.max()))
    if values.dtype.kind in "iu":
        drawn = rng.integers(values.min(), values.max(), values.shape, values.dtype, endpoint=True)
    elif low == high and np.isfinite(low):
        drawn = rng.standard_normal(values.shape)
    elif max(-low, high) < MASKING:
        drawn = rng.uniform(low, high, values.shape)
    else:  # a mask: other rows of it, so that no row is masked as a whole
        drawn = rng.permutation(values, axis=max(values.ndim - 2, 0))
    return mx.array(np.asarray(drawn, values.dtype)).astype(array.dtype)


def _picture(shape: Sequence[int], image: Image, rng: np.random.Generator) -> Any:
    """A random PIL image for an input of shape (1, height, width, channels)."""
    from PIL import Image as Picture

    _, height, width, _ = shape
    pixels = rng.integers(0, 256, (height, width, CHANNELS[image.color]), np.uint8)
    return Picture.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)
