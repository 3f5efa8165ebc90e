"""Every architecture that transformers and mlx-lm build from one configuration, tiny, with the same weights.

The list is not chosen here: it is every causal language model of transformers whose model type mlx-lm knows.
transformers draws weights and writes a checkpoint; mlx-lm loads that by its own function, as it does with a
published one. A pair counts only if both halves give the same logits. PyTorch's half gets the form that
converts best: experts as batched products, and, where the model takes one, a causal mask of finite numbers,
because a mask built inside the model needs operations that coremltools does not know.
https://github.com/huggingface/transformers and https://github.com/ml-explore/mlx-lm
"""

import dataclasses
import importlib
import json
import pkgutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub.errors import StrictDataclassError

from mlx_coreml.coverage.cases import configurations as given
from twins.frameworks import MLX
from twins.parity import limits

import torch  # isort: skip  (after twins.frameworks: the BLAS)

GROUP = "architectures of transformers and mlx-lm"
LENGTH = 16  # tokens of the example
LARGEST = 8_000_000  # parameters; more means that a size of the configuration was not found
FORM = "form.json"  # in a checkpoint: what mlx-lm reads beside config.json, and whether PyTorch gets a mask
HIDDEN = -1e4  # a mask that half precision can hold
NOISE = 0.02  # moves every weight, so that no bias is 0 and no scale is 1
MISTAKES: tuple[type[Exception], ...] = (ValueError, TypeError, LookupError, AttributeError, RuntimeError)
MISTAKES += (ImportError, OSError, AssertionError, StrictDataclassError)

_OPTIONS = {
    "norm_topk_prob",
    "use_qk_norm",
    "qk_norm",
    "sliding_window_pattern",
}  # stay as transformers has them
_TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_WINDOWS = {
    name: 64 for name in given.SMALL if "window" in name
}  # longer than the example, as in published models
SIZES = {name: size for name, size in given.SMALL.items() if name not in _OPTIONS} | _WINDOWS | _TOKENS
ROPE = {"rope_type": "default", "rope_theta": 10_000.0}
# Where two layers do not hold every kind of layer, or sizes must fit each other.
OVERRIDES: dict[str, dict[str, Any]] = {
    "afmoe": {"layer_types": given.BOTH},
    "cohere2": {"num_hidden_layers": 4},
    "gemma3_text": {"num_hidden_layers": 6},
    "gpt_neox": {"intermediate_size": 256},
    "gptj": {"n_inner": 256},
    "granitemoehybrid": {"mamba_n_heads": 8},
    "jamba": {"attn_layer_offset": 1, "attn_layer_period": 2},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "mamba2": {"num_heads": 8},
    "olmo3": {"layer_types": given.BOTH},
    "recurrent_gemma": {"num_hidden_layers": 3},
    "qwen3_next": {"num_hidden_layers": 4},
}


@dataclass(frozen=True)
class Built:
    """An architecture in both frameworks: where its checkpoint is, and how far the logits are apart.

    `difference` is rms-relative, None where a half could not be built; `reason` then says why.
    """

    name: str
    folder: Path
    difference: float | None
    reason: str = ""

    @property
    def equal(self) -> bool:
        """Whether the halves agree within the fairness gate's limit for outputs."""
        return self.difference is not None and self.difference <= limits.limit("outputs")


@cache
def names() -> tuple[str, ...]:
    """The model types that both packages know, in the order of the alphabet."""
    import mlx_lm.models
    from mlx_lm.utils import MODEL_REMAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    known = {info.name for info in pkgutil.iter_modules(mlx_lm.models.__path__)}
    known |= {name for name, module in MODEL_REMAPPING.items() if module in known}
    return tuple(sorted(known & set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)))


def build(chosen: Iterable[str], folder: Path) -> Iterator[Built]:
    """Build architectures in folders of their own and compare their halves; what fails says why."""
    import transformers

    transformers.logging.disable_progress_bar()
    for name in chosen:
        place = folder / name
        try:
            if name in given.LEFT_OUT:
                raise ValueError(given.LEFT_OUT[name])
            _write(name, place)
            yield Built(name, place, _difference(place))
        except MISTAKES as error:
            told = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
            yield Built(name, place, None, told)


def configuration(name: str) -> Any:
    """A tiny configuration of transformers, its sizes set by the names of its fields."""
    from transformers import CONFIG_MAPPING

    kind = CONFIG_MAPPING[name]
    return kind(**_sizes(kind) | OVERRIDES.get(name, {}))


