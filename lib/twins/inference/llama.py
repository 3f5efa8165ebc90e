"""A Llama of one checkpoint folder in mlx-lm and in transformers: prefill, decode steps, greedy tokens.

Both sides run the same explicit loop over their library's model and cache, because the loops of the libraries
differ in more than the framework: sampling, stop rules, streaming and detokenising.
https://github.com/ml-explore/mlx-lm and https://huggingface.co/docs/transformers/main/en/kv_cache
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import transformers
from transformers.cache_utils import DynamicCache, StaticCache

from twins.frameworks import MLX, TORCH
from twins.training import train

import mlx.core as mx  # isort: skip  (after twins.frameworks: the BLAS)
import mlx.nn as mnn  # isort: skip
from mlx_lm.models.cache import make_prompt_cache, trim_prompt_cache  # isort: skip
from mlx_lm.utils import load_model  # isort: skip
import torch  # isort: skip

QUANTIZED = "4-bit"
SAID = 300  # characters of a library's message that are kept
GROUP = 64  # weights that share a scale


class FixedCache:
    """A layer's keys and values at a fixed size, for mlx-lm's models: a compiled step serves every place.

    mx.compile reads and writes what lies in `arrays`; places from the offset on are masked.
    """

    def __init__(self, room: int):
        self.room = room
        self.arrays: dict[str, mx.array] = {}

    @property
    def offset(self) -> mx.array:
        """How many places are filled, as an array (): a number would be compiled as a constant."""
        return self.arrays.setdefault("offset", mx.array(0))

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        """Write keys and values (B, H, T, D) from the offset on; all places (B, H, room, D)."""
        start = self.offset.reshape(1)
        for name, new in (("keys", keys), ("values", values)):
            B, H, _, D = new.shape
            held = self.arrays.get(name, mx.zeros((B, H, self.room, D), new.dtype))
            self.arrays[name] = mx.slice_update(held, new, start, axes=[2])
        self.arrays["offset"] = self.offset + keys.shape[2]
        return self.arrays["keys"], self.arrays["values"]

    def make_mask(self, count: int, **options: object) -> mx.array:
        """Which places each of `count` new tokens sees, (count, room)."""
        return mx.arange(self.room) <= self.offset + mx.arange(count)[:, None]


class MlxSession:
    """mlx-lm's model with its growing cache, or with a fixed one and a compiled step."""

    name = "MLX"
    framework = MLX

    def __init__(self, folder: Path, dtype: str, room: int, static: bool = False):
        try:
            self.model, _ = load_model(folder)
        except ValueError as error:  # what mlx-lm says of weights that do not fit goes over several lines
            raise ValueError(f"checkpoint {folder.name}: {' '.join(str(error).split())[:SAID]}") from None
        if dtype == QUANTIZED:
            mnn.quantize(self.model, group_size=GROUP, bits=4)
        else:
            train.set_dtype(self.model, dtype)
        mx.eval(self.model.parameters())
        self.static, self.after = static, 0
        self.cache: list = [FixedCache(room) for _ in self.model.layers] if static else []
        self.forward: Callable = self._next
        if static:
            self.forward = MLX.compile(self._next, [layer.arrays for layer in self.cache])

    def _next(self, token: mx.array) -> mx.array:
        return self.model(token[:, None], cache=self.cache)[:, -1]

    def prefill(self, tokens: mx.array) -> mx.array:
        """Tokens (B, T) into an empty cache; logits (B, V) of the next token, evaluated."""
        self.after = 0
        if self.static:
            for layer in self.cache:
                layer.arrays.clear()  # the compiled step holds on to the dict
        else:
            self.cache = make_prompt_cache(self.model)
        logits = self.model(tokens, cache=self.cache)[:, -1]
        MLX.evaluate(logits, [layer.arrays if self.static else layer.state for layer in self.cache])
        return logits

    def step(self, token: mx.array) -> mx.array:
        """One token (B,) each; logits (B, V) of the next, evaluated."""
        self.after += 1
        logits = self.forward(token)
        mx.eval(logits)
        return logits

    def run(self, token: mx.array, count: int) -> mx.array:
        """`count` greedy steps, each started before the one before is done; tokens (B, count)."""
        made = []
        for _ in range(count):
            token = mx.argmax(self.forward(token), axis=-1)
            mx.async_eval(token)
            made.append(token)
        self.after += count
        return mx.stack(made, axis=1)

    def greedy(self, logits: mx.array) -> mx.array:
        """The likeliest token of each row."""
        return mx.argmax(logits, axis=-1)

    def rewind(self) -> None:
        """Forget what came after the prefill."""
        if self.static:
            for layer in self.cache:
                layer.arrays["offset"] = layer.offset - self.after
            mx.eval([layer.offset for layer in self.cache])
        else:
            trim_prompt_cache(self.cache, self.after)
        self.after = 0


