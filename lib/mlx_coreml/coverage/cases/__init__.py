"""Cases of coverage: layers, losses, whole models, and the architectures of mlx-lm.

It may import none of the packages here.
"""
