"""The function that a converted model must agree with, and the inputs of its calls."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import mlx.core as mx
import numpy as np

from mlx_coreml.backends.mil.images import CHANNELS, Image, from_pixels
from mlx_coreml.backends.mil.states import Stateful
from mlx_coreml.conversion.input_roles import Role, roles
from mlx_coreml.conversion.truth import Truth, half_types
from mlx_coreml.ir.errors import MISTAKES, ConversionError, FunctionError, told
from mlx_coreml.ir.graph import Graph, Node, Tensor

# Products a second of half types, with packed weights and others: MLX 0.32 multiplies them on a CPU without
# vector instructions, 145 million of bfloat16 and 33 million of float16, where float32 does thousands.
PACKED, DENSE = 3e7, 3e8
PRODUCTS = ("Matmul", "AddMM", "GatherMM", "QuantizedMatmul", "GatherQMM", "QQMatmul")


@dataclass(frozen=True)
class Source:
    """The flat MLX function of a captured graph, and what is known of its inputs and types.

    `images` and `states` are inputs that its model takes as such; `half` names the half types in the graph,
    and `half_seconds` is about how long MLX computes in them.
    """

    name: str
    flat: Callable
    inputs: Sequence[Tensor]
    images: Mapping[str, Image] = field(default_factory=dict)
    states: Mapping[int, int] = field(default_factory=dict)
    roles: Sequence[Role] = ()
    half: Sequence[str] = ()
    half_seconds: float = 0.0

    def callable(self) -> Callable:
        """The function that the model must agree with, in float32."""
        return self._as_model(Truth(self.flat) if self.half else self.flat)

    def as_it_is(self) -> Callable:
        """The function in its own types."""
        return self._as_model(self.flat)

    def _as_model(self, function: Callable) -> Callable:
        flat = self._explaining(function)
        fed = from_pixels(flat, [t.name for t in self.inputs], self.images) if self.images else flat
        return Stateful(fed, self.inputs, self.states) if self.states else fed

    def _explaining(self, function: Callable) -> Callable:
        """The function, whose own errors are FunctionErrors: it may not take what the check gives it."""

        def called(*arrays: mx.array) -> list[mx.array]:
            try:
                return function(*arrays)
            except ConversionError:
                raise
            except MISTAKES as error:
                shapes = ", ".join(str(tuple(array.shape)) for array in arrays)
                raise FunctionError(f"{self.name} fails in the check at {shapes}: {told(error)}") from error

        return called

    def feed(self, arrays: Sequence[mx.array], rng: np.random.Generator, grey: int | None = None) -> dict:
        """The model's inputs: states left out, pictures for images, random ones or of one level of grey."""
        named = zip(self.inputs, arrays, strict=True)
        kept = [pair for i, pair in enumerate(named) if i not in self.states]
        fed = {t.name: a if a.ndim else a.reshape(1) for t, a in kept}
        return fed | {n: _picture(fed[n].shape, image, rng, grey) for n, image in self.images.items()}


def source_of(
    name: str,
    flat: Callable,
    graph: Graph,
    arrays: Sequence[mx.array],
    images: Mapping[str, Image] | None = None,
    states: Mapping[int, int] | None = None,
) -> Source:
    """The source of a graph as it was captured, with the arrays of the example."""
    known = roles(graph, arrays), half_types(graph), half_seconds(graph)
    return Source(name, flat, tuple(graph.inputs), images or {}, states or {}, *known)


def half_seconds(graph: Graph) -> float:
    """The seconds, by a rough estimate, that MLX needs for a graph in half types on a CPU."""
    return sum(_seconds(node) for node in graph.nodes)


def _seconds(node: Node) -> float:
    if node.kind == "Convolution":
        weight = node.inputs[1].shape
        return node.output.size * math.prod(weight[1:]) / DENSE
    if node.kind not in PRODUCTS:
        return 0.0
    products = node.outputs[0].size * node.inputs[0].shape[-1]
    return products / (PACKED if "Q" in node.kind else DENSE)


def as_floats(array: mx.array) -> np.ndarray:
    """An MLX array in float64."""
    return np.array(array.astype(mx.float32) if array.dtype == mx.bfloat16 else array).astype(np.float64)


def relative_error(found: np.ndarray, expected: np.ndarray, least: float = 0.0) -> float:
    """RMS of the difference over that of the expected values, or over `least`, wherever these are finite."""
    finite = np.isfinite(expected)
    if not finite.any():
        return 0.0
    a, b = found[finite], expected[finite]
    size = max(float(np.sqrt(np.mean(np.square(b)))), least, 1e-30)
    return float(np.sqrt(np.mean(np.square(a - b)))) / size if np.isfinite(a).all() else np.inf


def _picture(shape: Sequence[int], image: Image, rng: np.random.Generator, grey: int | None) -> Any:
    """A PIL image for an input of shape (1, height, width, channels), random or of one level of grey."""
    from PIL import Image as Picture

    _, height, width, _ = shape
    size = (height, width, CHANNELS[image.color])
    pixels = rng.integers(0, 256, size, np.uint8) if grey is None else np.full(size, grey, np.uint8)
    return Picture.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)
