"""The order in which a captured graph is cleaned up before it is lowered.

It may import mlx_coreml.ir, mlx_coreml.passes.canonicalize, mlx_coreml.passes.fold, mlx_coreml.passes.fuse
and mlx_coreml.passes.layout.
"""

from mlx_coreml.passes.simplify import simplify, simplify_at_sizes

__all__ = ["simplify", "simplify_at_sizes"]
