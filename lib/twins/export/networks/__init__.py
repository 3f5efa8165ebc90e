"""Networks that are converted for comparison: pairs in both frameworks, and torch networks for the runtime.

It may import coreml_runtime, mlx_coreml.coverage.cases, twins.frameworks, twins.parity and
twins.training.
"""
