"""`make bench`: our steps against the same networks as others would build them.

It may import twins.frameworks, twins.models, twins.timing and twins.training.
"""
