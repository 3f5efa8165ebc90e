"""One pass of a half, watched operation by operation, and changes of single operations in it. It may import
twins.frameworks and twins.training.
"""
