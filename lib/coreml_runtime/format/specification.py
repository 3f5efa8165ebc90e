"""The messages of Core ML's format, as coremltools ships them, read without importing coremltools.

Importing coremltools imports torch, which takes seconds; its generated messages need protobuf alone. They are
the same classes that coremltools has when it is imported later, because protobuf keeps one per message.
Source: https://github.com/apple/coremltools/tree/main/mlmodel/format
"""

import importlib
import importlib.util
import logging
import sys
from pathlib import Path
from types import ModuleType

_MESSAGES = f"{__package__}._messages"


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
    """coremltools itself, for what needs more than its messages: Core ML's predict, the operations' list.

    Off macOS its import says eight times that Core ML is missing, which is known here and not shown.
    """
    logger = logging.getLogger("coremltools")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        return importlib.import_module("coremltools")
    finally:
        logger.setLevel(level)


def model_module() -> ModuleType:
    """coremltools' module through which every prediction of Core ML goes."""
    coremltools()
    return importlib.import_module("coremltools.models.model")
