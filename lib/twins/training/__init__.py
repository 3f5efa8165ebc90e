"""Steps of training in both frameworks, and training in half types.

It may import twins.frameworks and twins.models.
"""
