"""Fuses the arithmetic of activations that MLX writes out into one node each.

https://ml-explore.github.io/mlx/build/html/python/nn/functions.html
"""

import math
from functools import partial

from mlx_coreml.ir.graph import Graph, Node
from mlx_coreml.passes.rewriting.pattern import Number, Op, X, match, op
from mlx_coreml.passes.rewriting.rewrite import replaced, rewrite, step

ALPHA, BETA = Number("alpha"), Number("beta")
ONE_PLUS_ERF = op("Add", op("Erf", op("Divide", X, math.sqrt(2.0))), 1.0)
ONE_PLUS_ERF_SCALED = op("Add", op("Erf", op("Multiply", X, math.sqrt(0.5))), 1.0)


def _halved(gate: Op) -> list[Op]:
    """x * gate / 2, in the ways in which it is written."""
    return [
        op("Divide", op("Multiply", X, gate), 2.0),
        op("Multiply", op("Multiply", X, gate), 0.5),
        op("Multiply", op("Multiply", X, 0.5), gate),
        op("Multiply", X, op("Multiply", gate, 0.5)),
        op("Multiply", op("Divide", X, 2.0), gate),
        op("Multiply", X, op("Divide", gate, 2.0)),
    ]


def _tanh_gate(cubic: Op) -> Op:
    return op("Add", op("Tanh", op("Multiply", op("Add", X, cubic), math.sqrt(2 / math.pi))), 1.0)


CUBIC = 0.044715
CUBICS = (
    op("Multiply", op("Power", X, 3.0), CUBIC),
    op("Multiply", op("Multiply", op("Multiply", X, X), X), CUBIC),
    op("Multiply", op("Multiply", op("Square", X), X), CUBIC),
    op("Multiply", op("Multiply", op("Multiply", X, CUBIC), X), X),
)
EXPONENTIAL = op("Multiply", op("Subtract", op("Exp", X), 1.0), ALPHA)
SIX = op("Minimum", op("Maximum", op("Add", X, 3.0), 0.0), 6.0)

# Kind, the numbers it keeps, and how it is written. Earlier ones are tried first.
ACTIVATIONS: list[tuple[str, tuple, list[Op]]] = [
    ("gelu", ("EXACT",), [*_halved(ONE_PLUS_ERF), *_halved(ONE_PLUS_ERF_SCALED)]),
    ("gelu", ("TANH_APPROXIMATION",), [form for cubic in CUBICS for form in _halved(_tanh_gate(cubic))]),
    ("gelu", ("SIGMOID_APPROXIMATION",), [op("Multiply", X, op("Sigmoid", op("Multiply", X, 1.702)))]),
    ("silu", (), [op("Multiply", X, op("Sigmoid", X))]),
    ("softsign", (), [op("Divide", X, op("Add", op("Abs", X), 1.0))]),
    ("softplus", (), [op("LogAddExp", X, 0.0)]),
    ("elu", (ALPHA,), [op("Select", op("Greater", X, 0.0), X, EXPONENTIAL)]),
    ("elu", (1.0,), [op("Select", op("Greater", X, 0.0), X, op("Subtract", op("Exp", X), 1.0))]),
    ("leaky_relu", (ALPHA,), [op("Maximum", op("Multiply", X, ALPHA), X)]),
    (
        "leaky_relu",
        (ALPHA,),
        [op("Add", op("Maximum", X, 0.0), op("Multiply", op("Minimum", X, 0.0), ALPHA))],
    ),
    ("hard_sigmoid", (), [op("Divide", SIX, 6.0)]),
    ("clip", (ALPHA, BETA), [op("Minimum", op("Maximum", X, ALPHA), BETA)]),
    ("relu", (), [op("Maximum", X, 0.0)]),
]
HARD_SWISH = [op("Divide", op("Multiply", X, SIX), 6.0), op("Multiply", X, op("Divide", SIX, 6.0))]


def fuse_activations(graph: Graph) -> None:
    """Replace every activation written out by one node; larger patterns before those inside them."""
    rewrite(graph, {form.kind: [_hard_swish] for form in HARD_SWISH})
    for kind, numbers, forms in ACTIVATIONS:
        rewrite(graph, {form.kind: [partial(_activation, kind, numbers, forms)] for form in forms})


def _activation(kind: str, numbers: tuple, forms: list[Op], node: Node) -> list[Node] | None:
    found = _found(forms, node)
    if not found or not _allowed(kind, found):
        return None
    kept = [found[n.name] if isinstance(n, Number) else n for n in numbers]
    return [replaced(node, kind, [found["x"]], *kept)]


def _found(forms: list[Op], node: Node) -> dict | None:
    """What the first form that fits stands for; x has the shape of the result and is no constant."""
    if not node.output.is_float:
        return None
    matches = filter(None, (match(form, node) for form in forms))
    found = next(matches, None)
    fits = found and found["x"].shape == node.output.shape and found["x"].value is None
    return found if fits else None


def _allowed(kind: str, found: dict) -> bool:
    """max(alpha * x, x) is a leaky ReLU up to alpha 1, and bounds the wrong way round are no clip."""
    if kind == "clip":
        return found["alpha"] <= found["beta"]
    return kind != "leaky_relu" or found["alpha"] <= 1


def _hard_swish(node: Node) -> list[Node] | None:
    """x times a hard sigmoid."""
    found = _found(HARD_SWISH, node)
    if not found:
        return None
    gate = step(node, "hard_sigmoid", [found["x"]], node.output.shape)
    return [gate, replaced(node, "Multiply", [found["x"], gate.output])]
