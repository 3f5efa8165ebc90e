"""Claims and their verdicts: which records are figures, the rules that judge them, and their power.

It may import twins.evidence.published, twins.inference, twins.records, twins.timing and twins.transfer.
"""
