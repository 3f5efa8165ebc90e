"""Checkpoint folders: config.json and model.safetensors, made with random weights or given by the reader.

Both frameworks load the same folder, each by its own library.
https://huggingface.co/docs/transformers/main/en/model_doc/llama
"""

import hashlib
import json
from pathlib import Path

import psutil
import safetensors.torch
import torch
import transformers

from twins.results import ROOT

MADE = ROOT / "data" / "raw" / "checkpoints"
MEMORY_SHARE = 0.7  # of what is free
BYTES = {
    "float32": 4,
    "float16": 2,
    "bfloat16": 2,
    "4-bit": 0.5625,
}  # a weight; 4-bit: with scales of groups of 64
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
    """The folder of a model of this configuration with random weights, written once."""
    digest = hashlib.sha256(json.dumps([config, seed], sort_keys=True).encode()).hexdigest()[:12]
    folder = MADE / f"{config['model_type']}-{digest}"
    if not (folder / "config.json").is_file():  # written last
        folder.mkdir(parents=True, exist_ok=True)
        kind, model = ARCHITECTURES[config["model_type"]]
        torch.manual_seed(seed)
        weights = model(kind.from_dict(config)).state_dict()
        tied = {"proj_out.weight"} if config["model_type"] == "whisper" else set()
        kept = {name: value.contiguous() for name, value in weights.items() if name not in tied}
        safetensors.torch.save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
        (folder / "config.json").write_text(json.dumps(config, indent=1))
    return folder


def config(folder: Path, model_type: str) -> dict:
    """A folder's configuration. Errors: ValueError when a file is missing or the architecture is another."""
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            there = (
                ", ".join(sorted(p.name for p in folder.glob("*"))) if folder.is_dir() else "no such folder"
            )
            raise ValueError(f"checkpoint {folder.name} holds no {name} (it holds: {there or 'nothing'})")
    found = json.loads((folder / "config.json").read_text())
    if found.get("model_type") != model_type:
        raise ValueError(
            f"checkpoint {folder.name} is of the architecture {found.get('model_type')!r}, "
            f"allowed is '{model_type}'"
        )
    return found


def weight_bytes(folder: Path, dtype: str) -> int:
    """Bytes of a folder's weights in a type, from the sizes in its file's header."""
    with safetensors.safe_open(folder / "model.safetensors", "np") as file:
        numbers = sum(
            int(torch.tensor(file.get_slice(name).get_shape()).prod())
            for name in file.keys()  # noqa: SIM118
        )
    return int(numbers * BYTES[dtype])


def room(folder: Path, dtype: str, batch: int, length: int) -> int:
    """Bytes that a Llama of each framework needs for `batch` sequences of `length` tokens.

    Two models, and for each the keys, values, logits and one layer's widest activations. Errors:
    MemoryError, with the estimate, when they are not free.
    """
    c = config(folder, "llama")
    depth = c["hidden_size"] // c["num_attention_heads"]
    cache = 2 * c["num_hidden_layers"] * c["num_key_value_heads"] * depth
    widest = c["vocab_size"] + 3 * c["intermediate_size"] + c["num_attention_heads"] * length
    needed = 2 * int(weight_bytes(folder, dtype) + 4 * batch * length * (cache + widest))
    free = psutil.virtual_memory().available
    if needed > MEMORY_SHARE * free:
        raise MemoryError(
            f"{folder.name} in {dtype} with {batch} sequences of {length} tokens is estimated to need "
            f"{needed / 2**30:.1f} GiB for both frameworks; {free / 2**30:.1f} GiB are free "
            f"and {MEMORY_SHARE:.0%} of that may be used"
        )
    return needed


def check_length(folder: Path, prompt: int, new: int) -> None:
    """Errors: ValueError when a prompt and the tokens to generate do not fit into the model's context."""
    context = config(folder, "llama")["max_position_embeddings"]
    if prompt + new > context:
        raise ValueError(
            f"a prompt of {prompt} tokens and {new} new ones are longer than the context of "
            f"{folder.name}, {context}"
        )
