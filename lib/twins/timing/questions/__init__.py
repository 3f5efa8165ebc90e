"""Single questions with measurements of their own: convolutions, the GPU against the CPU, float32 as shipped.

It may import twins.frameworks, twins.machine, twins.models, twins.parity, twins.parity.diagnosis,
twins.records, twins.timing and twins.training.
"""
