"""`make bench` for Core ML: accuracy and speed of the runtime, and conversion against PyTorch's routes.

It may import coreml_runtime, coreml_runtime.verification, mlx_coreml.conversion, twins.export,
twins.export.networks, twins.frameworks, twins.machine, twins.timing and twins.timing.peers.
"""
