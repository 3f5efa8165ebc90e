"""A loaded package that predicts: prepared programs, control flow, state, and the stand-in for Core ML in coremltools.

It may import coreml_runtime.format and coreml_runtime.operations.
"""
