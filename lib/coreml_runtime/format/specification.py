"""The messages of Core ML's format, as coremltools ships them, read without importing coremltools.

Importing coremltools imports torch, which takes seconds; its generated messages need only protobuf. They stay
the same classes when coremltools is imported later, because protobuf keeps one class for each message.
Source: https://github.com/apple/coremltools/tree/main/mlmodel/format
"""

import importlib
import importlib.util
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

_MESSAGES = f"{__package__}._messages"
_CHATTY = ("coremltools", "torchao", "torch.utils._pytree")
_SKLEARN = {"9.0": (1, 5)}  # coremltools -> the newest scikit-learn, major and minor, that it converts from


def _message_module(name: str) -> ModuleType:
    """One generated module of coremltools' proto folder. Errors: ModuleNotFoundError without coremltools."""
    if _MESSAGES not in sys.modules:
        found = importlib.util.find_spec("coremltools")
        if found is None or found.origin is None:
            raise ModuleNotFoundError("No module named 'coremltools'", name="coremltools")
        folder = ModuleType(_MESSAGES)
        folder.__path__ = [str(Path(found.origin).with_name("proto"))]
        sys.modules[_MESSAGES] = folder
    return importlib.import_module(f"{_MESSAGES}.{name}")


FeatureTypes_pb2, MIL_pb2, Model_pb2 = map(_message_module, ("FeatureTypes_pb2", "MIL_pb2", "Model_pb2"))


def coremltools() -> ModuleType:
    """coremltools itself, for Core ML's predict and the list of operations.

    Outside macOS its import logs warnings that Core ML is missing, and where torchao is installed it imports
    that, which logs what of it is for other machines; they are not shown.
    """
    loggers = list(map(logging.getLogger, _CHATTY))
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with _without_refused_sklearn():
            return importlib.import_module("coremltools")
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _without_refused_sklearn() -> Iterator[None]:
    """Hide a scikit-learn that coremltools would import, which takes seconds, only to refuse its version."""
    try:
        major, minor = map(int, version("scikit-learn").split(".")[:2])
        refused = (major, minor) > _SKLEARN.get(version("coremltools"), (major, minor))
    except (PackageNotFoundError, ValueError):
        refused = False
    if not refused or "sklearn" in sys.modules or "coremltools" in sys.modules:
        yield
        return
    sys.modules["sklearn"] = None  # type: ignore[assignment]  # Python's own mark of what cannot be imported
    try:
        yield
    finally:
        del sys.modules["sklearn"]


def model_module() -> ModuleType:
    """coremltools' module through which every prediction of Core ML goes."""
    coremltools()
    return importlib.import_module("coremltools.models.model")
