"""What others published: benchmarks, tables, their audit, and our figures beside theirs.

It may import coreml_runtime.format, twins.frameworks, twins.records and twins.timing.
"""
