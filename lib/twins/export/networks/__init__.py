"""Networks that are converted for comparison: pairs in both frameworks, and torch networks for the runtime.

It may import coreml_runtime, twins.frameworks and twins.training.
"""
