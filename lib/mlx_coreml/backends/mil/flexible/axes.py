"""Flexible shapes: which axes of the inputs may have which sizes, and the sizes to look at for all of them.

https://apple.github.io/coremltools/docs-guides/source/flexible-inputs.html
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import coremltools as ct
import mlx.core as mx

from mlx_coreml.backends.mil.images import Image
from mlx_coreml.ir.errors import ConversionError, dictionary
from mlx_coreml.ir.graph import Graph

ENUMERATED_LIMIT = 128  # Core ML's
FRACTIONS = (0.62, 0.37, 0.21)  # of a range: where else than at its end the model is looked at
Sizes = dict[tuple[int, int], int]  # size by input, as an index, and axis


@dataclass(frozen=True)
class Axis:
    """One axis of one input: a range from the first to the last of its sizes, or exactly these sizes."""

    input: int
    axis: int
    sizes: tuple[int, ...]
    is_range: bool

    @property
    def place(self) -> tuple[int, int]:
        """The input and axis, for messages."""
        return self.input, self.axis


def read_axes(given: Mapping[str, Mapping], graph: Graph, target: ct.target) -> list[Axis]:
    """The axes of `convert(flexible=...)`. Errors: ConversionError for what is no input, axis, range or
    list of sizes, or does not hold the example's size, and for what Core ML does not combine.
    """
    names, axes = [tensor.name for tensor in graph.inputs], []
    for name, sizes in dictionary(given, "flexible").items():
        if name not in names:
            close = get_close_matches(str(name), names, 1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            raise ConversionError(f"flexible names input '{name}'; the inputs are {', '.join(names)}{hint}")
        shape = graph.inputs[names.index(name)].shape
        if isinstance(sizes, list | tuple) and _by_axis(sizes, shape):
            sizes = {i: each for i, each in enumerate(sizes) if not isinstance(each, int)}
        if not isinstance(sizes, Mapping):
            raise ConversionError(f"flexible['{name}'] is {sizes!r}; allowed is {{axis: range or list}}")
        for axis, allowed in sizes.items():
            if not isinstance(axis, int) or axis not in range(len(shape)):
                raise ConversionError(
                    f"flexible: axis {axis!r} of '{name}', which has axes 0 to {len(shape) - 1}"
                )
            axes.append(_axis(names.index(name), name, axis, shape[axis], allowed))
    _check_combined(axes, names, target)
    return axes


def _by_axis(sizes: Sequence, shape: Sequence[int]) -> bool:
    """Whether there is one entry for each axis: the example's own size, a range, or a list of sizes."""
    if len(sizes) != len(shape):
        return False
    return all(isinstance(each, list | tuple) or each == n for each, n in zip(sizes, shape, strict=True))


def _axis(index: int, name: str, axis: int, size: int, allowed: Sequence[int]) -> Axis:
    where, is_range = f"flexible['{name}'][{axis}]", isinstance(allowed, tuple)
    listed = isinstance(allowed, list | tuple) and all(type(n) is int and n >= 1 for n in allowed)
    ascending = listed and list(allowed) == sorted(set(allowed))
    if not ascending or len(allowed) < 2 or (is_range and len(allowed) > 2):
        raise ConversionError(
            f"{where} is {allowed}; allowed are a range (lowest, highest) and a list [size, larger size, ...]"
        )
    if len(allowed) > ENUMERATED_LIMIT:
        raise ConversionError(f"{where} lists {len(allowed)} sizes; Core ML takes up to {ENUMERATED_LIMIT}")
    held = allowed[0] <= size <= allowed[1] if is_range else size in allowed
    if not held:
        raise ConversionError(f"{where} is {allowed}, which does not hold the example's size {size}")
    return Axis(index, axis, tuple(allowed), is_range)


def _check_combined(axes: Sequence[Axis], names: Sequence[str], target: ct.target) -> None:
    listed = [axis for axis in axes if not axis.is_range]
    for axis in listed:
        if any(other.input == axis.input and other.is_range for other in axes):
            raise ConversionError(
                f"flexible['{names[axis.input]}'] has a range and a list; Core ML takes one kind per input"
            )
        if len(axis.sizes) != len(listed[0].sizes):
            raise ConversionError(
                f"flexible lists {len(listed[0].sizes)} and {len(axis.sizes)} sizes; lists belong together, "
                "first with first, and need as many"
            )
    if len({axis.input for axis in listed}) > 1 and target < ct.target.iOS18:
        raise ConversionError(
            "several inputs with lists of sizes need deployment_target iOS18 or later, "
            f"given is {target.name}; ranges do not"
        )


