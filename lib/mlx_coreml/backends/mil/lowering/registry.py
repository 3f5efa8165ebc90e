"""The rules that lower nodes to MIL, by kind of node.

A rule is `rule(node, *inputs) -> Var or sequence of Vars`, called inside the MIL function being built. The
inputs are MIL variables, one per input of the node, floating-point ones in the type the node computes
in (`x.val` is the array of a constant). The driver checks the shape and type of what comes back.
"""

from collections.abc import Callable

RULES: dict[str, Callable] = {}


def lowering(kind: str, override: bool = False) -> Callable:
    """File the rule for a kind of node: a primitive of MLX, such as "Sort", or a fused operation.

    `override` replaces a rule that exists; without it a second rule is a ValueError.
    """

    def file(rule: Callable) -> Callable:
        if kind in RULES and not override:
            raise ValueError(f"'{kind}' has a lowering already; pass override=True to replace it")
        RULES[kind] = rule
        return rule

    return file
