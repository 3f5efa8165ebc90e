"""A fine-tuned model with its adapters merged, taken to Core ML from both frameworks and checked."""

from collections.abc import Iterator, Sequence

from twins.export import conversions
from twins.finetuning import merging
from twins.finetuning.tuning import Tuning, from_plain, plain
from twins.frameworks import on
from twins.records.record_types import Conversion
from twins.training import train

ROUTES = (conversions.DIRECT, "PyTorch, torch.jit.trace")


def half(tuning: dict, steps: int, length: int, framework: str) -> tuple:
    """A conversion's source: a half on the CPU, trained for a few steps and merged, and ids (1, length)."""
    made = from_plain(tuning)
    with on("cpu"):
        found = next(each for each in made.halves() if each.framework.name == framework)
        train.fit(found, made.examples(2, steps, length))
        return merging.merged(found), found.hand_over([made.examples(1, 1, length)[0][0]])


def exports(
    tuning: Tuning, steps: int, length: int, precisions: Sequence[str] = conversions.PRECISIONS
) -> Iterator[Conversion]:
    """Both merged halves taken to Core ML and checked: a Conversion each, a failed one with its message."""
    source = "twins.export.finetuned:half"
    asked = {"tuning": plain(tuning), "steps": steps, "length": length}
    tasks = [conversions.Task(f"merged {tuning.label}", source, asked, each) for each in precisions]
    yield from conversions.along(ROUTES, tasks)
