"""Says where in the user's code something happens: file, line, function and module path."""

import linecache
import re
import sys
import traceback
from pathlib import Path
from types import FrameType

import mlx.core as mx

OWN = (f"{Path(__file__).resolve().parents[1]}/", f"{Path(mx.__file__).resolve().parent}/")  # and MLX's
CASES = (f"{OWN[0]}coverage/usage_cases/", f"{OWN[0]}coverage/usage_models/")  # they play the user's code
PYTHON = f"{Path(traceback.__file__).resolve().parent}/"


def place(file: str, line: int, function: str, path: str = "") -> str:
    """A place as a phrase: network.py:12, in forward, module layers.0."""
    name = _name(file)
    where = f"{name}:{line}" if name else f"line {line}"
    return f"{where}, in {function}" + (f", module {path}" if path else "")


def _name(file: str) -> str:
    """A file's name for messages: none for code without a file, `cell` for that of a notebook."""
    if file.startswith("<"):
        return ""
    return "cell" if "ipykernel_" in file else Path(file).name


def is_library(file: str) -> bool:
    """Whether a file belongs to this package, MLX or Python itself."""
    own = file.startswith(PYTHON) and "site-packages" not in file
    return own or (file.startswith((*OWN, "<frozen")) and not file.startswith(CASES))


def of_error(error: BaseException, path: str = "") -> str:
    """Where in the user's code an error came from; "" when no line of it is in the traceback."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not is_library(f.filename)]
    return place(frames[-1].filename, frames[-1].lineno or 0, frames[-1].name, path) if frames else ""


def line_of_error(error: BaseException, path: str = "") -> str:
    """Where an error came from, as " (line 12 of forward) in network.py, module layers.0"."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not is_library(f.filename)]
    if not frames:
        return f" in module {path}" if path else ""
    name = _name(frames[-1].filename)
    told = f" (line {frames[-1].lineno} of {frames[-1].name}){f' in {name}' if name else ''}"
    return told + (f", module {path}" if path else "")


def of_call(path: str = "", frame: FrameType | None = None) -> str:
    """Where in the user's code a call of this package's stand-ins comes from."""
    frame = frame or sys._getframe(1)
    while frame is not None and is_library(frame.f_code.co_filename):
        frame = frame.f_back
    return place(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name, path) if frame else ""


def of_caller(frame: FrameType | None) -> str:
    """Where the user's code calls something, directly or through Python's own library; else ""."""
    while frame is not None and frame.f_code.co_filename.startswith(PYTHON):
        frame = frame.f_back
    return "" if frame is None or is_library(frame.f_code.co_filename) else of_call(frame=frame)


def of_function(fn: object) -> str:
    """Where a function, or the call of an object's class, is written; "" for one that is not in Python."""
    fn = getattr(fn, "__func__", fn)
    code = getattr(fn if hasattr(fn, "__code__") else type(fn).__call__, "__code__", None)
    return place(code.co_filename, code.co_firstlineno, code.co_name) if code else ""


def called_at(error: BaseException) -> str:
    """The name that is called at the user's line an error came from: kernel in `y = self.kernel(x)`."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not is_library(f.filename)]
    if not frames:
        return ""
    line = linecache.getline(frames[-1].filename, frames[-1].lineno or 0)
    found = re.match(r"[\w.]+", line[getattr(frames[-1], "colno", 0) or 0 :])
    return found[0] if found else ""
