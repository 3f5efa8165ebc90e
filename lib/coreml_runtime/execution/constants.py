"""Reads constant arguments of protobuf operations without running a program."""

from __future__ import annotations

from typing import Any

from coreml_runtime.format.package import Package
from coreml_runtime.format.values import read_value


class Constants:
    """The constants of a block, by name."""

    def __init__(self, block: Any, package: Package):
        self._package = package
        self._stored = {
            operation.outputs[0].name: operation.attributes["val"]
            for operation in block.operations
            if operation.type == "const"
        }

    def argument(self, operation: Any, parameter: str, default: Any = None) -> Any:
        """An argument as a number, a string or a list; `default` if it is missing or computed."""
        if parameter not in operation.inputs:
            return default
        binding = operation.inputs[parameter].arguments[0]
        inline = binding.WhichOneof("binding") == "value"
        stored = binding.value if inline else self._stored.get(binding.name)
        if stored is None:
            return default
        value = read_value(stored, self._package)
        return value.tolist() if hasattr(value, "tolist") else value
