"""What a machine can do at best: probes, and the share of it that a step reaches.

It may import twins.frameworks, twins.machine, twins.records and twins.timing.
"""
