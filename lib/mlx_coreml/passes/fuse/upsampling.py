"""Fuses upsampling from what mlx.nn.Upsample captures: broadcasts, or sums of weighted gathers.

Whatever the interpolation, each axis is multiplied by a constant matrix: "resample" of (x, matrix) along an
axis, rows for places of the result, columns for places of the input. Where the matrices of two axes are those
of bilinear interpolation they become MIL's resize. Nearest neighbours only choose: "take" of (x, places).
https://ml-explore.github.io/mlx/build/html/python/nn/_autosummary/mlx.nn.Upsample.html
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from mlx_coreml.ir.graph import Graph, Node, Tensor, constant
from mlx_coreml.passes.layout.channels import channels_first
from mlx_coreml.passes.rewriting.rewrite import made_by, replaced, rewrite, scalar, step

CLOSE = 2e-5  # of float32 weights, products of up to three
LARGEST = 2**23  # elements of a matrix; beyond it gathers are cheaper


@dataclass(frozen=True)
class Sample:
    """`weight` times what a tensor holds at the places of `indices`, by axis."""

    source: Tensor
    indices: dict[int, np.ndarray]
    weight: np.ndarray


def fuse_upsampling(graph: Graph) -> None:
    """Make repeated pixels "upsample_nearest" or "take" and interpolation "resample" or "resize_linear"."""
    rewrite(graph, {"Reshape": [_repeated]})
    uses = graph.uses()
    inner = {t for node in graph.nodes if node.kind == "Add" for t in node.inputs if uses[t] == 1}
    rewrite(graph, {"Add": [partial(_interpolated, inner)]})
    rewrite(graph, {"Squeeze": [_taken]})
    rewrite(graph, {"resample": [_bilinear]})


def _repeated(node: Node) -> list[Node] | None:
    """(N, H, W, C) -> (N, H, 1, W, 1, C) -> (N, H, a, W, b, C) -> (N, aH, bW, C)."""
    wide = made_by(node.inputs[0], "Broadcast")
    split = made_by(wide.inputs[0], "Reshape") if wide else None
    source = split.inputs[0] if split else None
    if source is None or source.rank not in (3, 4, 5) or not source.is_float:
        return None
    spatial = source.rank - 2
    batch, *sizes, channels = source.shape
    factors = wide.output.shape[2:-1:2]
    columns = [n for size in sizes for n in (size, 1)]
    repeated = [n for pair in zip(sizes, factors, strict=False) for n in pair]
    grown = [size * factor for size, factor in zip(sizes, factors, strict=False)]
    if (
        split.output.shape != (batch, *columns, channels)
        or wide.output.shape != (batch, *repeated, channels)
        or node.output.shape != (batch, *grown, channels)
        or len(factors) != spatial
    ):
        return None
    return channels_first(node, "upsample_nearest", [source], node.output.shape, list(factors))


def _interpolated(inner: set[Tensor], node: Node) -> list[Node] | None:
    """The last Add of a sum of weighted samples."""
    if node.output in inner:
        return None
    samples = [_sample(term) for term in _terms(node.output, inner)]
    if None in samples or len({s.source for s in samples}) != 1:
        return None
    if any(len(line) != node.output.shape[axis] for s in samples for axis, line in s.indices.items()):
        return None
    matrices = _matrices(samples)
    if matrices is None:
        return None
    return _along_axes(node, "resample", samples[0].source, matrices)


def _terms(tensor: Tensor, inner: set[Tensor]) -> list[Tensor]:
    """What a sum adds up; the zero that Python's sum starts from is left out."""
    terms, waiting = [], [tensor]
    while waiting:
        node = made_by(term := waiting.pop(), "Add")
        if node and (term is tensor or term in inner):
            waiting += node.inputs
        elif scalar(term) != 0:
            terms.append(term)
    return terms


def _sample(tensor: Tensor) -> Sample | None:
    """Multiply of a constant weight and a gather at constant places."""
    node = made_by(tensor, "Multiply")
    for weight, values in (node.inputs, node.inputs[::-1]) if node else ():
        if weight.value is not None and values.value is None and weight.rank <= values.rank:
            found = _gathered(values)
            if found is None:
                return None
            source, indices = found
            shape = (1,) * (values.rank - weight.rank) + weight.shape
            flat = all(n == 1 for axis, n in enumerate(shape) if axis not in indices)
            known = weight.numpy().astype(np.float64).reshape(shape)
            return Sample(source, indices, known) if flat else None
    return None


def _gathered(tensor: Tensor) -> tuple[Tensor, dict[int, np.ndarray]] | None:
    """The tensor, and the places by axis, when constant places are taken along each axis on its own."""
    squeeze = made_by(tensor, "Squeeze")
    if squeeze is None:
        return None
    turned = made_by(squeeze.inputs[0], "Transpose")
    gather = made_by(turned.inputs[0] if turned else squeeze.inputs[0], "Gather")
    if gather is None or any(t.value is None for t in gather.inputs[1:]):
        return None
    (source, *places), (axes, sizes) = gather.inputs, gather.unpack(2)
    full = tuple(1 if axis in axes else n for axis, n in enumerate(source.shape))
    shape = list(places[0].shape)
    if tuple(sizes) != full or 0 in tensor.shape:
        return None
    if turned:
        (axis, *more), count = axes, source.rank
        order = [*range(1, axis + 1), 0, *range(axis + 1, count + 1)]
        moved_back = (turned.unpack(1)[0], squeeze.unpack(1)[0]) == (order, [axis + 1])
        if more or len(shape) != 1 or not moved_back:
            return None
        return source, {axis: _wrapped(places[0].numpy(), source.shape[axis])}
    lead = list(range(len(shape)))
    if list(axes) != lead or squeeze.unpack(1)[0] != [len(shape) + axis for axis in axes]:
        return None
    indices = {}
    for axis, place in enumerate(places):
        along = place.numpy().astype(np.int64).reshape(shape)
        line = along[tuple(slice(None) if i == axis else 0 for i in lead)]
        if not (along == line.reshape([-1 if i == axis else 1 for i in lead])).all():
            return None
        indices[axis] = _wrapped(line, source.shape[axis])
    return source, indices


