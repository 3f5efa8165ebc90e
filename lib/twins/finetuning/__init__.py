"""Fine-tuning of language models in both frameworks with adapters, and which sizes fit into a memory.

It may import twins.datasets, twins.frameworks, twins.inference, twins.machine, twins.models, twins.parity,
twins.records, twins.timing and twins.training.
"""
