"""Loads a folder of mlx-lm or Hugging Face with mlx-lm's own loader: no code of the folder runs, no pickle.

https://github.com/ml-explore/mlx-lm/blob/main/mlx_lm/utils.py
"""

from __future__ import annotations

import importlib.util
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm
from mlx_lm import utils

from mlx_coreml.ir.errors import ConversionError, told

import mlx.nn as nn  # isort: skip
from mlx.utils import tree_flatten  # isort: skip

# What a tokenizer and a generator need of a folder, beside the weights.
BESIDE = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "tokenizer.model",
    "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "chat_template.jinja",
)  # fmt: skip
# model_type of encoders and of models that do not continue a text.
ENCODERS = {
    "albert", "bert", "bart", "camembert", "clip", "deberta", "deberta-v2", "distilbert", "electra", "ernie",
    "longformer", "modernbert", "mpnet", "nomic_bert", "roberta", "siglip", "t5", "vit", "wav2vec2",
    "whisper", "xlm-roberta",
}  # fmt: skip


@dataclass(frozen=True)
class Checkpoint:
    """A model, evaluated nowhere yet, with its configuration and the folder it came from."""

    model: nn.Module
    config: dict[str, Any]
    folder: Path

    @property
    def stop_tokens(self) -> list[int]:
        """The tokens that end a text: eos_token_id of config.json or generation_config.json."""
        given = self.config.get("eos_token_id")
        if given is None:
            given = self.config.get("text_config", {}).get("eos_token_id")
        return [given] if isinstance(given, int) else list(given or [])

    @property
    def longest(self) -> int | None:
        """How many positions the model was made for, where its configuration says so."""
        for name in ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length"):
            for config in (self.config, self.config.get("text_config", {})):
                if isinstance(config.get(name), int):
                    return config[name]
        return None


def load(folder: str | Path) -> Checkpoint:
    """A folder's model with its weights, which are read when they are needed. Errors: ConversionError."""
    folder = Path(folder)
    config = _config(folder)
    if not sorted(folder.glob("model*.safetensors")):
        raise ConversionError(
            f"{folder} holds no weights (model*.safetensors); pickled ones (.bin, .pt) are not read"
        )
    try:
        model, config = utils.load_model(folder, lazy=True)
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, IndexError) as error:
        raise ConversionError(f"{folder} cannot be loaded by mlx-lm: {_first(error)}") from error
    return Checkpoint(model.eval(), config, folder)


def _config(folder: Path) -> dict[str, Any]:
    """The configuration of a folder whose architecture mlx-lm knows. Errors: ConversionError."""
    if not folder.is_dir():
        raise ConversionError(
            f"{folder} is no folder; give one that holds config.json and model*.safetensors"
        )
    path = folder / "config.json"
    if not path.is_file():
        raise ConversionError(f"{folder} has no config.json, so its architecture is not known")
    try:
        config = json.loads(path.read_text())
    except ValueError as error:
        raise ConversionError(f"{path} is not valid JSON: {error}") from error
    kind = config.get("model_type") if isinstance(config, dict) else None
    if not isinstance(kind, str):
        raise ConversionError(f"{path} names no model_type")
    if "model_file" in config:
        raise ConversionError(
            f"{path} asks for the folder's own code {config['model_file']!r}, which is not run"
        )
    if kind in ENCODERS or config.get("is_encoder_decoder"):
        raise ConversionError(f"{path} describes '{kind}', an encoder: mlx-coreml llm takes decoders only")
    known = utils.MODEL_REMAPPING.get(kind, kind)
    if importlib.util.find_spec(f"mlx_lm.models.{known}") is None:
        raise ConversionError(f"{path} describes '{kind}', which mlx-lm {mlx_lm.__version__} does not know")
    return config


def _first(error: Exception) -> str:
    """An error in one line, without the list of all parameters."""
    text = told(error)
    return text if len(text) < 300 else f"{text[:300]} ..."


def quantize(checkpoint: Checkpoint, bits: int, group_size: int) -> None:
    """Quantize what mlx-lm would, layer by layer: each full weight is let go before the next is read.

    Errors: ConversionError for weights that are quantized already, other bits, or groups that fit none.
    """
    if bits not in (4, 8):
        raise ConversionError(f"bits={bits}; Core ML keeps blocks of 4 or 8 bits packed")
    model = checkpoint.model
    if any(hasattr(module, "bits") for _, module in model.named_modules()):
        raise ConversionError(
            f"the weights in {checkpoint.folder} are quantized already; leave out bits, or give the original"
        )
    wanted = getattr(model, "quant_predicate", lambda path, module: True)

    def chosen(path: str, module: nn.Module) -> bool | dict:
        fits = hasattr(module, "to_quantized") and not module.weight.shape[-1] % group_size
        return fits and wanted(path, module)

    with mx.stream(mx.cpu):
        nn.quantize(model, group_size, bits, class_predicate=chosen)
        found = [module for _, module in model.named_modules() if hasattr(module, "bits")]
        if not found:
            raise ConversionError(
                f"no layer has rows of whole groups of {group_size}; choose another group size"
            )
        for module in found:
            mx.eval(module.parameters())


def parameter_bytes(model: nn.Module) -> int:
    """The size of all weights in float16, quantized ones packed with their scales and biases."""
    sizes = 0
    for _, array in tree_flatten(model.parameters()):
        sizes += array.size * (2 if mx.issubdtype(array.dtype, mx.floating) else array.dtype.size)
    return math.ceil(sizes)
