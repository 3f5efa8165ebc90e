"""Core ML without a Mac: packages are run, checked and compared on any machine.

`reference` runs a saved `.mlpackage`; `verify` compares one with the network it came from.
"""
