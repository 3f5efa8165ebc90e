"""Every usage, kind by kind."""

from collections.abc import Iterator

from mlx_coreml.coverage.usage_cases import (
    arguments,
    caches,
    calls,
    flexible_images,
    flexible_lengths,
    flexible_positions,
    float16_range,
    half_types,
    holders,
    returns,
    states,
    transforms,
)
from mlx_coreml.coverage.usage_cases.usage import Kind, Usage
from mlx_coreml.coverage.usage_models import (
    diffusion_models,
    image_models,
    science_models,
    sequence_models,
    speech_models,
)

KINDS: tuple[Kind, ...] = (
    calls.calls,
    arguments.arguments,
    returns.returns,
    holders.holders,
    caches.caches,
    states.states,
    transforms.transforms,
    transforms.random_numbers,
    half_types.half,
    float16_range.ranges,
    flexible_positions.positions,
    flexible_lengths.lengths,
    flexible_images.images,
    image_models.models,
    diffusion_models.models,
    sequence_models.models,
    speech_models.models,
    science_models.models,
)


def cases() -> Iterator[Usage]:
    """Every usage."""
    for kind in KINDS:
        yield from kind
