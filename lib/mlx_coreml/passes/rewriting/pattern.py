"""Patterns of nodes written as expressions, matched from their last node back.

silu = op("Multiply", X, op("Sigmoid", X))
match(silu, node)     # {"x": the tensor before the Sigmoid}, or None
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mlx_coreml.ir.graph import Node, Tensor
from mlx_coreml.passes.rewriting.rewrite import scalar

COMMUTATIVE = ("Add", "Multiply", "Maximum", "Minimum", "LogAddExp")
PRECISION = {"float16": 1e-3, "bfloat16": 8e-3}  # of a constant, relative; others are written by hand


@dataclass(frozen=True)
class Some:
    """Any tensor, the same one wherever the name occurs."""

    name: str


@dataclass(frozen=True)
class Number:
    """A constant of one number, the same one wherever the name occurs."""

    name: str


@dataclass(frozen=True)
class Op:
    """A node of a kind with these operands; commutative ones in any order. No arguments mean any."""

    kind: str
    operands: tuple
    arguments: tuple | None = None


X = Some("x")


def op(kind: str, *operands, arguments: tuple | None = None) -> Op:
    """A pattern of a node; an operand is a pattern, or a float for a constant with that number."""
    return Op(kind, operands, arguments)


def match(pattern: Op, node: Node) -> dict | None:
    """The tensors and numbers that a pattern's names stand for in what `node` computes, or None."""
    return next(_node_matches(pattern, node, {}), None)


def matches(patterns: Sequence[Op], tensors: Sequence[Tensor]) -> Iterator[dict]:
    """Every way in which tensors fit patterns that share their names."""
    return _all_match(patterns, tensors, {})


def uncast(tensor: Tensor) -> Tensor:
    """The tensor before casts between floating-point types: a program has its own precision."""
    node = tensor.node
    while node is not None and node.kind == "AsType" and tensor.is_float and node.inputs[0].is_float:
        tensor = node.inputs[0]
        node = tensor.node
    return tensor


def _matches(pattern, tensor: Tensor, found: Mapping) -> Iterator[dict]:
    if isinstance(pattern, Op):
        if (node := uncast(tensor).node) is not None:
            yield from _node_matches(pattern, node, found)
    elif isinstance(pattern, Some):
        tensor = uncast(tensor)
        if found.get(pattern.name, tensor) is tensor:
            yield {**found, pattern.name: tensor}
    elif (value := scalar(tensor)) is not None:
        close = PRECISION.get(tensor.dtype, 1e-5)
        if isinstance(pattern, float):
            if math.isclose(value, pattern, rel_tol=close):
                yield dict(found)
        elif math.isclose(found.get(pattern.name, value), value, rel_tol=close):
            yield {**found, pattern.name: value}


def _node_matches(pattern: Op, node: Node, found: Mapping) -> Iterator[dict]:
    same = node.kind == pattern.kind and len(node.inputs) == len(pattern.operands)
    if not same or pattern.arguments not in (None, node.arguments):
        return
    yield from _all_match(pattern.operands, node.inputs, found)
    if node.kind in COMMUTATIVE:
        yield from _all_match(pattern.operands, node.inputs[::-1], found)


def _all_match(patterns, tensors, found: Mapping) -> Iterator[dict]:
    if not patterns:
        yield dict(found)
        return
    for each in _matches(patterns[0], tensors[0], found):
        yield from _all_match(patterns[1:], tensors[1:], each)
