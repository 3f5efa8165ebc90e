"""Clean-up of a captured graph: what depends on constants is folded, high-level operations are recovered."""

from twins.coreml.passes.simplify import simplify

__all__ = ["simplify"]
