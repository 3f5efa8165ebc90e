"""The formats that a cleaned graph is lowered to, one folder each.

It may import none of the packages here.
"""
