"""What could not be checked in float64, as one sentence: MLX's own limits, and errors of the reader's file.

What MLX's CPU back end has in float64: https://ml-explore.github.io/mlx/build/html/python/data_types.html
"""

import re
import traceback

from twins.frameworks import told
from twins.models.user_model import FAULTS as FAULTS
from twins.models.user_model import one_line, own_line

LIMIT = re.compile(
    r"float64|unsupported (data )?type|not (yet )?support|only supports float32", re.IGNORECASE
)
NAMED = re.compile(r"\[(?:Primitive::)?(\w+)[^\]]*\]")


class NotInFloat64(RuntimeError):
    """An operation that MLX has in float32 at most and that has no stand-in here."""

    def __init__(self, operation: str):
        super().__init__(f"{operation} has no float64 in MLX")
        self.operation = operation


def unchecked(error: Exception) -> str:
    """Why the float64 stage was left, in one sentence that names the operation, or the line of the file."""
    place, half = own_line(error), _half(error)
    where = ", ".join(part for part in (place, f"in {half}" if half else "") if part)
    if isinstance(error, NotInFloat64):
        return f"not checked in float64: {error.operation}" + (f" ({place})" if place else "")
    first = told(error)
    named = NAMED.match(first)
    if named and half != "PyTorch" and LIMIT.search(first):
        return f"not checked in float64: {named[1]}" + (f" ({place})" if place else "")
    what = first if isinstance(error, RuntimeError) else one_line(error)
    return ": ".join(filter(None, ["not checked in float64", where, what]))


def _half(error: Exception) -> str:
    """The framework of the half that was being computed: of the innermost variable `half` on the way."""
    found = ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        half = frame.f_locals.get("half")
        found = getattr(getattr(half, "framework", None), "name", found)
    return found
