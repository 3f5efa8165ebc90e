"""The coverage of the converter: cases from all of MLX and mlx-lm, each converted, run and compared with MLX.

python -m twins.coreml.zoo --group layer
"""

from collections.abc import Iterable, Iterator

from twins.coreml.zoo import architectures, layers, losses, models, operations
from twins.coreml.zoo.case import Case

GROUPS = {
    "layer": layers.cases,
    "loss": losses.cases,
    "operation": operations.cases,
    "architecture": architectures.cases,
    "model": models.cases,
}


def find(groups: Iterable[str] = GROUPS, part: str = "") -> Iterator[Case]:
    """The cases of some groups whose name contains `part`; KeyError lists the groups."""
    for group in groups:
        if group not in GROUPS:
            raise KeyError(f"group '{group}' is not known; known are {', '.join(GROUPS)}")
        yield from (case for case in GROUPS[group]() if part in case.name)
