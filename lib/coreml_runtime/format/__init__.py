"""A saved package on disk: specification, types, weights, declared inputs and outputs, contents.

It may import none of the packages here.
"""
