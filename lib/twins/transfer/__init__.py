"""Arrays that are handed over between frameworks and devices: cost, shared memory, tables.

It may import twins.frameworks, twins.machine, twins.records, twins.timing,
twins.timing.ceilings and twins.training.
"""
