"""One fine-tuning at one size: a base, what of it is trained, and both halves made ready to train.

The methods: "full" trains every weight; "lora" and "dora" train adapters on a frozen base; "qlora" trains
them on a frozen base of 8 or 4 bits (Dettmers et al. 2023, https://arxiv.org/abs/2305.14314).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from twins.datasets.completions import IGNORED
from twins.finetuning import adapters, base_model, bases, quantized_base
from twins.finetuning.adapters import Adapters
from twins.finetuning.base_model import Logits
from twins.frameworks import MLX, TORCH, Mlx, Torch
from twins.inference import checkpoint_folder
from twins.models import weights
from twins.models.name_map import Names
from twins.training import train
from twins.training.train import Half, Recipe

import mlx.core as mx  # isort: skip  (after twins.frameworks: the BLAS)
import mlx.nn as mnn  # isort: skip
import torch  # isort: skip
from mlx.utils import tree_flatten, tree_unflatten  # isort: skip

METHODS = ("full", "lora", "dora", "qlora")
CHECKPOINTED = "checkpointed"  # the first method with gradient checkpointing


def mlx_loss(model, ids, targets):
    """Mean cross-entropy of the completions' tokens in nats, from logits in float32."""
    wanted = targets != IGNORED
    logits = model(ids).astype(mx.float32)
    each = mnn.losses.cross_entropy(logits, mx.where(wanted, targets, 0), reduction="none")
    return (each * wanted).sum() / wanted.sum()


def torch_loss(model, ids, targets):
    """Mean cross-entropy of the completions' tokens in nats, from logits in float32."""
    logits = model(ids).float()
    return torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="mean"
    )


@dataclass(frozen=True)
class Tuning:
    """A base folder, the method, and the arithmetic of the training.

    `base`: for "qlora" how the frozen weights are stored, of bases.BASES. `dtype`: of the other
    frozen weights, and of all weights of "full". Errors: ValueError, one sentence, for what cannot be made.
    """

    folder: str
    method: str = "lora"
    adapters: Adapters = field(default_factory=Adapters)
    base: str = ""
    dtype: str = "float32"
    checkpointed: bool = False
    recipe: Recipe = field(default_factory=lambda: Recipe(weight_decay=0.0))
    seed: int = 0

    def __post_init__(self):
        if self.method not in METHODS:
            raise ValueError(f"fine-tuning by {self.method!r}; allowed are {', '.join(METHODS)}")
        if (self.method == "qlora") != bool(self.base):
            raise ValueError(
                f"fine-tuning by {self.method!r} with base {self.base!r}; "
                "allowed is a quantized base for qlora and none for the others"
            )
        if self.base:
            bases.check(self.base)
        if (self.method == "dora") != self.adapters.dora:
            object.__setattr__(self, "adapters", replace(self.adapters, dora=self.method == "dora"))

    @property
    def name(self) -> str:
        """What records call it."""
        return f"{self.method} fine-tuning"

    @property
    def label(self) -> str:
        """What tells it from the others of a page: the method or base, or that blocks are checkpointed."""
        return CHECKPOINTED if self.checkpointed else self.base or self.method

    @property
    def config(self) -> dict:
        """What records say of it."""
        told = {"model": Path(self.folder).name, "method": self.method, "dtype": self.dtype}
        if self.method != "full":
            told |= asdict(self.adapters) | {"places": list(self.adapters.places)}
        return told | ({"base": self.base} if self.base else {}) | {"checkpointed": self.checkpointed}

    def halves(self, dtype: str | None = None) -> tuple[Half, Half]:
        """Fresh halves with equal weights, MLX first; adapters are drawn once, by peft."""
        theirs = self.half(TORCH, dtype)
        ours = self.half(MLX, dtype)
        share(ours, theirs)
        return ours, theirs

    def half(self, framework: Mlx | Torch, dtype: str | None = None) -> Half:
        """One half, with adapters of its own."""
        make = self._mlx if framework is MLX else self._torch
        return make(dtype or self.dtype)

    def _mlx(self, dtype: str) -> Half:
        model = base_model.load_mlx(Path(self.folder), dtype)
        if self.base:
            quantized_base.quantize_mlx(model, self.base)
        if self.method != "full":
            adapters.adapt_mlx(model, self.adapters)
            mx.eval(model.parameters())
        if self.checkpointed:
            base_model.checkpoint_mlx(model)
        return Half(MLX, model, mlx_loss, train.mlx_optimizer(self.recipe), self.recipe.clip, dtype=dtype)

    def _torch(self, dtype: str) -> Half:
        model = quantized_base.load_torch(Path(self.folder), dtype, self.base)
        if self.checkpointed:
            base_model.checkpoint_torch(model)
        if self.method != "full":
            model = adapters.adapt_torch(model, self.adapters, self.seed)
        model = Logits(model).train()
        optimizer = train.torch_optimizer(self.recipe, model)
        return Half(TORCH, model, torch_loss, optimizer, self.recipe.clip, dtype=dtype)

    def examples(self, batch: int, count: int, length: int = 32) -> list[tuple[np.ndarray, ...]]:
        """Different random batches (ids, targets), (B, T) int32 each; the first half of a row is a prompt."""
        rng = np.random.default_rng(self.seed)
        vocabulary = checkpoint_folder.config(Path(self.folder))["vocab_size"]
        return [example(rng, vocabulary, batch, length) for _ in range(count)]

    def example(self, batch: int) -> tuple[np.ndarray, ...]:
        """A random batch."""
        return self.examples(batch, 1)[0]


