"""What the optimizers of two halves do to each parameter: read, and computed as it is read.

It may import twins.frameworks, twins.models and twins.training.
"""
