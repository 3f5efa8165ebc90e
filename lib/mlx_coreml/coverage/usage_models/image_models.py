"""Models."""

from mlx_coreml.coverage.usage_cases.usage import Kind

models = Kind("image model")
