"""From a graph to a MIL program: one rule per kind of node, one file per family.

https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html
"""

import importlib

from twins.coreml.lowering.registry import RULES, lowering

FAMILIES = ("elementwise", "functions", "integers", "shape", "indexing", "updates", "sorting", "scans")
FAMILIES += ("reduction", "products", "experts", "transforms", "quantized")
FAMILIES += ("convolution", "pooling", "resizing", "padding")
FAMILIES += ("linear", "norms", "activations", "attention", "recurrent")

for family in FAMILIES:
    importlib.import_module(f"twins.coreml.lowering.{family}")

__all__ = ["RULES", "lowering"]
