"""Cases of coverage for the operations of mlx.core.

It may import mlx_coreml.coverage.cases.
"""
