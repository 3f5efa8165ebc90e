"""Data-parallel training on both frameworks' own launchers and collectives, and its checkpoints.

It may import twins.datasets, twins.frameworks, twins.machine, twins.models, twins.records and twins.training.
"""
