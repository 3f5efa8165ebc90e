"""Checkpoint folders: config.json and weights in safetensors, made at random or given by the reader.

Both frameworks load the same folder, each by its own library.
https://huggingface.co/docs/transformers/main/en/model_doc/llama
"""

import hashlib
import json
import math
import shutil
from pathlib import Path

import safetensors
import safetensors.torch
import torch
import transformers

from twins.machine import process_memory
from twins.records.store import ROOT

MADE = ROOT / "data" / "raw" / "checkpoints"
BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "4-bit": 0.5625}  # a weight; 4-bit: with scales by 64
NEEDED = (  # sizes that a Llama's config.json must give
    *("hidden_size", "num_hidden_layers", "num_attention_heads"),
    *("intermediate_size", "vocab_size", "max_position_embeddings"),
)
ARCHITECTURES = {
    "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
    "whisper": (transformers.WhisperConfig, transformers.WhisperForConditionalGeneration),
}


def llama(width: int, layers: int, heads: int, groups: int, vocabulary: int, context: int) -> dict:
    """A config.json in TinyLlama's shape: its 2.75 times wider gated perceptron, untied head, grouped keys.

    The perceptron is rounded up to 64, so that it can be quantized. TinyLlama has width 2048, 22 layers, 32
    heads, 4 groups: https://huggingface.co/TinyLlama/TinyLlama-1.1B-Chat-v1.0
    """
    sizes = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads}
    sizes |= {
        "num_key_value_heads": groups,
        "intermediate_size": -(-11 * width // 256) * 64,
        "vocab_size": vocabulary,
    }
    rest = {"max_position_embeddings": context, "rms_norm_eps": 1e-5, "rope_theta": 10000.0}
    names = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "torch_dtype": "float32"}
    return (
        names | sizes | rest | {"tie_word_embeddings": False, "hidden_act": "silu", "attention_bias": False}
    )


def whisper(
    width: int, layers: int, heads: int, vocabulary: int, frames: int = 3000, context: int = 448
) -> dict:
    """A config.json in Whisper's shape; tiny has width 384, 4 layers, 6 heads, 51865 tokens, 3000 frames.

    https://huggingface.co/openai/whisper-tiny
    """
    sizes = {"d_model": width, "encoder_layers": layers, "decoder_layers": layers}
    sizes |= {"encoder_attention_heads": heads, "decoder_attention_heads": heads}
    sizes |= {"encoder_ffn_dim": 4 * width, "decoder_ffn_dim": 4 * width, "vocab_size": vocabulary}
    sizes |= {"max_source_positions": frames // 2, "max_target_positions": context, "num_mel_bins": 80}
    tokens = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), vocabulary - 1)
    names = {"model_type": "whisper", "architectures": ["WhisperForConditionalGeneration"]}
    return names | sizes | tokens | {"decoder_start_token_id": vocabulary - 2, "activation_function": "gelu"}


def made(config: dict, seed: int = 0) -> Path:
    """The folder of a model of this configuration with random weights, written once.

    Errors: MemoryError, OSError, with the estimate, when the weights are not free to be made or written.
    """
    digest = hashlib.sha256(json.dumps([config, seed], sort_keys=True).encode()).hexdigest()[:12]
    folder = MADE / f"{config['model_type']}-{digest}"
    if not (folder / "config.json").is_file():  # written last
        kind, model = ARCHITECTURES[config["model_type"]]
        with torch.device("meta"):
            size = 4 * sum(weight.numel() for weight in model(kind.from_dict(config)).parameters())
        process_memory.room(size, f"making a {config['model_type']} of this size")
        folder.mkdir(parents=True, exist_ok=True)
        if size > (free := shutil.disk_usage(folder).free):
            raise OSError(
                f"{folder.name} takes {size / 2**30:.1f} GiB on disk; {free / 2**30:.1f} GiB are free"
            )
        torch.manual_seed(seed)
        weights = model(kind.from_dict(config)).state_dict()
        tied = {"proj_out.weight"} if config["model_type"] == "whisper" else set()
        kept = {name: value.contiguous() for name, value in weights.items() if name not in tied}
        safetensors.torch.save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
        (folder / "config.json").write_text(json.dumps(config, indent=1))
    return folder


