"""Every figure of the pages: one style, and one module per family of figures.

It may import twins.evidence, twins.evidence.answers, twins.evidence.published, twins.evidence.verdicts,
twins.export, twins.finetuning, twins.records, twins.timing, twins.timing.ceilings and twins.transfer.
"""
