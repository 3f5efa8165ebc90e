"""The report as a product: runner, notebooks as files, what cells show, site, publishing, sharing.

It may import twins.datasets, twins.evidence, twins.figures, twins.machine, twins.records and twins.timing.
"""
