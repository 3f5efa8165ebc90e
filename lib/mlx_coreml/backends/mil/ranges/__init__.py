"""Which nodes of a program in fp16 need fp32, told by the ranges of the numbers that tensors hold.

It may import mlx_coreml.ir.
"""