def config(folder: Path, model_type: str | None = None) -> dict:
    """A folder's configuration; any architecture that generates text where `model_type` is None.

    Errors: ValueError when a file is missing or the architecture is another.
    """
    if not (folder / "config.json").is_file():
        raise ValueError(f"checkpoint {folder.name} holds no config.json (it holds: {_listed(folder)})")
    weight_files(folder)
    try:
        found = json.loads((folder / "config.json").read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"config.json of checkpoint {folder.name} is no JSON ({error})") from None
    kind = found.get("model_type") if isinstance(found, dict) else None
    if kind is None or kind != (model_type or kind):
        raise ValueError(
            f"checkpoint {folder.name} is of the architecture {kind!r}, allowed is "
            f"{repr(model_type) if model_type else 'any that both libraries know, by `model_type`'}"
        )
    if "quantization" in found or "quantization_config" in found:
        raise ValueError(
            f"checkpoint {folder.name} is quantized already, which only one of the frameworks can read; "
            "allowed are weights in float32, float16 or bfloat16"
        )
    return found if model_type == "whisper" else _complete(folder, found)


def _listed(folder: Path) -> str:
    there = ", ".join(sorted(p.name for p in folder.glob("*"))) if folder.is_dir() else "no such folder"
    return there or "nothing"


def weight_files(folder: Path) -> list[Path]:
    """The files of a folder's weights: one, or the shards that its index names. Errors: ValueError."""
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.is_file():
        return [whole]
    if not index.is_file():
        raise ValueError(
            f"checkpoint {folder.name} holds no model.safetensors (it holds: {_listed(folder)}); "
            f"where the weights are in several files, {index.name} names them"
        )
    try:
        named = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{index.name} of checkpoint {folder.name} names no files by weight") from None
    missing = [name for name in named if Path(name).name != name or not (folder / name).is_file()]
    if missing or not named:
        raise ValueError(
            f"checkpoint {folder.name} lacks {', '.join(missing) or 'every file'} of {index.name} "
            f"(it holds: {_listed(folder)})"
        )
    return [folder / name for name in named]


def _complete(folder: Path, found: dict) -> dict:
    """A Llama's configuration, completed with the entries that its file may leave out."""
    missing = [name for name in NEEDED if not isinstance(found.get(name), int)]
    if missing:
        raise ValueError(f"config.json of checkpoint {folder.name} gives no number for {', '.join(missing)}")
    heads = found["num_attention_heads"]
    usual = {"num_key_value_heads": heads, "head_dim": found["hidden_size"] // heads}
    return found | {name: found.get(name) or value for name, value in usual.items()}


def shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every weight, from the headers of the files. Errors: ValueError."""
    found = {}
    for path in weight_files(folder):
        try:
            with safetensors.safe_open(path, "np") as file:
                found |= {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        except safetensors.SafetensorError as error:
            raise ValueError(
                f"{path.name} of checkpoint {folder.name} is broken or cut off ({error})"
            ) from None
    return found


def weight_bytes(folder: Path, dtype: str) -> int:
    """Bytes of a folder's weights in a type, from the sizes in its file's header. Errors: ValueError."""
    return int(sum(math.prod(shape) for shape in shapes(folder).values()) * BYTES[dtype])


def room(folder: Path, dtype: str, batch: int, length: int, models: int = 2) -> int:
    """Bytes that `models` Llamas need at once, each for `batch` sequences of `length` tokens.

    Weights, and for each the keys, values, logits and one layer's widest activations. Errors: MemoryError,
    with the estimate, when they are not free.
    """
    c = config(folder, "llama")
    cache = 2 * c["num_hidden_layers"] * c["num_key_value_heads"] * c["head_dim"]
    widest = c["vocab_size"] + 3 * c["intermediate_size"] + c["num_attention_heads"] * length
    needed = models * int(weight_bytes(folder, dtype) + 4 * batch * length * (cache + widest))
    return process_memory.room(
        needed, f"{folder.name} in {dtype} with {batch} sequences of {length} tokens, {models} at once,"
    )


def speech_room(folder: Path, dtype: str, models: int = 2) -> int:
    """Bytes that `models` Whispers need at once: weights, and one encoder layer's widest activations.

    Errors: MemoryError, with the estimate, when they are not free.
    """
    c = config(folder, "whisper")
    places = c["max_source_positions"]
    widest = places * (6 * c["d_model"] + c["encoder_ffn_dim"] + c["encoder_attention_heads"] * places)
    needed = models * int(weight_bytes(folder, dtype) + 4 * widest)
    return process_memory.room(needed, f"{folder.name} in {dtype} with {places} places, {models} at once,")


def check_length(folder: Path, prompt: int, new: int) -> None:
    """Errors: ValueError when a prompt and the tokens to generate do not fit into the model's context."""
    if prompt < 1 or new < 1:
        raise ValueError(f"a prompt of {prompt} tokens and {new} new ones; allowed is one and more of each")
    context = config(folder, "llama")["max_position_embeddings"]
    if prompt + new > context:
        raise ValueError(
            f"a prompt of {prompt} tokens and {new} new ones are longer than the context of "
            f"{folder.name}, {context}"
        )
