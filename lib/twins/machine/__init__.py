"""What this machine is and what it does meanwhile: fingerprint, conditions, memory, fresh processes, doctor.

It may import twins.datasets, twins.frameworks and twins.records.
"""
