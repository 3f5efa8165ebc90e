"""What is wrong with an output of a package, compared with the numbers it should have."""

import numpy as np

from coreml_runtime.verification.divergence import rms_relative

HALF_TOLERANCE = 5e-2  # rms-relative, in fp16, for one operation on any numbers
TOLERANCES = {"float32": 1e-4, "mixed": 2e-2, "float16": 2e-2}  # for a usage, by its precision
STATE_TOLERANCE = 3e-3  # Core ML keeps states in fp16


def difference(found: np.ndarray, wanted: np.ndarray, tolerance: float) -> tuple[str, float]:
    """What is wrong with one output (nothing: ""), and its rms-relative error.

    Whole numbers and truth values must be equal; NaN and infinities must be where MLX has them.
    """
    wanted = np.atleast_1d(wanted)
    if found.shape != wanted.shape:
        return f"shape {found.shape}, MLX's is {wanted.shape}", float("inf")
    whole = wanted.dtype.kind in "biu"
    if whole != (found.dtype.kind in "biu"):
        return f"type {found.dtype}, MLX's is {wanted.dtype}", float("inf")
    error = rms_relative(found.astype(np.float64), wanted.astype(np.float64))
    if whole:
        return f"{(found != wanted).sum()} of {wanted.size} numbers differ" if error else "", error
    return f"rms-relative error {error:.1e}" if error > tolerance else "", error
