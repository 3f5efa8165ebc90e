"""One pass of a half, watched operation by operation, and what may be changed in it, by family. It may import
twins.frameworks and twins.training.
"""
