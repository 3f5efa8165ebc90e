"""From records to verdicts: claims, decisions, rooflines, breadth, plausibility, the summary.

It may import twins.evidence.published, twins.frameworks, twins.records, twins.timing,
twins.timing.ceilings and twins.transfer.
"""