def _wrapped(places: np.ndarray, size: int) -> np.ndarray:
    """Negative indices count from the end."""
    places = places.astype(np.int64)
    return np.where(places < 0, places + size, places)


def _matrices(samples: Sequence[Sample]) -> dict[int, np.ndarray] | None:
    """The matrix of each axis, when the sum of samples is a product of one per axis.

    Interpolation weighs every combination of neighbours, one per axis, by a product of weights that add up to
    one along each axis: so the sum over the combinations that share a neighbour is the weight of its axis.
    """
    first, given = samples[0], sorted(samples[0].indices)
    axes = [axis for axis in given if any(not _counts(s, axis) for s in samples if axis in s.indices)]
    if any(sorted(s.indices) != given for s in samples) or not axes:
        return None
    if any(len(first.indices[axis]) * first.source.shape[axis] > LARGEST for axis in axes):
        return None
    weights: dict[tuple[bytes, ...], np.ndarray] = {}
    lines: dict[tuple[int, bytes], np.ndarray] = {}
    for s in samples:
        key = tuple(s.indices[axis].tobytes() for axis in axes)
        lines |= {(axis, name): s.indices[axis] for axis, name in zip(axes, key, strict=True)}
        weights[key] = weights.get(key, 0.0) + s.weight
    parts: dict[tuple[int, bytes], np.ndarray] = {}
    for place, axis in enumerate(axes):
        for name in dict.fromkeys(key[place] for key in weights):
            total = sum(w for key, w in weights.items() if key[place] == name)
            line = tuple(slice(None) if i == axis else slice(0, 1) for i in range(total.ndim))
            parts[axis, name] = total[line]
    names = [[name for a, name in parts if a == axis] for axis in axes]
    for key in itertools.product(*names):
        product = math.prod(parts[axis, name] for axis, name in zip(axes, key, strict=True))
        if key not in weights or np.abs(product - weights[key]).max() > CLOSE:
            return None
    matrices = {axis: _matrix(axis, parts, lines, first.source.shape[axis]) for axis in axes}
    return {axis: m for axis, m in matrices.items() if not np.array_equal(m, np.eye(*m.shape))} or None


def _counts(sample: Sample, axis: int) -> bool:
    """Whether an axis is taken as it is, as the batch always is."""
    return np.array_equal(sample.indices[axis], np.arange(sample.source.shape[axis]))


def _matrix(axis: int, parts: dict, lines: dict, size: int) -> np.ndarray:
    """The sum, over neighbours, of their weights at their places."""
    count = next(len(line) for (a, _), line in lines.items() if a == axis)
    matrix = np.zeros((count, size))
    for (a, name), weight in parts.items():
        if a == axis:
            np.add.at(matrix, (np.arange(count), lines[a, name]), np.broadcast_to(weight.reshape(-1), count))
    return matrix.astype(np.float32)


def _taken(node: Node) -> list[Node] | None:
    """Nearest neighbours at constant places of several axes."""
    found = _gathered(node.output)
    if found is None or node.inputs[0].rank <= 5:
        return None
    whole = Sample(*found, np.ones(1))
    places = {a: line.astype(np.int32) for a, line in whole.indices.items() if not _counts(whole, a)}
    return _along_axes(node, "take", whole.source, places) if places else None


def _along_axes(node: Node, kind: str, source: Tensor, constants: dict[int, np.ndarray]) -> list[Node]:
    """One node per axis, with its constant."""
    steps, shape = [], list(source.shape)
    for axis, value in constants.items():
        shape[axis] = len(value)
        inputs = [steps[-1].output if steps else source, constant(value)]
        steps.append(step(node, kind, inputs, shape, axis))
    return [*steps[:-1], replaced(node, kind, steps[-1].inputs, *steps[-1].arguments)]


def _bilinear(node: Node) -> list[Node] | None:
    """Two matrices of linear interpolation over the spatial axes of an image are MIL's resize."""
    before = made_by(node.inputs[0], "resample")
    if before is None or node.output.rank != 4 or (before.arguments[0], node.arguments[0]) != (1, 2):
        return None
    matrices = [each.inputs[1].numpy() for each in (before, node)]
    sizes = [len(m) for m in matrices]
    for mode in ("UNALIGN_CORNERS", "STRICT_ALIGN_CORNERS") if min(sizes) > 1 else ():
        if all(np.abs(linear(*m.shape, mode) - m).max() < CLOSE for m in matrices):
            return channels_first(node, "resize_linear", before.inputs[:1], node.output.shape, sizes, mode)
    return None


def linear(count: int, size: int, mode: str) -> np.ndarray:
    """The matrix (count, size) of MIL's linear interpolation, by sampling mode."""
    places = np.arange(count)
    if mode == "STRICT_ALIGN_CORNERS":
        points = places * ((size - 1) / max(count - 1, 1))
    else:
        points = (places + 0.5) * (size / count) - 0.5
    points = points.clip(0, size - 1)
    below = np.floor(points).astype(int)
    above = np.minimum(below + 1, size - 1)
    matrix = np.zeros((count, size))
    np.add.at(matrix, (places, below), 1 - (points - below))
    np.add.at(matrix, (places, above), points - below)
    return matrix
