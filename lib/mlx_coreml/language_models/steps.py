"""One call of a language model as a function of arrays: tokens, their position and the caches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mlx.core as mx

from mlx_coreml.language_models.fixed_caches import Sizes, arrays_of, fixed, kept_by, unpacked
from mlx_coreml.language_models.positions import Position, positions_are_arrays

import mlx.nn as nn  # isort: skip

OUTPUTS = ("logits", "token")
PROBE = 8  # tokens of the call that shows what a cache keeps: more than the ones some keep whole


@dataclass(frozen=True)
class Layout:
    """mlx-lm's caches after one use, and what each keeps between calls: shape and type by name."""

    caches: list[Any]
    kept: dict[str, dict[str, tuple[tuple[int, ...], mx.Dtype]]]
    sizes: Sizes

    @property
    def has_rings(self) -> bool:
        """Whether a window is a ring, with fewer slots than the context has tokens."""
        shapes = [kept["keys"][0] for kept in self.kept.values() if "keys" in kept]
        return any(shape[2] < self.sizes.context for shape in shapes)

    def empty(self) -> dict[str, dict[str, mx.array]]:
        """The arrays of all caches before the first token."""
        return {
            name: {part: mx.zeros(shape, dtype) for part, (shape, dtype) in parts.items()}
            for name, parts in self.kept.items()
        }


def layout_of(model: nn.Module, sizes: Sizes) -> Layout:
    """What a model's caches keep; the model is called lazily, nothing is computed."""
    from mlx_lm.models.cache import make_prompt_cache

    with mx.stream(mx.cpu):
        used = [unpacked(each) for each in make_prompt_cache(model)]
        model(mx.ones((1, PROBE), mx.int32), cache=used)
    kept = {f"layer_{i}": arrays_of(each, sizes) for i, each in enumerate(used)}
    return Layout(used, {name: parts for name, parts in kept.items() if parts}, sizes)


class Step(nn.Module):
    """Takes tokens (1, n), the position of the first (1,) and the caches by layer.

    Returns what comes next, the logits (1, vocabulary) or the likeliest token (1,), and the caches.
    """

    def __init__(self, model: nn.Module, layout: Layout, output: str):
        super().__init__()
        self.model = model
        self._layout, self._output = layout, output

    def __call__(self, tokens: mx.array, position: mx.array, cache: dict) -> tuple[mx.array, dict]:
        layout = self._layout
        context = layout.sizes.context
        where = Position(position.reshape(()))
        made = [
            fixed(each, cache.get(f"layer_{i}", {}), where, context) for i, each in enumerate(layout.caches)
        ]
        with positions_are_arrays(context):
            logits = self.model(tokens, cache=made)
        logits = logits[:, -1]
        kept = {
            name: {
                part: array.astype(parts[part][1])
                for part, array in kept_by(made[int(name.removeprefix("layer_"))], list(parts)).items()
            }
            for name, parts in layout.kept.items()
        }
        return (mx.argmax(logits, -1) if self._output == "token" else logits), kept
