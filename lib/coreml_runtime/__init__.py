"""Runs, inspects and verifies saved Core ML packages (`.mlpackage`) with torch on the CPU, on any system.

    from coreml_runtime import inspect, load, verify
    print(inspect("Classifier.mlpackage"))
    outputs = load("Classifier.mlpackage").predict({"x": x})
    report = verify(network, "Classifier.mlpackage", {"x": x})

Written from the documentation of the MIL operations
(https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html) and of the protobuf
format (https://github.com/apple/coremltools/tree/main/mlmodel/format). It shares no code with any converter.
"""

from coreml_runtime.execution.emulation import reference_predictions
from coreml_runtime.execution.limits import Refused
from coreml_runtime.execution.model import Model, State, load
from coreml_runtime.execution.scope import Operation
from coreml_runtime.format.contents import Contents, inspect
from coreml_runtime.format.features import Feature
from coreml_runtime.verification.comparison import verify
from coreml_runtime.verification.divergence import Divergence
from coreml_runtime.verification.report import Report, Row

__version__ = "0.1.0"
__all__ = [
    "Contents",
    "Divergence",
    "Feature",
    "Model",
    "Operation",
    "Refused",
    "Report",
    "Row",
    "State",
    "inspect",
    "load",
    "reference_predictions",
    "verify",
]
