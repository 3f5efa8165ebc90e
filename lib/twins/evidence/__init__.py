"""What records say: comparisons over sessions, rooflines, breadth, equal loss, plausibility, the summary.

It may import twins.evidence.published, twins.frameworks, twins.records, twins.timing and
twins.timing.ceilings.
"""
