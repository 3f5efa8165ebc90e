"""Timing and counting: harness, statistics, comparisons, studies of a twin, energy, operations and bytes.

It may import twins.frameworks, twins.machine, twins.models, twins.parity, twins.parity.diagnosis,
twins.records and twins.training.
"""
