"""The fairness gate: checks, their limits, float64 stand-ins, and the gate of half types.

It may import twins.frameworks, twins.models and twins.training.
"""
