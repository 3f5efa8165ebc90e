"""The way to Core ML as pages show it: routes, conversions, compression, pitfalls, shipping, placement.

It may import coreml_runtime, coreml_runtime.format, coreml_runtime.verification,
mlx_coreml.backends.coreai, mlx_coreml.conversion, mlx_coreml.coverage, mlx_coreml.ir, mlx_coreml.swift,
twins.datasets, twins.evidence.answers, twins.evidence.verdicts, twins.export.networks,
twins.export.steps, twins.finetuning, twins.frameworks, twins.machine, twins.models, twins.records,
twins.timing and twins.training.
"""

from coreml_runtime.format.specification import coremltools

coremltools()  # quietly, before any module of this room imports it