def independent(axes: Sequence[Axis]) -> list[list[Axis]]:
    """Groups of axes that vary together: each range alone, all lists as one group."""
    listed = [axis for axis in axes if not axis.is_range]
    return [[axis] for axis in axes if axis.is_range] + ([listed] if listed else [])


def tied(axes: Sequence[Axis]) -> list[list[Axis]]:
    """Groups of axes that vary together: axes with the same range are one group."""
    groups: dict[tuple, list[Axis]] = {}
    for axis in axes:
        groups.setdefault(axis.sizes if axis.is_range else (), []).append(axis)
    return list(groups.values())


def probes(groups: Sequence[Sequence[Axis]], avoid: Collection[int], beyond: int = 0) -> list[Sizes]:
    """The sizes at which the model is lowered, the largest first, without the ambiguous ones in `avoid`."""
    count = 3 if len(groups) == 1 else 4
    columns = []
    for i, group in enumerate(groups):
        ranged = group[0].is_range
        columns.append(_ranged(group, i, count, avoid, beyond) if ranged else _listed(group, count))
    length = max(len(column) for column in columns)
    return [
        {place: size for column in columns for place, size in column[min(k, len(column) - 1)].items()}
        for k in range(length)
    ]


def apart(groups: Sequence[Sequence[Axis]]) -> Sizes:
    """One size per range, none of them 1 and no two equal, where the ranges leave a choice."""
    chosen: Sizes = {}
    for group in groups:
        low, high = group[0].sizes[0], group[0].sizes[-1]
        ends = [high, low, *range(high - 1, low, -1)] if group[0].is_range else [high]
        free = [n for n in ends if n > 1 and n not in chosen.values()] or ends
        chosen |= {axis.place: axis.sizes[-1] if not axis.is_range else free[0] for axis in group}
    return chosen


def _listed(group: Sequence[Axis], count: int) -> list[Sizes]:
    """Lists, at their last, first and middle entries."""
    last = len(group[0].sizes) - 1
    places = dict.fromkeys([last, 0, last // 2, last // 3][:count])
    return [{axis.place: axis.sizes[i] for axis in group} for i in places]


def _ranged(
    group: Sequence[Axis], number: int, count: int, avoid: Collection[int], beyond: int
) -> list[Sizes]:
    low, high = group[0].sizes
    chosen = [high + beyond]
    used = FRACTIONS[: count - 1]
    for k in range(len(used)):  # in another order for each range: sizes that vary alike are taken for one
        start = low + int((used[(k + number) % len(used)] - 0.04 * number) * (high - low))
        free = [n for n in [*range(start, high), *range(start, low - 1, -1)] if n not in chosen]
        good = [n for n in free if n > 1 and n not in avoid] or free
        chosen += good[:1]
    return [{axis.place: size for axis in group} for size in chosen]


def extremes(groups: Sequence[Sequence[Axis]]) -> list[Sizes]:
    """All lengths at their least, and all at their greatest."""
    return [{axis.place: axis.sizes[end] for group in groups for axis in group} for end in (0, -1)]


def resized(arrays: Sequence[mx.array], sizes: Sizes) -> list[mx.array]:
    """The arrays at other sizes: they are cut off or repeated."""
    made = list(arrays)
    for (i, axis), size in sizes.items():
        made[i] = mx.take(made[i], mx.arange(size) % made[i].shape[axis], axis)
    return made


def features(
    axes: Sequence[Axis], graph: Graph, images: Mapping[str, Image]
) -> list[ct.TensorType | ct.ImageType]:
    """The descriptions of the flexible inputs and of the images, for coremltools."""
    made = []
    for i, tensor in enumerate(graph.inputs):
        own = [axis for axis in axes if axis.input == i]
        image = images.get(tensor.name)
        if not own and image is None:
            continue
        order = [0, 3, 1, 2] if image else list(range(tensor.rank))
        shape = _shape(own, tensor.shape, order)
        made.append(image.feature(tensor.name, shape) if image else ct.TensorType(tensor.name, shape))
    return made


def _shape(axes: Sequence[Axis], example: tuple[int, ...], order: Sequence[int]):
    """The shape for Core ML of an input whose axes are permuted."""
    if not axes:
        return tuple(example[a] for a in order)
    if axes[0].is_range:
        sizes: list = list(example)
        for axis in axes:
            sizes[axis.axis] = ct.RangeDim(*axis.sizes, default=example[axis.axis])
        return ct.Shape([sizes[a] for a in order])
    listed = []
    for place in range(len(axes[0].sizes)):
        by_axis = {axis.axis: axis.sizes[place] for axis in axes}
        listed.append(tuple(by_axis.get(a, example[a]) for a in order))
    return ct.EnumeratedShapes(listed, default=tuple(example[a] for a in order))
