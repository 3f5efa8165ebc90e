"""Greedy generation: with a package on the reference runtime, and with mlx-lm's own caches on the CPU."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlx.core as mx
import numpy as np

from mlx_coreml.ir.errors import ConversionError

if TYPE_CHECKING:
    import mlx.nn as nn

PREFILL, DECODE = "prefill", "decode"


class Generator:
    """A package of `export`, run by the reference runtime."""

    def __init__(self, package: str | Path, precision: str = "strict"):
        from coreml_runtime import load

        self.package = Path(package)
        self.decode = load(package, DECODE, precision)
        told = facts(package)
        self.context, self.chunk = int(told["context"]), int(told["prefill"])
        self.prefill = load(package, PREFILL, precision) if self.chunk > 1 else self.decode

    def stream(self, prompt: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """The likeliest tokens after a prompt, one by one, each with what the model returned for it.

        Whole chunks of the prompt go through prefill, the rest token by token. The series ends where the
        context does. Errors: ConversionError for a prompt that is empty or does not fit.
        """
        if not 0 < len(prompt) <= self.context:
            raise ConversionError(
                f"the prompt has {len(prompt)} tokens; {self.package} takes 1 to {self.context}"
            )
        state, tokens, done = self.decode.make_state(), list(prompt), 0
        while done < self.context:
            fits = self.chunk > 1 and done % self.chunk == 0 and len(tokens) - done >= self.chunk
            taken, model = (self.chunk, self.prefill) if fits else (1, self.decode)
            given = np.array([tokens[done : done + taken]], np.int32)
            fed = {"tokens": given, "position": np.array([done], np.int32)}
            (made,) = model.predict(fed, state).values()
            done += taken
            if done == len(tokens):
                tokens.append(int(made.reshape(-1)[0] if made.dtype.kind == "i" else made.argmax()))
                yield tokens[-1], made

    def generate(self, prompt: Sequence[int], count: int, stop: Sequence[int] = ()) -> list[int]:
        """At most `count` tokens after a prompt; one of `stop` is the last."""
        made: list[int] = []
        for token, _ in islice(self.stream(prompt), count):
            made.append(token)
            if token in stop:
                break
        return made


def facts(package: str | Path) -> dict[str, Any]:
    """What `export` wrote into a package: context, prefill, output, stop_tokens ...

    Errors: ConversionError for a package that is not one of a language model.
    """
    from coreml_runtime.format.package import open_package

    told = dict(open_package(package).specification.description.metadata.userDefined)
    if "language_model" not in told:
        raise ConversionError(f"{package} is not a package of `mlx-coreml llm`")
    return json.loads(told["language_model"])


def by_mlx(model: nn.Module, prompt: Sequence[int], count: int) -> Iterator[tuple[int, np.ndarray]]:
    """The likeliest tokens and their logits (vocabulary,) by mlx-lm's model and caches, on the CPU."""
    from mlx_lm.models.cache import make_prompt_cache

    with mx.stream(mx.cpu):
        cache = make_prompt_cache(model)
        tokens = mx.array([list(prompt)])
        for _ in range(count):
            logits = model(tokens, cache=cache)[0, -1].astype(mx.float32)
            mx.eval(logits)
            tokens = mx.argmax(logits)[None, None]
            yield int(tokens), np.array(logits)
