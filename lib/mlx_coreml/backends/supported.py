"""Refuses a graph with nodes that a format has no rule for, all of them at once."""

from collections import Counter
from collections.abc import Collection, Mapping

from mlx_coreml.ir.errors import UnsupportedError
from mlx_coreml.ir.graph import Graph


def check_supported(graph: Graph, known: Collection[str], reasons: Mapping[str, str], advice: str) -> None:
    """Errors: UnsupportedError with the number and the modules of every kind of node that has no rule.

    `reasons` says why some kinds have none; `advice` is what to do about the others.
    """
    missing: dict[str, Counter] = {}
    for node in graph.nodes:
        if node.kind not in known:
            missing.setdefault(node.kind, Counter())[node.path or "the function itself"] += 1
    if missing:
        why = {kind: f": {reasons[kind]}" if kind in reasons else "" for kind in missing}
        told = "; ".join(f"{kind} ({_listed(paths)}){why[kind]}" for kind, paths in sorted(missing.items()))
        listed = "" if missing.keys() <= reasons.keys() else f", known are {', '.join(sorted(known))}"
        raise UnsupportedError(f"no lowering for {told}; {advice}{listed}")


def _listed(paths: Counter, most: int = 3) -> str:
    """How often a kind occurs, and in which modules."""
    more = ", ..." if len(paths) > most else ""
    return f"{sum(paths.values())} times, in {', '.join(list(paths)[:most])}{more}"
