"""What the site adds to executed notebooks: machines, first page, openings on each machine, downloads.

It may import twins.evidence, twins.evidence.answers, twins.figures and twins.records.
"""