class TorchSession:
    """transformers' model with its growing cache, or with a static one and a compiled step."""

    name = "PyTorch"
    framework = TORCH

    def __init__(self, folder: Path, dtype: str, room: int, static: bool = False):
        transformers.logging.disable_progress_bar()
        options = {"local_files_only": True, "use_safetensors": True, "attn_implementation": "sdpa"}
        options["dtype"] = TORCH.dtype(dtype)
        self.model = transformers.LlamaForCausalLM.from_pretrained(folder, **options).to(TORCH.device).eval()
        self.forward: Callable = TORCH.compile(self.model.forward) if static else self.model.forward
        self.static, self.room, self.after, self.cache = static, room, 0, None

    @torch.inference_mode()
    def prefill(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens (B, T) into a new cache; logits (B, V) of the next token."""
        options = {"config": self.model.config}
        static = partial(StaticCache, max_cache_len=self.room)
        self.cache, self.after = (static if self.static else DynamicCache)(**options), 0
        made = self.model(tokens, past_key_values=self.cache, use_cache=True, logits_to_keep=1)
        TORCH.synchronize()
        return made.logits[:, -1]

    @torch.inference_mode()
    def step(self, token: torch.Tensor) -> torch.Tensor:
        """One token (B,) each; logits (B, V) of the next."""
        self.after += 1
        logits = self.forward(token[:, None], past_key_values=self.cache, use_cache=True).logits[:, -1]
        TORCH.synchronize()
        return logits

    @torch.inference_mode()
    def run(self, token: torch.Tensor, count: int) -> torch.Tensor:
        """`count` greedy steps without waiting between them; tokens (B, count)."""
        made = []
        for _ in range(count):
            found = self.forward(token[:, None], past_key_values=self.cache, use_cache=True)
            token = found.logits[:, -1].argmax(-1)
            made.append(token)
        self.after += count
        return torch.stack(made, dim=1)

    def greedy(self, logits: torch.Tensor) -> torch.Tensor:
        """The likeliest token of each row."""
        return logits.argmax(-1)

    @torch.inference_mode()
    def rewind(self) -> None:
        """Forget what came after the prefill."""
        if self.after and self.static:
            for layer in self.cache.layers:  # places beyond the length are masked
                layer.cumulative_length.sub_(self.after)
        elif self.after:
            self.cache.crop(-self.after)
        self.after = 0


Session = MlxSession | TorchSession


def prompt(vocabulary: int, batch: int, length: int, seed: int = 0) -> np.ndarray:
    """Random tokens (B, T) int32: a model with random weights knows no text."""
    return np.random.default_rng([seed, length]).integers(0, vocabulary, (batch, length), dtype=np.int32)


def generate(session: Session, tokens: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` greedy tokens (B, count) after a prompt, and the logits (B, count, V) they were chosen from."""
    return chosen(session, session.prefill(session.framework.array(tokens)), count)


def chosen(session, logits, count: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` greedy tokens (B, count) from the first logits on, and the logits (B, count, V) of each."""
    made, seen = [], []
    for _ in range(count):
        token = session.greedy(logits)
        made.append(session.framework.numpy(token))
        seen.append(session.framework.numpy(logits))
        if len(made) < count:
            logits = session.step(token)
    return np.stack(made, axis=1), np.stack(seen, axis=1)
