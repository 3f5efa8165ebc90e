"""A package compared with the network it came from: errors per output, the first operation that diverges, and Core ML itself on macOS.

It may import coreml_runtime.execution and coreml_runtime.format.
"""