def plain(tuning: Tuning) -> dict:
    """A fine-tuning as JSON, for a fresh process."""
    return asdict(tuning)


def from_plain(values: dict) -> Tuning:
    """What `plain` gave."""
    made = {"adapters": Adapters(**values["adapters"]), "recipe": Recipe(**values["recipe"])}
    return Tuning(**{**values, **made})


def of(
    folder: str,
    method: str,
    rank: int,
    alpha: float,
    places: Sequence[str],
    learning_rate: float,
    seed: int = 0,
) -> Tuning:
    """A fine-tuning from a page's parameters. Errors: ValueError for what the folder cannot be."""
    made = Adapters(rank, alpha, tuple(places))
    config = checkpoint_folder.config(Path(folder))
    names = set(checkpoint_folder.shapes(Path(folder)))
    adapters.check_places(made, names, config["num_hidden_layers"], Path(folder).name)
    return Tuning(folder, method, made, recipe=Recipe(learning_rate, weight_decay=0.0), seed=seed)


def variations(first: Tuning, also: Sequence[str]) -> list[Tuning]:
    """The other fine-tunings of a page: methods, "checkpointed", or quantized bases. Errors: ValueError."""
    return [_variation(first, name) for name in also]


def _variation(first: Tuning, name: str) -> Tuning:
    if name == CHECKPOINTED:
        return replace(first, checkpointed=True)
    if name in METHODS:
        return replace(first, method=name)
    return replace(first, method="qlora", base=name)


def example(
    rng: np.random.Generator, vocabulary: int, batch: int, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Random ids and targets, (B, T) int32 each; the first half of a row is a prompt, which is not learnt."""
    rows = rng.integers(0, vocabulary, (batch, length + 1), dtype=np.int32)
    targets = rows[:, 1:].copy()
    targets[:, : length // 2] = IGNORED
    return rows[:, :-1], targets


def share(ours: Half, theirs: Half) -> None:
    """Give MLX's half the adapters of PyTorch's, and both the map of their names."""
    known: Names = adapters.names(theirs.model)
    ours.names = theirs.names = known
    drawn = trained_torch(theirs)
    if any(adapters.is_adapter(name) for name, _ in tree_flatten(ours.model.trainable_parameters())):
        given = adapter_values(drawn, known)
        flat = dict(tree_flatten(ours.model.trainable_parameters()))
        weights.check(given, flat, "the adapters of the MLX half")
        ours.model.update(tree_unflatten([(n, mx.array(v, dtype=flat[n].dtype)) for n, v in given.items()]))
        mx.eval(ours.model.parameters())


def trained_torch(half: Half) -> dict[str, np.ndarray]:
    """The weights that PyTorch's half trains, under its own names."""
    named = half.model.named_parameters()
    return {name: TORCH.numpy(value) for name, value in named if value.requires_grad}


def adapter_values(values: dict[str, np.ndarray], known: Names) -> dict[str, np.ndarray]:
    """Peft's values of adapters, or their gradients, under mlx-lm's names and in its layout."""
    found = {}
    for name, value in values.items():
        goal = known.get(name)
        if goal is not None:
            found[goal[0] if isinstance(goal, tuple) else goal] = (
                value.T if isinstance(goal, tuple) else value
            )
    return found
