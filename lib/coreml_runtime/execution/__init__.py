"""A loaded package that predicts: prepared programs, control flow, state, coremltools' stand-in.

It may import coreml_runtime.format and coreml_runtime.operations.
"""
