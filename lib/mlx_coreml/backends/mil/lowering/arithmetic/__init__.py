"""Rules for arithmetic: elementwise operations, activations, integers, reductions, scans, sorting.

It may import mlx_coreml.backends.mil.lowering, mlx_coreml.capture and mlx_coreml.ir.
"""

from mlx_coreml.backends.mil.lowering.arithmetic import (
    activations,
    elementwise,
    integers,
    reduction,
    scans,
    sorting,
    special_functions,
)

__all__ = ["activations", "elementwise", "integers", "reduction", "scans", "sorting", "special_functions"]
