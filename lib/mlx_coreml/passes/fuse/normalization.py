"""Fuses normalisations: layer norm, RMS norm, group norm and instance norm.

A norm takes (x[, weight[, bias]]); its arguments are the axes of its statistics and epsilon. MLX writes
them as means, a difference, a product with a reciprocal root, and products with the parameters:
https://github.com/ml-explore/mlx/blob/main/mlx/fast.cpp
"""

from collections import Counter
from functools import partial

import mlx.core as mx
import numpy as np

from mlx_coreml.ir.graph import Graph, Node, Tensor, constant
from mlx_coreml.passes.layout.channels import channels_first, to_first, to_last
from mlx_coreml.passes.rewriting.pattern import uncast
from mlx_coreml.passes.rewriting.rewrite import (
    RESHAPES,
    made_by,
    replaced,
    rewrite,
    scalar,
    through,
    with_scalar,
)

SUM = 2  # mlx/primitives.h, Reduce::ReduceType
CHANNELS = ("instance_norm", "group_norm")
NORMS = ("layer_norm", "rms_norm", *CHANNELS)


def fuse_norms(graph: Graph) -> None:
    """Replace every normalisation by one node, with its weight and bias."""
    rewrite(graph, {"Multiply": [_standardized], "Divide": [_standardized]})
    rewrite(graph, {"Transpose": [_instance_norm], "Reshape": [_group_norm]})
    uses = graph.uses()
    rewrite(graph, {"Multiply": [partial(_weighted, uses)], "Add": [partial(_biased, uses)]})
    rewrite(graph, {kind: [_on_channels] for kind in ("instance_norm", "group_norm")})


def _standardized(node: Node) -> list[Node] | None:
    """x, or x - mean(x), over the root of the mean of its squares."""
    for i in (0, 1) if node.kind == "Multiply" else (0,):
        above, root = uncast(node.inputs[i]), made_by(uncast(node.inputs[1 - i]), "Sqrt")
        if root is None or root.arguments != (node.kind == "Multiply",):
            continue
        squares = _mean_square(uncast(root.inputs[0]))
        if squares is None or squares[0] is not above or above.shape != node.output.shape:
            continue
        _, axes, epsilon = squares
        centred = made_by(above, "Subtract")
        if centred is not None and _mean(uncast(centred.inputs[1])) == (uncast(centred.inputs[0]), axes):
            return [replaced(node, "layer_norm", [uncast(centred.inputs[0])], axes, epsilon)]
        return [replaced(node, "rms_norm", [above], axes, epsilon)]
    return None


def _mean_square(tensor: Tensor) -> tuple[Tensor, tuple[int, ...], float] | None:
    """What mean(x * x) + epsilon is made of: x, the axes, epsilon."""
    total = made_by(tensor, "Add")
    pair = with_scalar(total) if total is not None else None
    mean = _mean(uncast(pair[0])) if pair is not None else None
    if mean is None:
        return None
    squared, axes = made_by(mean[0], "Square", "Multiply", "Power"), mean[1]
    if squared is None or (squared.kind == "Power" and scalar(squared.inputs[1]) != 2):
        return None
    if squared.kind == "Multiply" and uncast(squared.inputs[0]) is not uncast(squared.inputs[1]):
        return None
    return uncast(squared.inputs[0]), axes, pair[1]


def _mean(tensor: Tensor) -> tuple[Tensor, tuple[int, ...]] | None:
    """What a mean is taken of, and over which axes, which stay as 1."""
    node = made_by(tensor, "Multiply", "Divide")
    pair = with_scalar(node) if node is not None else None
    total = made_by(uncast(pair[0]), "Reduce") if pair is not None else None
    if total is None or total.arguments[0] != SUM:
        return None
    axes, x = tuple(total.arguments[1]), total.inputs[0]
    count = int(np.prod([x.shape[axis] for axis in axes]))
    if node.kind == "Divide":
        exact = uncast(node.inputs[0]) is total.output and pair[1] == count
    else:
        exact = np.isclose(pair[1] * count, 1, rtol=1e-3 if node.output.dtype != "float32" else 1e-6)
    return (uncast(x), axes) if exact and axes else None


