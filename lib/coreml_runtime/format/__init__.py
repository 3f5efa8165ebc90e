"""A saved package as it lies on disk: its specification, types, weights, declared inputs and outputs, and what it holds.

It may import none of the packages here.
"""
