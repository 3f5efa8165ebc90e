"""Adapters on both halves of a language model, each put there by the library that its users take.

LoRA (Hu et al. 2021, https://arxiv.org/abs/2106.09685) adds a product of two small matrices to a frozen one;
DoRA (Liu et al. 2024, https://arxiv.org/abs/2402.09353) also trains the length of every row. mlx-lm's tuner
multiplies the product by `scale`, peft by alpha / rank: https://huggingface.co/docs/peft/package_reference/lora
"""

from dataclasses import dataclass

import torch

from twins import frameworks as frameworks
from twins.finetuning.base_model import quiet
from twins.models.name_map import Names

import mlx.nn as mnn  # isort: skip  (after frameworks: the BLAS)
from mlx_lm.tuner.utils import linear_to_lora_layers  # isort: skip

with quiet():
    import peft

# A block's linear layers, as Llama and its relatives name them in both libraries.
PLACES = (
    *("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"),
    *("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"),
)
ATTENTION = ("self_attn.q_proj", "self_attn.v_proj")  # where the paper puts them, and peft by default
WRAPPED = "model.base_model.model"  # what peft and `Logits` put before the names of a base


@dataclass(frozen=True)
class Adapters:
    """Rank, alpha and places of adapters; `blocks`: only the last so many, None for all.

    Errors: ValueError, one sentence, for what cannot be made.
    """

    rank: int = 8
    alpha: float = 16.0
    places: tuple[str, ...] = ATTENTION
    blocks: int | None = None
    dora: bool = False

    def __post_init__(self):
        object.__setattr__(self, "places", tuple(self.places))
        if self.rank < 1 or self.alpha <= 0:
            raise ValueError(f"adapters of rank {self.rank} and alpha {self.alpha}; allowed is above 0")
        unknown = [place for place in self.places if place not in PLACES]
        if unknown or not self.places:
            found = ", ".join(unknown) or "none"
            raise ValueError(f"adapters at {found}; allowed are {', '.join(PLACES)}")
        if self.blocks is not None and self.blocks < 1:
            raise ValueError(f"adapters on the last {self.blocks} blocks; allowed is 1 and more, or None")

    @property
    def scale(self) -> float:
        """What the product of the two matrices is multiplied by."""
        return self.alpha / self.rank


def check_places(adapters: Adapters, names: set[str], blocks: int, folder: str) -> None:
    """Refuse places, or a number of blocks, that a base has not. Errors: ValueError."""
    missing = [p for p in adapters.places if not any(name.endswith(f".{p}.weight") for name in names)]
    if missing:
        raise ValueError(f"checkpoint {folder} has no layer {', '.join(missing)} for adapters")
    if adapters.blocks is not None and adapters.blocks > blocks:
        raise ValueError(f"adapters on the last {adapters.blocks} blocks; checkpoint {folder} has {blocks}")


def adapt_mlx(model: mnn.Module, adapters: Adapters) -> mnn.Module:
    """The model frozen, with mlx-lm's adapters, which alone are trained."""
    model.freeze()
    sizes = {"rank": adapters.rank, "scale": adapters.scale, "dropout": 0.0, "keys": set(adapters.places)}
    count = len(model.layers) if adapters.blocks is None else adapters.blocks
    linear_to_lora_layers(model, count, sizes, use_dora=adapters.dora)
    return model


def adapt_torch(model: torch.nn.Module, adapters: Adapters, seed: int) -> torch.nn.Module:
    """The model frozen, with peft's adapters drawn from `seed`, which alone are trained."""
    torch.manual_seed(seed)
    total = model.config.num_hidden_layers
    first = 0 if adapters.blocks is None else total - adapters.blocks
    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=adapters.rank,
        lora_alpha=adapters.alpha,
        lora_dropout=0.0,
        bias="none",
        target_modules=list(adapters.places),
        layers_to_transform=list(range(first, total)),
        layers_pattern="layers",
        use_dora=adapters.dora,
        use_rslora=False,
        init_lora_weights=True,
    )
    with quiet():
        return peft.get_peft_model(model, config, autocast_adapter_dtype=False)


def names(model: torch.nn.Module) -> Names:
    """The map from peft's names to mlx-lm's, for a model inside `Logits`.

    mlx-lm keeps the two matrices in the order in which they are multiplied, which is peft's transposed.
    """
    found: dict = {}
    for name, _ in model.named_modules():
        if not name.endswith(".base_layer"):
            continue
        place = name.removesuffix(".base_layer")
        goal = place.removeprefix(f"{WRAPPED}.")
        found[name] = f"{goal}.linear"
        for theirs, ours in (("lora_A", "lora_a"), ("lora_B", "lora_b")):
            found[f"{place}.{theirs}.default.weight"] = (f"{goal}.{ours}", (1, 0))
        found[f"{place}.lora_magnitude_vector.default.weight"] = f"{goal}.m"
    return found | {WRAPPED: ""} if found else {"model": ""}


def is_adapter(name: str) -> bool:
    """Whether one of mlx-lm's names is that of an adapter's weight."""
    return name.rsplit(".", 1)[-1] in ("lora_a", "lora_b", "m")
