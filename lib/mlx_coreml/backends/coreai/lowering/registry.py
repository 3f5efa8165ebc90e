"""The rules that lower nodes to Core AI, by kind of node.

A rule is `rule(node, *inputs) -> value or sequence of values`, called inside the graph being built. The
inputs are values (values.py), one per input of the node, floating-point ones in the type that the node
computes in. The driver checks the shape and type of what comes back.
"""

from collections.abc import Callable

RULES: dict[str, Callable] = {}


def lowering(*kinds: str) -> Callable:
    """File the rule for kinds of nodes; a second rule for one is a ValueError."""

    def file(rule: Callable) -> Callable:
        for kind in kinds:
            if kind in RULES:
                raise ValueError(f"'{kind}' has a lowering to Core AI already")
            RULES[kind] = rule
        return rule

    return file
