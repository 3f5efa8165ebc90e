"""Data as arrays: real data without a download, synthetic sources, and downloads with checksums.

It may import none of the packages here.
"""
