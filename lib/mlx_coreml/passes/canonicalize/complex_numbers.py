"""Computes complex numbers as pairs of real ones, and Fourier transforms as products with constant matrices.

Core ML has neither. A spectrum that stays inside a function becomes real and imaginary parts; a graph with a
complex input or output, or with an operation that has no rule here, is left as it is.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import mlx.core as mx
import numpy as np

from mlx_coreml.ir.graph import Graph, Node, Tensor, constant
from mlx_coreml.passes.rewriting.rewrite import replaced

LONGEST = 4096  # samples of a transform: its matrices have the square of that many numbers
BY_PARTS = ("Reshape", "Flatten", "Unflatten", "ExpandDims", "Squeeze", "Transpose", "Slice", "Broadcast")
BY_PARTS += ("Concatenate", "Add", "Subtract", "Negative", "Gather", "GatherAxis")
KINDS = (
    *BY_PARTS,
    *("Split", "FFT", "Multiply", "Divide", "Square", "Abs", "Real", "Imag", "Conjugate", "AsType"),
)


@dataclass(frozen=True)
class Parts:
    """A complex tensor: its real part, and its imaginary part unless that is zero."""

    real: Tensor
    imaginary: Tensor | None


@dataclass
class Separation:
    """The parts of each complex tensor, the nodes made, and the complex node they are made for."""

    parts: dict[Tensor, Parts] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    node: Node | None = None

    def __call__(self, kind: str, inputs: Sequence[Tensor], shape: Sequence[int], *arguments) -> Tensor:
        """A real tensor that a new node makes."""
        made = Tensor(f"{self.node.outputs[0].name}_{kind}", tuple(shape), "float32")
        self.nodes.append(Node(kind, list(inputs), [made], arguments, self.node.path))
        return made

    def of(self, tensor: Tensor) -> Parts:
        """The parts of a tensor, which may be a constant or real."""
        if tensor.value is not None and tensor.dtype == "complex64":
            return Parts(constant(mx.real(tensor.value)), constant(mx.imag(tensor.value)))
        return self.parts.get(tensor) or Parts(tensor, None)


def separate_spectra(graph: Graph) -> None:
    """Replace every complex node by nodes of its parts."""
    touched = [node for node in graph.nodes if any(map(_is_complex, (*node.inputs, *node.outputs)))]
    outside = any(map(_is_complex, (*graph.inputs, *graph.outputs)))
    if outside or not touched or not all(map(_has_rule, touched)):
        return
    make, complex_ones = Separation(), set(map(id, touched))
    for node in graph.nodes:
        if id(node) not in complex_ones:
            make.nodes.append(node)
            continue
        make.node = node
        if node.kind == "Split":
            make.parts |= zip(node.outputs, _split(make, node), strict=True)
            continue
        made = RULES.get(node.kind, _by_parts)(make, node)
        if _is_complex(node.output):
            make.parts[node.output] = made
        else:
            make.nodes.append(replaced(node, "identity", [made.real]))
    graph.nodes = make.nodes
    graph.sweep()


def _is_complex(tensor: Tensor) -> bool:
    return tensor.dtype == "complex64"


def _has_rule(node: Node) -> bool:
    if node.kind == "FFT":
        axes = node.unpack(3, 4)[0]
        return max(max(t.shape[axis] for axis in axes) for t in (*node.inputs, *node.outputs)) <= LONGEST
    to = node.outputs[0].dtype
    return node.kind in KINDS and (node.kind != "AsType" or to in ("complex64", "float32"))


def _by_parts(make: Separation, node: Node) -> Parts:
    """An operation that does the same to either part."""
    rest = [t for t in node.inputs if not _is_complex(t)]  # indices
    parts = [make.of(t) for t in node.inputs if _is_complex(t)]
    shape = node.output.shape
    real = make(node.kind, [each.real for each in parts] + rest, shape, *node.arguments)
    if all(each.imaginary is None for each in parts):
        return Parts(real, None)
    imaginary = [each.imaginary or constant(np.zeros(each.real.shape, np.float32)) for each in parts]
    return Parts(real, make(node.kind, imaginary + rest, shape, *node.arguments))


def _split(make: Separation, node: Node) -> list[Parts]:
    """Slices, one per result."""
    (x,), (_, axis) = node.inputs, node.unpack(2)
    parts, first, made = make.of(x), 0, []
    for output in node.outputs:
        start, end = [0] * x.rank, list(x.shape)
        start[axis], end[axis] = first, first + output.shape[axis]
        first = end[axis]
        where = (tuple(start), tuple(end), (1,) * x.rank)
        both = [t and make("Slice", [t], output.shape, *where) for t in (parts.real, parts.imaginary)]
        made.append(Parts(*both))
    return made


def _cast(make: Separation, node: Node) -> Parts:
    (x,) = node.inputs
    parts = make.of(x)
    if parts.real.dtype != "float32":
        return Parts(make("AsType", [x], x.shape, mx.float32), None)
    return parts


def _conjugate(make: Separation, node: Node) -> Parts:
    parts = make.of(node.inputs[0])
    if parts.imaginary is None:
        return parts
    return Parts(parts.real, make("Negative", [parts.imaginary], parts.imaginary.shape))


def _imaginary(make: Separation, node: Node) -> Parts:
    parts = make.of(node.inputs[0])
    zero = constant(np.zeros(parts.real.shape, np.float32))
    return Parts(parts.imaginary or zero, None)


def _multiply(make: Separation, node: Node) -> Parts:
    return _product(make, *(make.of(t) for t in (node.inputs * 2)[:2]), node.output.shape)


def _product(make: Separation, a: Parts, b: Parts, shape: tuple[int, ...]) -> Parts:
    """(a + ib)(c + id); a square has one factor twice."""

    def times(x: Tensor | None, y: Tensor | None) -> Tensor | None:
        return None if x is None or y is None else make("Multiply", [x, y], shape)

    real = _sum(make, "Subtract", times(a.real, b.real), times(a.imaginary, b.imaginary))
    return Parts(real, _sum(make, "Add", times(a.real, b.imaginary), times(a.imaginary, b.real)))


def _sum(make: Separation, kind: str, a: Tensor | None, b: Tensor | None) -> Tensor | None:
    """a + b or a - b, where one that is zero is None; only sums have a first that may be."""
    return a or b if a is None or b is None else make(kind, [a, b], a.shape)


def _divide(make: Separation, node: Node) -> Parts:
    """a / b = a * conj(b) / |b|**2."""
    a, b = (make.of(t) for t in node.inputs)
    shape = node.output.shape
    scale = b.real
    if b.imaginary is not None:
        minus = make("Negative", [b.imaginary], b.imaginary.shape)
        a = _product(make, a, Parts(b.real, minus), shape)
        scale = _square_size(make, b)
    parts = [None if part is None else make("Divide", [part, scale], shape) for part in (a.real, a.imaginary)]
    return Parts(*parts)


def _square_size(make: Separation, a: Parts) -> Tensor:
    squares = [make("Square", [t], t.shape) for t in (a.real, a.imaginary)]
    return make("Add", squares, a.real.shape)


def _absolute(make: Separation, node: Node) -> Parts:
    parts = make.of(node.inputs[0])
    if parts.imaginary is None:
        return Parts(make("Abs", [parts.real], parts.real.shape), None)
    return Parts(make("Sqrt", [_square_size(make, parts)], parts.real.shape, False), None)


def _transform(make: Separation, node: Node) -> Parts:
    """One axis after the other; of a real transform the last axis holds half a spectrum."""
    axes, inverse, real, *_ = node.unpack(3, 4)
    parts, others = make.of(node.inputs[0]), list(axes[:-1] if real else axes)
    if real and not inverse:
        size = node.inputs[0].shape[axes[-1]]
        parts = _turned(make, parts, axes[-1], *_waves(size, size // 2 + 1, -1))
    for axis in others:
        size = node.inputs[0].shape[axis]
        parts = _turned(make, parts, axis, *_waves(size, size, 1 if inverse else -1))
    if real and inverse:
        cosine, sine = _half_waves(node.output.shape[axes[-1]])
        whole = _turned(make, parts, axes[-1], cosine, sine, only_real=True)
        parts = Parts(whole.real, None)
    return parts


def _turned(make: Separation, parts: Parts, axis: int, cosine, sine, only_real: bool = False) -> Parts:
    """(a + ib)(cosine + i sine) along an axis."""
    a, b = parts.real, parts.imaginary
    bs = None if b is None else _along(make, b, axis, sine)
    real = _sum(make, "Subtract", _along(make, a, axis, cosine), bs)
    if only_real:
        return Parts(real, None)
    bc = None if b is None else _along(make, b, axis, cosine)
    return Parts(real, _sum(make, "Add", _along(make, a, axis, sine), bc))


def _along(make: Separation, x: Tensor, axis: int, matrix: np.ndarray) -> Tensor:
    """The product of an axis with a matrix."""
    order = [i for i in range(x.rank) if i != axis] + [axis]
    last = order == list(range(x.rank))
    moved = x if last else make("Transpose", [x], [x.shape[i] for i in order], order)
    rows = make("Reshape", [moved], (x.size // matrix.shape[0], matrix.shape[0]))
    made = make("Matmul", [rows, constant(matrix)], (rows.shape[0], matrix.shape[1]))
    made = make("Reshape", [made], (*moved.shape[:-1], matrix.shape[1]))
    back = [int(i) for i in np.argsort(order)]
    return made if last else make("Transpose", [made], [made.shape[i] for i in back], back)


def _waves(samples: int, frequencies: int, sign: int) -> tuple[np.ndarray, np.ndarray]:
    """cos and sin of sign * 2 pi n k / samples; the inverse divides by the samples."""
    angle = np.outer(np.arange(samples), np.arange(frequencies)) % samples * (sign * math.tau / samples)
    scale = 1 if sign < 0 else 1 / samples
    waves = [np.where(np.abs(wave) < 1e-12, 0, scale * wave) for wave in (np.cos(angle), np.sin(angle))]
    return waves[0].astype(np.float32), waves[1].astype(np.float32)


def _half_waves(samples: int) -> tuple[np.ndarray, np.ndarray]:
    """For the inverse from half a spectrum: every frequency that has a mirror image counts twice."""
    cosine, sine = _waves(samples, samples, 1)
    half = samples // 2 + 1
    twice = np.full((half, 1), 2, np.float32)
    twice[0] = 1
    if samples % 2 == 0:
        twice[-1] = 1
    return twice * cosine[:half], twice * sine[:half]


RULES: dict[str, Callable[[Separation, Node], Parts]] = {
    "AsType": _cast,
    "FFT": _transform,
    "Multiply": _multiply,
    "Square": _multiply,
    "Divide": _divide,
    "Abs": _absolute,
    "Conjugate": _conjugate,
    "Real": _cast,
    "Imag": _imaginary,
}
