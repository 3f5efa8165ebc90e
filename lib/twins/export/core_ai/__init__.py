"""Core AI beside Core ML, as a page shows it: three runtimes, tables, and what moves over.

It may import coreml_runtime.verification, mlx_coreml.backends.coreai, mlx_coreml.conversion,
mlx_coreml.coverage, mlx_coreml.coverage.cases, mlx_coreml.ir, mlx_coreml.swift,
mlx_coreml.verification, twins.evidence.answers, twins.export, twins.frameworks, twins.machine,
twins.records and twins.timing.
"""
