"""The fairness gate: checks, their limits, and the gate of half types.

It may import twins.frameworks, twins.models, twins.parity.float64, twins.parity.interception,
twins.parity.optimizers and twins.training.
"""
