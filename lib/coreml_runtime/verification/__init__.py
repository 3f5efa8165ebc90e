"""A package compared with its source: errors, the first operation that diverges, Core ML on macOS.

It may import coreml_runtime.execution and coreml_runtime.format.
"""
