"""Which nodes of a program in fp16 need fp32, from the ranges of the numbers that tensors hold.

`interval` is a tensor's range, `rules` the range that a node makes of its inputs', by kind, `needs` which
inputs a node needs to be accurate, `islands` the two passes over a graph. It may import mlx_coreml.ir.
"""
