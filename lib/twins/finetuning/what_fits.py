"""The largest Llama that trains on a Mac of some memory, by method, as calculated.

The shapes are public ones, so that a reader knows their sizes. A Mac's GPU may use what Metal recommends as
the working set. Reports of it: 2/3 of 16 and 32 GB (https://github.com/abetlen/llama-cpp-python/issues/687,
https://github.com/ollama/ollama/issues/434), 3/4 of 96 GB
(https://github.com/ggml-org/llama.cpp/issues/3213). Both frameworks go beyond it: PyTorch refuses at 1.7
times that size (https://docs.pytorch.org/docs/stable/mps_environment_variables.html), MLX begins to wait at
1.5 times (https://ml-explore.github.io/mlx/build/html/python/_autosummary/mlx.core.set_memory_limit.html);
either is more than the Mac has, so that it pages to disk.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from twins.records.record_types import Footprint
from twins.timing.statistics import FRAMEWORKS

MEMORIES = (8, 16, 24, 32, 64, 128)  # GB of Macs
SMALL, SMALL_SHARE, LARGE_SHARE = 32, 2 / 3, 3 / 4  # up to so many GB, and above
LENGTH = 1024  # tokens of the sequence that is asked about
NOT_MEASURED = "calculated for an Apple GPU, not measured"
PYTORCH_LIMIT, MLX_LIMIT = 1.7, 1.5  # times the recommended working set


@dataclass(frozen=True)
class Shape:
    """A public model's sizes, and where they are published."""

    name: str
    width: int
    layers: int
    heads: int
    groups: int
    inner: int
    vocabulary: int
    tied: bool
    source: str

    @property
    def config(self) -> dict:
        """Its config.json."""
        sizes = {"hidden_size": self.width, "num_hidden_layers": self.layers}
        sizes |= {"num_attention_heads": self.heads, "num_key_value_heads": self.groups}
        sizes |= {"intermediate_size": self.inner, "vocab_size": self.vocabulary}
        rest = {"max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "rope_theta": 10000.0}
        names = {"model_type": "llama", "hidden_act": "silu", "attention_bias": False}
        return names | sizes | rest | {"tie_word_embeddings": self.tied}


HUB = "https://huggingface.co"
SHAPES = (
    Shape("SmolLM2 135M", 576, 30, 9, 3, 1536, 49152, True, f"{HUB}/HuggingFaceTB/SmolLM2-135M"),
    Shape("SmolLM2 360M", 960, 32, 15, 5, 2560, 49152, True, f"{HUB}/HuggingFaceTB/SmolLM2-360M"),
    Shape("TinyLlama 1.1B", 2048, 22, 32, 4, 5632, 32000, False, f"{HUB}/TinyLlama/TinyLlama_v1.1"),
    Shape("SmolLM2 1.7B", 2048, 24, 32, 32, 8192, 49152, True, f"{HUB}/HuggingFaceTB/SmolLM2-1.7B"),
    Shape("Llama 3.2 3B", 3072, 28, 24, 8, 8192, 128256, True, f"{HUB}/meta-llama/Llama-3.2-3B"),
    Shape("Llama 3.1 8B", 4096, 32, 32, 8, 14336, 128256, False, f"{HUB}/meta-llama/Llama-3.1-8B"),
    Shape("Llama 2 13B", 5120, 40, 40, 40, 13824, 32000, False, f"{HUB}/meta-llama/Llama-2-13b-hf"),
    Shape("Code Llama 34B", 8192, 48, 64, 8, 22016, 32000, False, f"{HUB}/codellama/CodeLlama-34b-hf"),
    Shape("Llama 3.1 70B", 8192, 80, 64, 8, 28672, 128256, False, f"{HUB}/meta-llama/Llama-3.1-70B"),
)
METHODS = {  # heading -> method, type of what is not quantized, bits of the frozen base
    "full, float32": ("full", "float32", None),
    "full, bfloat16": ("full", "bfloat16", None),
    "LoRA, bfloat16": ("lora", "bfloat16", None),
    "QLoRA, 4 bits": ("qlora", "bfloat16", 4),
}


def working_set(memory_gb: int) -> float:
    """Bytes that Metal is reported to recommend on a Mac of so many GB."""
    return memory_gb * 2**30 * (SMALL_SHARE if memory_gb <= SMALL else LARGE_SHARE)


def largest(found: Sequence[Footprint], budget: float, heading: str, framework: str) -> str:
    """The name of the largest shape that needs no more than `budget` bytes; "none" where none does."""
    asked = heading, framework, NOT_MEASURED
    own = [r for r in found if (r.case.get("heading"), r.framework, r.source) == asked]
    fitting = [r.shape for r in own if r.calculated <= budget]
    return fitting[-1] if fitting else "none"


def table(found: Sequence[Footprint]) -> pd.DataFrame:
    """The largest shape by memory and method; each framework's where they differ."""
    rows = []
    for memory in MEMORIES:
        row = {"memory, GB": str(memory)}
        for heading in METHODS:
            names = {each: largest(found, working_set(memory), heading, each) for each in FRAMEWORKS}
            same = len(set(names.values())) == 1
            row[heading] = (
                names[FRAMEWORKS[0]] if same else "; ".join(f"{who}: {name}" for who, name in names.items())
            )
        rows.append(row)
    return pd.DataFrame(rows)
