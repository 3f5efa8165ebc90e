"""Cases of coverage for usages: small models of the kinds that people convert.

It may import mlx_coreml.coverage.usage_cases.
"""
