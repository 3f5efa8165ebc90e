"""Traps on the way to Core ML: code that runs into each, and its cure on either side, both run and compared.

It may import coreml_runtime, coreml_runtime.verification, mlx_coreml.conversion, mlx_coreml.ir,
twins.evidence.answers, twins.export, twins.frameworks and twins.records.
"""
