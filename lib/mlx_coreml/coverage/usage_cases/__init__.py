"""Cases of coverage for usages: how people call, hold and build the models that they convert.

It may import mlx_coreml.capture.
"""
