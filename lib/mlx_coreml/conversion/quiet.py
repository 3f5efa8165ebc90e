"""One warning per cause of a conversion, at the line that asks for it, and none of the libraries beneath."""

import logging
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import coremltools as ct
import numpy as np

from mlx_coreml.capture.places import is_library

NODE = re.compile(r"primitive '[^']*' \([^)]*\)(, and \d+ more)?")  # where a warning says it is
BENEATH = tuple(f"{Path(module.__file__).resolve().parent}/" for module in (ct, np))
TECHNICAL = (RuntimeWarning, DeprecationWarning, FutureWarning, ResourceWarning)


@contextmanager
def one_warning_per_cause() -> Iterator[None]:
    """Show warnings after the block, each cause once (context or decorator).

    A cause is the text without the operation it names. Warnings of numerics inside this package, and what
    the libraries it uses warn of or log, are not the user's.
    """
    logger = logging.getLogger("coremltools")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(record=True) as met:
            warnings.simplefilter("always")
            yield
    finally:
        logger.setLevel(level)
    frame = sys._getframe(2)
    while frame.f_back is not None and is_library(frame.f_code.co_filename):
        frame = frame.f_back
    for first, count in _causes(met):
        text = f"{first.message}{f' (and {count - 1} more such places)' if count > 1 else ''}"
        own = is_library(first.filename)
        place = (frame.f_code.co_filename, frame.f_lineno) if own else (first.filename, first.lineno)
        warnings.warn_explicit(text, first.category, *place)


def _causes(met: Sequence[warnings.WarningMessage]) -> list[tuple[warnings.WarningMessage, int]]:
    """The first warning of each cause, and how many different ones there are."""
    found: dict[tuple, dict[str, warnings.WarningMessage]] = {}
    for each in met:
        beneath = each.filename.startswith(BENEATH)
        if beneath or (is_library(each.filename) and issubclass(each.category, TECHNICAL)):
            continue
        cause = (NODE.sub("", str(each.message)), each.category)
        found.setdefault(cause, {}).setdefault(str(each.message), each)
    return [(next(iter(texts.values())), len(texts)) for texts in found.values()]
