"""How much of MLX converts: every case converted, run and compared, and the table of the outcome.

It may import coreml_runtime, coreml_runtime.verification, mlx_coreml.backends.coreai, mlx_coreml.capture,
mlx_coreml.conversion, mlx_coreml.coverage.cases, mlx_coreml.coverage.operation_cases,
mlx_coreml.coverage.usage_cases, mlx_coreml.coverage.usage_models, mlx_coreml.ir and
mlx_coreml.language_models.
"""

from collections.abc import Iterable, Iterator

from mlx_coreml.coverage import generation, usages
from mlx_coreml.coverage.cases import architectures, layers, losses, models
from mlx_coreml.coverage.cases.case import Case
from mlx_coreml.coverage.operation_cases import operations
from mlx_coreml.coverage.usage_cases.usage import Usage
from mlx_coreml.ir.errors import ConversionError

GROUPS = {
    "layer": layers.cases,
    "loss": losses.cases,
    "operation": operations.cases,
    "architecture": architectures.cases,
    "model": models.cases,
    "usage": usages.cases,
    generation.GENERATION: generation.cases,
}


FIXED = ("layer", "loss", "operation", "architecture", "model")  # one call of fixed sizes, without state


def groups_of(to: str) -> Iterable[str]:
    """The groups measured for a format; for Core AI those whose cases are one call of fixed sizes."""
    return FIXED if to == "coreai" else GROUPS


def find(groups: Iterable[str] = GROUPS, part: str = "") -> Iterator[Case | Usage]:
    """The cases of some groups whose name contains `part`. Errors: ConversionError lists the groups."""
    for group in groups:
        if group not in GROUPS:
            raise ConversionError(f"group '{group}' is not known; known are {', '.join(GROUPS)}")
        yield from (case for case in GROUPS[group]() if part in case.name)
