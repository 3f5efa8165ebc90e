"""What could not be checked in float64, as one sentence: MLX's own limits, and errors of the reader's file.

What MLX's CPU back end has in float64: https://ml-explore.github.io/mlx/build/html/python/data_types.html
"""

import os
import re
import sysconfig
import traceback
from pathlib import Path

INSTALLED = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
LIBRARIES = tuple({*INSTALLED, *map(os.path.realpath, INSTALLED), str(Path(__file__).parents[3])})
LIMIT = re.compile(
    r"float64|unsupported (data )?type|not (yet )?support|only supports float32", re.IGNORECASE
)
NAMED = re.compile(r"\[(?:Primitive::)?(\w+)[^\]]*\]")
FAULTS = (  # what a file may raise when it meets float64; Python's other errors are no one's mistake
    *(ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError),
    *(OSError, RuntimeError, TypeError, ValueError),
)


class NotInFloat64(RuntimeError):
    """An operation that MLX has in float32 at most and that has no stand-in here."""

    def __init__(self, operation: str):
        super().__init__(f"{operation} has no float64 in MLX")
        self.operation = operation


def unchecked(error: Exception) -> str:
    """Why the float64 stage was left, in one sentence that names the operation, or the line of the file."""
    place, half = _line(error), _half(error)
    where = ", ".join(part for part in (place, f"in {half}" if half else "") if part)
    if isinstance(error, NotInFloat64):
        return f"not checked in float64: {error.operation}" + (f" ({place})" if place else "")
    first = (str(error).strip().splitlines() or [""])[0]
    named = NAMED.match(first)
    if named and half != "PyTorch" and LIMIT.search(first):
        return f"not checked in float64: {named[1]}" + (f" ({place})" if place else "")
    kind = "" if isinstance(error, RuntimeError) and first else type(error).__name__
    told = ": ".join(part for part in (kind, first) if part)
    return f"not checked in float64: {where}: {told}" if where else f"not checked in float64: {told}"


def is_own(file: str | None) -> bool:
    """Whether a source file is the reader's: neither of Python, nor of an installed package, nor of twins."""
    return file is not None and not file.startswith(("<", *LIBRARIES))


def _line(error: Exception) -> str:
    """The last line of the reader's file that the error went through; empty when none is known."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_own(frame.filename)]
    return f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""


def _half(error: Exception) -> str:
    """The framework of the half that was being computed: of the innermost variable `half` on the way."""
    found = ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        half = frame.f_locals.get("half")
        found = getattr(getattr(half, "framework", None), "name", found)
    return found
