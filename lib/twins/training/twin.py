"""A twin at one size, with the arithmetic of its training: what the gate judges and the harness times."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from twins.frameworks import BOTH
from twins.models import weight_map
from twins.training import train


@dataclass(frozen=True)
class Study:
    """A twin at one size, and the arithmetic of its training.

    `model` is a file of twins.models by its name, or a file of the reader's own by its path.
    """

    model: str
    config: dict
    recipe: train.Recipe = field(default_factory=train.Recipe)
    seed: int = 0

    def __post_init__(self):
        train.named(self.model).Config(**self.config)  # refuses what cannot be built

    @property
    def name(self) -> str:
        """The twin's name in records."""
        return Path(self.model).stem

    @property
    def of_the_reader(self) -> bool:
        """Whether it is a file of the reader's own."""
        return self.model.endswith(".py")

    def halves(self, dtype: str = "float32") -> tuple[train.Half, train.Half]:
        """Fresh halves with equal weights, MLX first."""
        module = train.named(self.model)
        return train.halves(module, module.Config(**self.config), self.recipe, self.seed, dtype)

    def apart(self) -> tuple[train.Half, train.Half]:
        """Fresh halves, each with weights of its own, as when these cannot be copied; MLX first."""
        module = train.named(self.model)
        sizes = module.Config(**self.config)
        mlx, torch_half = (train.half(module, sizes, self.recipe, each) for each in BOTH)
        weight_map.check_map(mlx.names, mlx.model, torch_half.model)
        return mlx, torch_half

    def examples(self, batch: int, count: int) -> list[tuple[np.ndarray, ...]]:
        """Different random batches of the right shapes."""
        module, rng = train.named(self.model), np.random.default_rng(self.seed)
        return [module.example(module.Config(**self.config), rng, batch) for _ in range(count)]

    def example(self, batch: int) -> tuple[np.ndarray, ...]:
        """A random batch of the right shapes."""
        return self.examples(batch, 1)[0]
