"""Language models of mlx-lm as stateful Core ML packages: caches, both functions, generation, the check.

It may import nothing.
"""
