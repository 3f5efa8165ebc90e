"""The captured graph (tensors, nodes), the names Core ML accepts, and the errors of a conversion.

It may import none of the packages here.
"""
