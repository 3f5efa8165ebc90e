"""A fine-tuned model with its adapters merged, taken to Core ML from both frameworks and checked."""

from collections.abc import Iterator, Sequence

import torch

from twins.export import conversions
from twins.finetuning import merging
from twins.finetuning.tuning import Tuning, from_plain, plain
from twins.frameworks import TORCH, on
from twins.records.export_types import Conversion
from twins.training import train

ROUTES = (conversions.DIRECT, "PyTorch, torch.export", "PyTorch, torch.jit.trace")


class Masked(torch.nn.Module):
    """A language model of transformers that is given its causal mask: ids (B, T) -> logits (B, T, V).

    Of the masks that it makes itself coremltools 9.0 converts none: it lacks their diff and new_ones.
    """

    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        length = ids.shape[1]
        mask = torch.full((1, 1, length, length), torch.finfo(torch.float16).min).triu(1)
        return self.model(input_ids=ids, attention_mask=mask, use_cache=False).logits


def half(tuning: dict, steps: int, length: int, framework: str) -> tuple:
    """A conversion's source: a half on the CPU, trained for a few steps and merged, and ids (1, length)."""
    made = from_plain(tuning)
    with on("cpu"):
        found = next(each for each in made.halves() if each.framework.name == framework)
        train.fit(found, made.examples(2, steps, length))
        model = merging.merged(found)
        model = Masked(model.model).eval() if found.framework is TORCH else model
        return model, found.hand_over([made.examples(1, 1, length)[0][0]])


def exports(
    tuning: Tuning, steps: int, length: int, precisions: Sequence[str] = conversions.PRECISIONS
) -> Iterator[Conversion]:
    """Both merged halves taken to Core ML and checked: a Conversion each, a failed one with its message."""
    source = "twins.export.finetuned:half"
    asked = {"tuning": plain(tuning), "steps": steps, "length": length}
    tasks = [conversions.Task(f"merged {tuning.label}", source, asked, each) for each in precisions]
    yield from conversions.along(ROUTES, tasks)
