"""Single questions with measurements of their own: convolutions, GPU or CPU, float32 as shipped, processes.

It may import twins.frameworks, twins.machine, twins.models, twins.parity, twins.parity.diagnosis,
twins.records, twins.timing, twins.training and twins.training.distributed.
"""
