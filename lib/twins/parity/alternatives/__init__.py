"""What may be changed in a pass of a half, by family, each change with the sentence it gives. It may import
twins.parity.interception.
"""
