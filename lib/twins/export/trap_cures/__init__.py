"""Traps on the way to Core ML: code that runs into each, its cure on either side, and what came of both.

It may import coreml_runtime, coreml_runtime.verification, mlx_coreml.conversion, mlx_coreml.ir,
twins.evidence.answers, twins.export, twins.frameworks and twins.records.
"""
