"""Generation and transcription in both frameworks from one checkpoint folder: gate, timing, tables.

It may import twins.frameworks, twins.machine, twins.parity, twins.records, twins.timing,
twins.timing.ceilings and twins.training.
"""
