"""What was measured: types of records, reading and writing them, and what in a text names this computer.

It may import none of the packages here.
"""