def half(folder: str, framework: str) -> tuple:
    """One half of a built architecture, from its checkpoint, and the example: tokens in, logits out."""
    config = json.loads((Path(folder) / "config.json").read_text())
    vocabulary = config.get("text_config", config)["vocab_size"]
    ids = np.random.default_rng(0).integers(3, vocabulary, (1, LENGTH), dtype=np.int32)
    form = json.loads((Path(folder) / FORM).read_text())
    if framework == "MLX":
        from mlx_lm.utils import load_model

        return load_model(Path(folder), model_config=form["names"])[0].eval(), [MLX.array(ids)]
    from transformers import AutoModelForCausalLM

    asked = {"dtype": torch.float32, "experts_implementation": "batched_mm"}
    model = AutoModelForCausalLM.from_pretrained(folder, **asked)
    return Logits(model, form["masked"]).eval(), [torch.from_numpy(ids)]


class Logits(torch.nn.Module):
    """A language model of transformers without its dictionary of outputs and without a cache."""

    def __init__(self, model: torch.nn.Module, masked: bool):
        super().__init__()
        self.model = model
        hidden = torch.full((LENGTH, LENGTH), HIDDEN).triu(1)[None, None]  # (1, 1, T, T)
        self.register_buffer("mask", hidden if masked else None)

    def forward(self, ids):
        return self.model(input_ids=ids, attention_mask=self.mask, use_cache=False).logits


def _sizes(kind: Any) -> dict[str, Any]:
    """Sizes for the fields of a configuration and of those it holds."""
    alias = getattr(kind, "attribute_map", {})
    fields = {field.name for field in dataclasses.fields(kind)} | set(alias)
    values = {name: SIZES[name] for name in fields & set(SIZES) if alias.get(name) not in SIZES}
    if {"kv_lora_rank", "num_key_value_heads"} <= fields:  # latent attention has a key for every head
        values["num_key_value_heads"] = values["num_attention_heads"]
    rope = getattr(kind(), "rope_parameters", None) or {}
    plain = "rope_parameters" in fields and not any(isinstance(value, dict) for value in rope.values())
    if plain and rope.get("rope_type", "default") == "default":
        values["rope_parameters"] = rope | ROPE
    inner = {
        name: sub for name, sub in getattr(kind, "sub_configs", {}).items() if dataclasses.is_dataclass(sub)
    }
    return values | {name: _sizes(sub) for name, sub in inner.items()}


def _write(name: str, folder: Path) -> None:
    """Make weights and keep them with the configuration. Errors: ValueError when it is not tiny."""
    from transformers import AutoModelForCausalLM

    config = configuration(name)
    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(config)
    if (count := sum(weight.numel() for weight in empty.parameters())) > LARGEST:
        raise ValueError(f"{count} parameters with the sizes given; allowed are {LARGEST}")
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for weight in model.parameters():
            weight += NOISE * torch.randn_like(weight)
    model.save_pretrained(folder)
    told = json.loads((folder / "config.json").read_text())
    ids = torch.arange(3, 3 + LENGTH)[None]
    form = {"names": _missing(told, config), "masked": _takes_mask(model.eval(), ids)}
    (folder / FORM).write_text(json.dumps(form))


def _takes_mask(model: torch.nn.Module, ids: torch.Tensor) -> bool:
    """Whether a model with a mask from outside gives what it gives with its own."""
    with torch.no_grad():
        own = Logits(model, masked=False)(ids)
        try:
            given_mask = Logits(model, masked=True)(ids)
        except MISTAKES:
            return False
    return bool((given_mask - own).norm() <= limits.limit("outputs") * own.norm())


def _missing(told: dict[str, Any], config: Any) -> dict[str, Any]:
    """What mlx-lm reads and transformers 5 writes under another name, as published checkpoints have it."""
    from mlx_lm.utils import MODEL_REMAPPING

    kind = told["model_type"]
    module = importlib.import_module(f"mlx_lm.models.{MODEL_REMAPPING.get(kind, kind)}")
    rope, more = getattr(config, "rope_parameters", None) or {}, {}
    rope = rope.get("full_attention", rope)
    rope = rope | {"rotary_pct": rope.get("partial_rotary_factor")}
    for field in dataclasses.fields(module.ModelArgs):
        if told.get(field.name) is not None:
            continue
        found = rope.get(field.name, getattr(config, field.name, None))
        required = field.default is dataclasses.MISSING
        if found is None and required:
            found = SIZES.get(field.name)
        if field.name == "rope_scaling" and rope.get("rope_type", "default") == "default":
            found = None  # mlx-lm has no type for "none"
        if found is not None or required or field.name == "rope_scaling":
            more[field.name] = found
    return more


def _difference(folder: Path) -> float:
    """The rms-relative difference of the halves' logits."""
    ours, example = half(str(folder), "MLX")
    theirs, same = half(str(folder), "PyTorch")
    with torch.no_grad():
        expected = theirs(*same).numpy().astype(np.float64)
    found = MLX.numpy(ours(*example)).astype(np.float64)
    return float(np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2)))
