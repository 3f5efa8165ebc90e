"""Makes one mask of all that hides scores of an attention: conditions they are kept under, biases added.

No number says "hidden" in both fp16 and fp32, and a row in which all is hidden has equal weights in MLX. So a
bias made of a condition when the model runs becomes that condition, and scores are selected by it; a constant
is added, within what fp16 can add to a score, where something of every row is left; any other bias is added
exactly, in fp32.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce

import numpy as np

from mlx_coreml.ir.graph import Node, Tensor, constant
from mlx_coreml.passes.rewriting.rewrite import RESHAPES, made_by

HIDDEN = -1e4  # a score this low has no weight beside others
LOWEST = -4e4  # what is below it may take a score below what fp16 has
ARITHMETIC = {"Add": np.add, "Subtract": np.subtract, "Multiply": np.multiply, "Divide": np.divide}


@dataclass(frozen=True)
class Mask:
    """A mask, the new nodes that make it, and what it does: "select" keeps a score where it is true, "add" is
    added to it, "exact" is added in fp32.
    """

    tensor: Tensor
    how: str
    nodes: list[Node] = field(default_factory=list)


def one_mask(
    conditions: Sequence[Tensor], biases: Sequence[Tensor], scores: Sequence[int], repeats: int, path: str
) -> Mask | None:
    """The mask of scores of a shape, every `repeats` heads of which become rows of one; None if none fits."""
    nodes: list[Node] = []
    if repeats > 1:
        conditions, biases = ([_narrowed(nodes, t) for t in each] for each in (conditions, biases))
    found = [_condition(nodes, bias) for bias in biases]
    conditions = [*conditions, *filter(None, found)]
    biases = [bias for bias, condition in zip(biases, found, strict=True) if condition is None]
    known = all(t.value is not None for t in (*conditions, *biases))
    whole = reduce(np.add, map(_as_bias, (*conditions, *biases))) if known else None
    if known and (whole.max(-1) > HIDDEN).all():
        low = constant(np.where(whole < LOWEST, -np.inf, whole).astype(np.float32))
        how, mask = "add", _emit(nodes, "bounded", [low], low.shape)
    elif not biases:
        how, mask = "select", _joined(nodes, "LogicalAnd", conditions)
    elif not conditions:
        how, mask = "exact", _joined(nodes, "Add", biases)
    else:
        return None
    mask = _as_rows(nodes, mask, scores, repeats) if repeats > 1 else mask
    for node in nodes:
        node.path = path
    return mask and Mask(mask, how, nodes)


def _as_bias(mask: Tensor) -> np.ndarray:
    return np.where(mask.numpy(), 0, -np.inf) if mask.dtype == "bool" else mask.numpy().astype(np.float64)


def _condition(nodes: list[Node], bias: Tensor) -> Tensor | None:
    """Where a bias made when the model runs hides nothing, if it is 0 there and hides everything else."""
    found = _two_numbers(bias)
    if found is None or found[0].dtype != "bool":
        return None
    kept, true, false = found
    if false == 0 and true <= HIDDEN:
        kept = _emit(nodes, "LogicalNot", [kept], kept.shape)
    elif true != 0 or false > HIDDEN:
        return None
    return kept if kept.shape == bias.shape else _emit(nodes, "Reshape", [kept], bias.shape, bias.shape)


def _two_numbers(tensor: Tensor) -> tuple[Tensor, float, float] | None:
    """The condition under which a tensor has one number, and elsewhere another; these two numbers."""
    node = tensor.node
    if node is None:
        return None
    if node.kind == "AsType" and node.inputs[0].dtype == "bool":
        return node.inputs[0], 1.0, 0.0
    if node.kind in ("AsType", *RESHAPES):
        return _two_numbers(node.inputs[0])
    if node.kind == "Select":
        condition, *numbers = node.inputs
        true, false = map(_number, numbers)
        fits = None not in (true, false) and condition.size == tensor.size
        return (condition, true, false) if fits else None
    if node.kind in ARITHMETIC:
        for i, number in enumerate(map(_number, node.inputs)):
            found = _two_numbers(node.inputs[1 - i]) if number is not None else None
            if found is not None and found[0].size == tensor.size:
                made = (ARITHMETIC[node.kind](*((number, n) if i == 0 else (n, number))) for n in found[1:])
                return found[0], *made
    return None


def _number(tensor: Tensor) -> float | None:
    """The number that every element of a constant is."""
    if tensor.value is None or not tensor.size:
        return None
    numbers = tensor.numpy().astype(np.float64)
    return float(numbers.flat[0]) if (numbers == numbers.flat[0]).all() else None


def _joined(nodes: list[Node], kind: str, masks: Sequence[Tensor]) -> Tensor:
    """All masks as one."""
    return reduce(lambda a, b: _emit(nodes, kind, [a, b], np.broadcast_shapes(a.shape, b.shape)), masks)


def _narrowed(nodes: list[Node], mask: Tensor) -> Tensor:
    """A mask (B, heads of k, repeats, L, S), without the heads where all have the same."""
    split = made_by(mask, "Unflatten")
    spread = made_by(split.inputs[0], "Broadcast") if split is not None else None
    if spread is not None and spread.inputs[0].rank == 4 and spread.inputs[0].shape[1] == 1:
        mask = spread.inputs[0]
        shape = (mask.shape[0], 1, *mask.shape[1:])
        return _emit(nodes, "Reshape", [mask], shape, shape)
    return mask


def _as_rows(nodes: list[Node], mask: Tensor, scores: Sequence[int], repeats: int) -> Tensor | None:
    """A mask (B, heads of k, repeats, L, S), any axis 1, as (B, heads of k, repeats * L, S)."""
    B, H, G, L, S = (1,) * (5 - mask.rank) + mask.shape
    if repeats == G and scores[-2] != L:
        return None
    flat = _emit(nodes, "Reshape", [mask], (B, H, G * L, S), (B, H, G * L, S))
    if G > 1 or L == 1:
        return flat
    return _emit(nodes, "Concatenate", [flat] * repeats, (B, H, repeats * L, S), 2)


def _emit(nodes: list[Node], kind: str, inputs: list[Tensor], shape: Sequence[int], *arguments) -> Tensor:
    """The result of a new node, of the type of its first input."""
    made = Tensor(f"{inputs[0].name}_{kind}", tuple(shape), inputs[0].dtype)
    nodes.append(Node(kind, list(inputs), [made], arguments))
    return made
