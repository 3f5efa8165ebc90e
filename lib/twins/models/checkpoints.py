"""Weights that others trained: a BERT checkpoint folder of Hugging Face transformers into either half.

The folder holds config.json and model.safetensors (https://huggingface.co/docs/safetensors). Names as in
transformers/models/bert/modeling_bert.py, also with the prefix "bert.", and gamma and beta for a LayerNorm's
weight and bias, as the first checkpoints have it. Pickle is not read: loading it can run any code.
"""

import json
import re
from pathlib import Path

import numpy as np
from safetensors import SafetensorError

from twins.models import bert, weights

import mlx.nn as mnn  # isort: skip  (after twins.models: the BLAS)
import safetensors.torch  # isort: skip
from torch import nn as tnn  # isort: skip

REQUIRED = {  # what bert.py computes with; a checkpoint of another value would load and be wrong
    "model_type": "bert",
    "hidden_act": "gelu",
    "layer_norm_eps": bert.LAYER_NORM_EPS,
    "type_vocab_size": bert.TYPES,
    "position_embedding_type": "absolute",
    "is_decoder": False,
}
DEFAULTS = REQUIRED | {  # of transformers' BertConfig; config.json may leave out what has its default
    "vocab_size": 30522,
    "max_position_embeddings": 512,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
}
# in the order of bert.Config
SIZES = ("vocab_size", "max_position_embeddings", "hidden_size", "num_hidden_layers", "num_attention_heads")
OTHER_HEADS = re.compile(r"cls\.|classifier\.|qa_outputs\.|(bert\.)?embeddings\.position_ids$")
OLD_NAMES = ((r"\.gamma$", ".weight"), (r"\.beta$", ".bias"))
NAMES = (  # transformers' -> ours, first match; query, key and value become one matrix after that
    (r"embeddings\.word_embeddings\.", "tokens."),
    (r"embeddings\.position_embeddings\.", "positions."),
    (r"embeddings\.token_type_embeddings\.", "types."),
    (r"embeddings\.LayerNorm\.", "norm."),
    (r"encoder\.layer\.(\d+)\.attention\.self\.", r"blocks.\1."),
    (r"encoder\.layer\.(\d+)\.attention\.output\.dense\.", r"blocks.\1.proj."),
    (r"encoder\.layer\.(\d+)\.attention\.output\.LayerNorm\.", r"blocks.\1.norm1."),
    (r"encoder\.layer\.(\d+)\.intermediate\.dense\.", r"blocks.\1.up."),
    (r"encoder\.layer\.(\d+)\.output\.dense\.", r"blocks.\1.down."),
    (r"encoder\.layer\.(\d+)\.output\.LayerNorm\.", r"blocks.\1.norm2."),
    (r"pooler\.dense\.", "pooler."),
)


def config(folder: Path, classes: int = 3) -> bert.Config:
    """The sizes of the checkpoint in a folder.

    Errors: ValueError, one sentence, for a missing or broken config.json or another architecture.
    """
    file = Path(folder) / "config.json"
    if not file.is_file():
        raise ValueError(f"{folder} holds no config.json; a checkpoint folder holds it and model.safetensors")
    try:
        given = DEFAULTS | json.loads(file.read_text("utf-8"))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{file} is not a JSON object ({error})") from None
    for name in SIZES:
        if not isinstance(given[name], int) or given[name] < 1:
            raise ValueError(f"{file}: {name} is {given[name]!r}; allowed is a whole number above 0")
    required = REQUIRED | {"intermediate_size": 4 * given["hidden_size"]}
    for name, value in required.items():
        if given.get(name) != value:
            raise ValueError(f"{file}: {name} is {given.get(name)!r}, bert.py computes with {value!r} only")
    return bert.Config(*(given[name] for name in SIZES), classes)


def encoder_weights(folder: Path) -> dict[str, np.ndarray]:
    """The encoder's weights under our names, half types as float32; other tasks' heads are left out.

    Errors: ValueError, one sentence, for a missing, broken or pickled file.
    """
    file = Path(folder) / "model.safetensors"
    if not file.is_file():
        pickled = (Path(folder) / "pytorch_model.bin").is_file()
        why = ", only pytorch_model.bin, a pickle, which can run any code and is not read" if pickled else ""
        raise ValueError(f"{folder} holds no model.safetensors{why}")
    try:
        found = safetensors.torch.load_file(file)  # NumPy has no bfloat16
    except SafetensorError as error:
        raise ValueError(f"{file} is not a safetensors file ({error})") from None
    kept = {_ours(name): weight for name, weight in found.items() if not OTHER_HEADS.match(name)}
    return _fused({k: (w.float() if w.is_floating_point() else w).numpy() for k, w in kept.items()})


def load(encoder: mnn.Module | tnn.Module, folder: Path) -> None:
    """Put a folder's weights into either half's encoder; strict.

    Errors: ValueError, one sentence, when a weight is missing, superfluous or of another shape.
    """
    put = weights.load_mlx if isinstance(encoder, mnn.Module) else weights.load_torch
    put(encoder, encoder_weights(folder))


def _ours(name: str) -> str:
    """Our name of a weight; one that is not in the table stays as it is, for the strict check to name."""
    name = name.removeprefix("bert.")
    for old, new in OLD_NAMES:
        name = re.sub(old, new, name)
    for theirs, ours in NAMES:
        if re.match(theirs, name):
            return re.sub(theirs, ours, name)
    return name


def _fused(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Query, key and value of a block stacked into qkv; what lacks one of the three stays as it is."""
    made = dict(found)
    for name in found:
        if ".query." in name:
            three = [name.replace(".query.", f".{part}.") for part in ("query", "key", "value")]
            if all(part in found for part in three):
                made[name.replace(".query.", ".qkv.")] = np.concatenate([made.pop(part) for part in three])
    return made