def _instance_norm(node: Node) -> list[Node] | None:
    """A norm over all spatial axes, between the transposes that bring the channels to place 1 and back."""
    rank = node.output.rank
    norm = made_by(through(node.inputs[0], *RESHAPES), "layer_norm")
    if norm is None or not 3 <= rank <= 4 or list(node.arguments[0]) != to_last(rank):
        return None
    x, (axes, epsilon) = norm.inputs[0], norm.arguments
    first = made_by(through(x, *RESHAPES), "Transpose")
    if len(norm.inputs) > 1 or axes != (2,) or first is None or list(first.arguments[0]) != to_first(rank):
        return None
    source = first.inputs[0]
    if source.shape != node.output.shape or x.shape[:2] != (source.shape[0], source.shape[-1]):
        return None
    return [replaced(node, "instance_norm", [source], epsilon)]


def _group_norm(node: Node) -> list[Node] | None:
    """(N, ..., C) -> (N, S, G, K) -> (N, G, S, K) -> (N, G, S * K), a norm over the last axis, and back."""
    shapes, tensor = [], node.output
    for kind in ("Reshape", "Transpose", "Reshape", "layer_norm", "Reshape", "Transpose", "Reshape"):
        step = made_by(tensor, kind)
        if step is None or len(step.inputs) > 1:
            return None
        if kind == "Transpose" and list(step.arguments[0]) != [0, 2, 1, 3]:
            return None
        if kind == "layer_norm":
            axes, epsilon = step.arguments
        shapes.append(tensor.shape)
        tensor = step.inputs[0]
    if axes != (2,) or tensor.shape != node.output.shape:
        return None
    N, S, G, K = shapes[-1]
    C = tensor.shape[-1]
    before, after = (N, S, G, K), (N, G, S, K)
    rows = (N, G, S * K)
    apart = [tensor.shape, before, after, rows, rows, after, before]
    fits = shapes == apart and (tensor.shape[0], C) == (N, G * K)
    return [replaced(node, "group_norm", [tensor], G, epsilon)] if fits else None


def _on_channels(node: Node) -> list[Node]:
    """MIL has these two on channels-first tensors."""
    return channels_first(node, node.kind, node.inputs, node.output.shape, *node.arguments)


def _affine(uses: Counter, node: Node, inputs: int) -> tuple[Node, Tensor] | None:
    """A norm with so many inputs that only this node reads, and the parameter in its other operand."""
    for x, parameter in (node.inputs, node.inputs[::-1]):
        norm = made_by(uncast(x), *NORMS)
        if norm is None or parameter.value is None or len(norm.inputs) > inputs:
            continue
        only = uses[norm.output] == uses[x] == 1
        if only and _affine_shape(norm) == parameter.shape[-1:] == (parameter.size,):
            return norm, constant(parameter.value.reshape(-1), parameter.name)
    return None


def _affine_shape(norm: Node) -> tuple[int, ...] | None:
    """The shape of a norm's parameters: one number per element of the last axis."""
    x = norm.inputs[0]
    last = norm.kind in CHANNELS or norm.arguments[0] == (x.rank - 1,)
    return x.shape[-1:] if last else None


def _weighted(uses: Counter, node: Node) -> list[Node] | None:
    """A norm times its weight."""
    found = _affine(uses, node, 1)
    if found is None:
        return None
    norm, weight = found
    return [replaced(node, norm.kind, [norm.inputs[0], weight], *norm.arguments)]


def _biased(uses: Counter, node: Node) -> list[Node] | None:
    """A norm plus its bias; RMS norms have none."""
    found = _affine(uses, node, 2)
    if found is None or found[0].kind == "rms_norm":
        return None
    norm, bias = found
    x, *weight = norm.inputs
    weight = weight or [constant(mx.ones_like(bias.value), f"{bias.name}.weight")]
    return [replaced(node, norm.kind, [x, *weight, bias], *norm.arguments)]
