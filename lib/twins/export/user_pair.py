"""A reader's own pair converted to Core ML: each half by its own routes, checked, or its error message.

https://apple.github.io/coremltools/docs-guides/source/convert-pytorch-workflow.html
"""

from collections.abc import Iterator

from twins.export import conversions
from twins.records.export_types import Conversion
from twins.timing import study
from twins.training import train

ROUTES = (conversions.DIRECT, "PyTorch, torch.jit.trace", "PyTorch, torch.export")


def half(model: str, framework: str) -> tuple:
    """The half of a pair in "MLX" or "PyTorch", on the CPU and evaluating, and one example without target."""
    twin = study.Study(model, {}, train.Recipe())
    arrays = twin.example(1)
    found = next(each for each in twin.apart() if each.framework.name == framework)
    inputs = list(found.batch(arrays))[:-1]
    if framework == "MLX":
        return found.model.eval(), inputs
    return found.model.to("cpu").eval(), [tensor.to("cpu").contiguous() for tensor in inputs]


def tasks(model: str, precisions: tuple[str, ...] = ("float32", "float16")) -> list[conversions.Task]:
    """What is to be converted: the pair, in each precision."""
    name = study.Study(model, {}, train.Recipe()).name
    source = "twins.export.user_pair:half"
    return [conversions.Task(name, source, {"model": model}, each) for each in precisions]


def exports(model: str, precisions: tuple[str, ...] = ("float32", "float16")) -> Iterator[Conversion]:
    """Both halves taken to Core ML: a Conversion for each precision, a failed one with its message.

    Nothing where the file does what no page can run (`study.trial`).
    """
    twin = study.Study(model, {}, train.Recipe())
    if study.trial(twin, [twin.example(1)]):
        return iter(())
    return conversions.along(ROUTES, tasks(model, precisions))
