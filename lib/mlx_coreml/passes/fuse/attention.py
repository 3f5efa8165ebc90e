"""Fuses scaled-dot-product attention: softmax(scale * q @ k.T, masked) @ v.

An attention node takes (q, k, v[, mask]) with equal axes before the last two; its arguments are the scale and
what the mask does: "select" keeps a score where it is true, "add" is added. Heads of q that share a head of
k and v become rows of one head, so neither k nor v is repeated.
https://ml-explore.github.io/mlx/build/html/python/_autosummary/mlx.core.fast.scaled_dot_product_attention.html
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial

import mlx.core as mx

from mlx_coreml.ir.graph import Graph, Node, Tensor, constant
from mlx_coreml.passes.fuse.attention_masks import HIDDEN, Mask, one_mask
from mlx_coreml.passes.rewriting.pattern import uncast
from mlx_coreml.passes.rewriting.rewrite import (
    RESHAPES,
    made_by,
    replaced,
    rewrite,
    scalar,
    step,
    through,
    with_scalar,
)


@dataclass
class Scores:
    """scale * q @ k.T of a shape, kept where every condition holds, plus every bias.

    q may have other axes, in the same order, than the scores have rows of.
    """

    q: Tensor
    k: Tensor
    shape: tuple[int, ...]
    scale: float = 1.0
    conditions: list[Tensor] = field(default_factory=list)
    biases: list[Tensor] = field(default_factory=list)


def fuse_attention(graph: Graph) -> None:
    """Replace every attention by one node, as far as only it reads its scores and weights."""
    masks: dict[tuple, Mask | None] = {}  # one for all layers
    rewrite(graph, {"Matmul": [partial(_attention, graph.uses(), masks)]})


def _attention(uses: Counter, masks: dict[tuple, Mask | None], node: Node) -> list[Node] | None:
    weights, v = node.inputs
    softmax = made_by(uncast(weights), "Softmax")
    if softmax is None or uses[weights] > 1 or uses[softmax.output] > 1:
        return None
    scores = _scores(uses, softmax.inputs[0])
    repeats = None if scores is None else _repeats(scores, v)
    if repeats is None or scores.shape != softmax.output.shape:
        return None
    if not scores.conditions and not scores.biases:
        return _fused(node, scores, v, repeats, None)
    key = (*scores.conditions, None, *scores.biases, scores.shape)
    if key in masks:
        mask = masks[key] and replace(masks[key], nodes=[])
    else:
        mask = masks[key] = one_mask(scores.conditions, scores.biases, scores.shape, repeats, node.path)
    return mask and _fused(node, scores, v, repeats, mask)


def _scores(uses: Counter, tensor: Tensor) -> Scores | None:
    """What the rows of a softmax are made of, if nothing else reads it."""
    node = uncast(tensor).node
    if node is None or uses[tensor] > 1 or uses[node.outputs[0]] > 1:
        return None
    if node.kind == "matmul" and node.arguments == (False, True):
        return _product(node)
    if node.kind == "Select":
        return _kept(uses, *node.inputs)
    if node.kind == "Add":
        return _biased(uses, *node.inputs) or _biased(uses, *node.inputs[::-1])
    if node.kind in ("Multiply", "Divide") and (pair := with_scalar(node)) is not None:
        found = _scores(uses, pair[0])
        if found and not found.biases and not found.conditions:
            if node.kind == "Multiply":
                found.scale *= pair[1]
                return found
            if pair[0] is node.inputs[0] and pair[1]:
                found.scale /= pair[1]
                return found
    return None


def _product(node: Node) -> Scores:
    """q @ k.T, with the number that q was multiplied by before."""
    q, k = node.inputs
    scaled = made_by(through(uncast(q), *RESHAPES), "Multiply")
    pair = with_scalar(scaled) if scaled is not None else None
    q, scale = pair or (q, 1.0)
    return Scores(q, k, node.output.shape, scale)


def _kept(uses: Counter, condition: Tensor, kept: Tensor, fill: Tensor) -> Scores | None:
    """Scores where a condition holds, a very low number elsewhere."""
    value = scalar(fill)
    found = _scores(uses, kept) if value is not None and value <= HIDDEN else None
    if found is None or found.biases:
        return None
    found.conditions.append(condition)
    return found


def _biased(uses: Counter, scores: Tensor, bias: Tensor) -> Scores | None:
    found = _scores(uses, scores)
    if found is not None:
        found.biases.append(bias)
    return found


def _repeats(scores: Scores, v: Tensor) -> int | None:
    """How many heads of q share one of k and v; None when the axes do not fit an attention.

    MLX has such heads as (B, H of k, heads that share it, L, D), with 1 in their place in k and v.
    """
    *heads, _, _ = scores.shape
    if heads and scores.k.shape[:-2] == v.shape[:-2] == tuple(heads):
        return 1
    shared = (*heads[:2], 1)
    return heads[2] if len(heads) == 3 and scores.k.shape[:-2] == v.shape[:-2] == shared else None


def _fused(node: Node, scores: Scores, v: Tensor, repeats: int, mask: Mask | None) -> list[Node]:
    """The attention between the reshapes that lay shared heads out as rows, and back."""
    *heads, L, _ = scores.shape
    D = scores.k.shape[-1]
    heads, rows = (heads, L) if repeats == 1 else (heads[:2], repeats * L)
    parts = [
        step(node, "Reshape", [tensor], shape, shape)
        for tensor, shape in (
            (scores.q, (*heads, rows, D)),
            (scores.k, (*heads, *scores.k.shape[-2:])),
            (v, (*heads, *v.shape[-2:])),
        )
    ]
    q, k, v = (part.output for part in parts)
    made = [*(mask.nodes if mask else []), *parts]
    if mask is not None and mask.how == "exact":
        made += _apart(node, (q, k, v), scores.scale, mask.tensor)
    else:
        inputs = [q, k, v] + ([mask.tensor] if mask else [])
        how = mask.how if mask else ""
        made.append(step(node, "attention", inputs, (*q.shape[:-1], v.shape[-1]), scores.scale, how))
    return [*made, replaced(node, "Reshape", [made[-1].output], node.output.shape)]


def _apart(node: Node, inputs: tuple[Tensor, ...], scale: float, bias: Tensor) -> list[Node]:
    """An attention with a bias of any numbers, in steps of which one needs fp32."""
    q, k, v = inputs
    number = constant(mx.array(scale, getattr(mx, q.dtype)), "scale")
    scaled = step(node, "Multiply", [q, number], q.shape)
    scores = step(node, "matmul", [scaled.output, k], (*q.shape[:-1], k.shape[-2]), False, True)
    weights = step(node, "masked_softmax", [scores.output, bias], scores.output.shape)
    made = step(node, "Matmul", [weights.output, v], (*q.shape[:-1], v.shape[-1]))
    return [scaled, scores, weights, made]
