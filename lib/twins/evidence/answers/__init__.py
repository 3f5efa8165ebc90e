"""What the pages answer, in sentences computed from one machine's records; no figure is drawn here.

It may import twins.evidence, twins.evidence.published, twins.evidence.verdicts, twins.finetuning,
twins.inference, twins.records, twins.timing, twins.timing.ceilings and twins.transfer.
"""
