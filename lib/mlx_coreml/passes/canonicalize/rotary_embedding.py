"""Rewrites rotary position embedding as x * cos + swapped(x) * sin, with tables as wide as x.

MLX turns pairs (a, b) of x: a * cos - b * sin, a * sin + b * cos, and joins the two; the pairs are halves of
x, or neighbours ("traditional"). With the sign in the table, swapping the pairs of x is all that is left.
Where the position is an input, the sign goes into the frequencies: cos(-t) = cos(t), sin(-t) = -sin(t).
https://arxiv.org/abs/2104.09864, https://ml-explore.github.io/mlx/build/html/python/_autosummary/mlx.core.fast.rope.html
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import mlx.core as mx

from mlx_coreml.ir.graph import Graph, Node, Tensor, constant
from mlx_coreml.passes.rewriting.pattern import Some, matches, op, uncast
from mlx_coreml.passes.rewriting.rewrite import made_by, replaced, rewrite, step, with_constant

A, B, COS, SIN = map(Some, ("a", "b", "cos", "sin"))
TURNED = (
    op("Subtract", op("Multiply", A, COS), op("Multiply", B, SIN)),
    op("Add", op("Multiply", A, SIN), op("Multiply", B, COS)),
)


@dataclass(frozen=True)
class Rotation:
    """A rotary embedding of the first elements of x's last axis: tables for half of them, how pairs lie."""

    x: Tensor
    cos: Tensor
    sin: Tensor
    half: int
    traditional: bool

    def widened(self, first: mx.array, second: mx.array, rest: float) -> mx.array:
        """A table for all elements of x: for those of a pair, and for the ones not turned."""
        if self.traditional:
            pairs = mx.stack([first, second], axis=-1).reshape(*first.shape[:-1], -1)
        else:
            pairs = mx.concatenate([first, second], axis=-1)
        still = self.x.shape[-1] - 2 * self.half
        return mx.concatenate([pairs, mx.full((*pairs.shape[:-1], still), rest, pairs.dtype)], axis=-1)


Tables = tuple[Tensor, Tensor, list[Node]]


def rewrite_rotary(graph: Graph) -> None:
    """Rewrite every rotary embedding whose tables are constants, or products with constant frequencies."""
    tables: dict[tuple, Tables] = {}  # the same for all layers
    rule = partial(_rotary, tables)
    rewrite(graph, {"Concatenate": [rule], "Reshape": [rule]})


def _rotary(tables: dict[tuple, Tables], node: Node) -> list[Node] | None:
    found = _rotation(node)
    if found is None or found.x.shape != node.output.shape:
        return None
    key = (found.cos, found.sin, found.x.shape[-1], found.traditional)
    if key in tables:
        cos, sin, nodes = *tables[key][:2], []
    else:
        made = _tables(found, node)
        if made is None:
            return None
        cos, sin, nodes = tables[key] = made
    swapped = _swapped_neighbours(node, found) if found.traditional else _swapped_halves(node, found)
    shape = node.output.shape
    kept = step(node, "Multiply", [found.x, cos], shape)
    turned = step(node, "Multiply", [swapped[-1].output, sin], shape)
    return [*nodes, *swapped, kept, turned, replaced(node, "Add", [kept.output, turned.output])]


def _rotation(node: Node) -> Rotation | None:
    """What a node joins, if it is the two turned parts of the same tensor, and the rest of it."""
    if node.kind == "Reshape":
        joined = made_by(node.inputs[0], "Concatenate")
        return _neighbours(joined, node.output) if joined is not None else None
    first = made_by(node.inputs[0], "Reshape")
    if first is not None and len(node.inputs) == 2 and made_by(first.inputs[0], "Concatenate"):
        found = _neighbours(first.inputs[0].node, first.output)
        return found if found and _is_rest(node, node.inputs[1], found) else None
    found = _halves(node)
    if found is None or len(node.inputs) == 2:
        return found
    return found if _is_rest(node, node.inputs[2], found) else None


def _halves(node: Node) -> Rotation | None:
    if len(node.inputs) not in (2, 3) or node.arguments[0] != node.output.rank - 1:
        return None
    return _turned(node.inputs[:2], lambda half: ((0, half, 1), (half, 2 * half, 1)), False)


def _neighbours(joined: Node, result: Tensor) -> Rotation | None:
    """(..., half, 2) of two turned parts, flattened."""
    parts = [made_by(t, "ExpandDims") for t in joined.inputs]
    if len(parts) != 2 or None in parts or joined.arguments[0] != joined.output.rank - 1:
        return None
    shape = joined.output.shape
    if len(shape) < 2 or shape[-1] != 2 or result.shape != (*shape[:-2], 2 * shape[-2]) or len(shape) > 5:
        return None
    inputs = [part.inputs[0] for part in parts]
    if any(t.shape != shape[:-1] for t in inputs):
        return None
    return _turned(inputs, lambda half: ((0, 2 * half - 1, 2), (1, 2 * half, 2)), True)


