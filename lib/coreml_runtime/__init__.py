"""Runs a saved ML Program (`.mlpackage`) with torch on the CPU, on any operating system.

    from twins.coreml.reference import load
    model = load("Classifier.mlpackage")
    outputs = model.predict({"x": x})

Written from the MIL operation documentation (https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html)
and the protobuf format (https://github.com/apple/coremltools/tree/main/mlmodel/format); it shares no code with any converter.
"""  # noqa: E501

from twins.coreml.reference.model import Model, State, load

__all__ = ["Model", "State", "load"]