def _turned(turned: list[Tensor], places: Callable, traditional: bool) -> Rotation | None:
    half = turned[0].shape[-1]
    for found in matches(TURNED, turned):
        a, b = (_part(found[name]) for name in ("a", "b"))
        if a is None or b is None or a[0] is not b[0]:
            continue
        counted = [range(*part[1:]) for part in (a, b)]
        if counted == [range(*place) for place in places(half)]:
            return Rotation(a[0], found["cos"], found["sin"], half, traditional)
    return None


def _part(tensor: Tensor) -> tuple[Tensor, int, int, int] | None:
    """What a tensor is a part of along the last axis: the whole, start, end and stride."""
    node = made_by(tensor, "Slice", "Split")
    if node is None:
        return None
    x = node.inputs[0]
    last = x.rank - 1
    if node.kind == "Split":
        cuts, axis = node.unpack(2)
        place = node.outputs.index(tensor)
        return (uncast(x), [0, *cuts][place], [*cuts, x.shape[-1]][place], 1) if axis == last else None
    start, end, strides = node.unpack(3)
    whole = tensor.shape[:-1] == x.shape[:-1] and all(s == 1 for s in strides[:-1])
    stop = end[-1] + x.shape[-1] if end[-1] < 0 < strides[-1] else end[-1]
    return (uncast(x), start[-1], stop, strides[-1]) if whole else None


def _is_rest(node: Node, tensor: Tensor, found: Rotation) -> bool:
    """Whether a tensor is what a rotation leaves of x, joined to it along the last axis."""
    part = _part(uncast(tensor))
    size = found.x.shape[-1]
    same = part is not None and part[0] is found.x and part[1:] == (2 * found.half, size, 1)
    return same and node.arguments[0] == node.output.rank - 1 and not (found.traditional and size % 2)


def _tables(found: Rotation, node: Node) -> Tables | None:
    cos, sin = found.cos, found.sin
    if cos.value is not None and sin.value is not None:
        wide = found.widened(cos.value, cos.value, 1.0), found.widened(-sin.value, sin.value, 0.0)
        return constant(wide[0], cos.name), constant(wide[1], sin.name), []
    cosine, sine = made_by(cos, "Cos"), made_by(sin, "Sin")
    angle = made_by(uncast(cosine.inputs[0]), "Multiply") if cosine is not None and sine is not None else None
    pair = with_constant(angle) if angle is not None and sine.inputs[0] is cosine.inputs[0] else None
    if pair is None or pair[1].shape[-1:] != (found.half,) or pair[0].shape[-1:] != (1,):
        return None
    position, frequencies = pair
    signed = constant(found.widened(-frequencies.value, frequencies.value, 0.0), frequencies.name)
    angles = step(node, "Multiply", [position, signed], (*angle.output.shape[:-1], found.x.shape[-1]))
    wide = [step(node, kind, [angles.output], angles.output.shape) for kind in ("Cos", "Sin")]
    return wide[0].output, wide[1].output, [angles, *wide]


def _swapped_halves(node: Node, found: Rotation) -> list[Node]:
    x, axis = found.x, found.x.rank - 1
    cuts = tuple(c for c in (found.half, 2 * found.half) if c < x.shape[-1])
    sizes = [stop - start for start, stop in zip((0, *cuts), (*cuts, x.shape[-1]), strict=True)]
    parts = [Tensor(f"{x.name}_{i}", (*x.shape[:-1], size), x.dtype) for i, size in enumerate(sizes)]
    first, second, *rest = parts
    swapped = step(node, "Concatenate", [second, first, *rest], x.shape, axis)
    return [Node("Split", [x], parts, (cuts, axis), node.path), swapped]


def _swapped_neighbours(node: Node, found: Rotation) -> list[Node]:
    shape = found.x.shape
    pairs = (*shape[:-1], shape[-1] // 2, 2)
    apart = step(node, "Reshape", [found.x], pairs, pairs)
    zeros, ones = (0,) * (len(pairs) - 1), (1,) * (len(pairs) - 1)
    # A negative stride's end below zero means through index 0.
    swapped = step(node, "Slice", [apart.output], pairs, (*zeros, 1), (*pairs[:-1], -3), (*ones, -1))
    return [apart, swapped, step(node, "Reshape", [swapped.output], shape, shape)]
