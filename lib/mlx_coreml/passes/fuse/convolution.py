"""Makes MIL's convolutions of MLX's one primitive, and fuses the padding before them.

`Convolution` dilates its input, pads it, and correlates it with the dilated kernel at the strides (with the
flipped kernel when it is a convolution in the strict sense). A transposed convolution is one whose input is
dilated. https://ml-explore.github.io/mlx/build/html/python/_autosummary/mlx.core.conv_general.html
"""

from dataclasses import dataclass, replace

import numpy as np

from mlx_coreml.ir.errors import ConversionError
from mlx_coreml.ir.graph import Graph, Node, Tensor, constant
from mlx_coreml.passes.layout.channels import moved, permuted, to_first, to_last
from mlx_coreml.passes.rewriting.rewrite import made_by, replaced, rewrite, scalar, step

SPATIAL = slice(1, -1)


@dataclass(frozen=True)
class Window:
    """The arguments of a Convolution, one number per spatial axis."""

    strides: list[int]
    low: list[int]
    high: list[int]
    dilation: list[int]
    spread: list[int]
    groups: int
    flip: bool


def fuse_convolutions(graph: Graph) -> None:
    """Make every Convolution a channels-first "conv" or "conv_transpose", with padding before it folded in.

    Their inputs are x, weight and, if there is one, bias; the weight is (out, in / groups, ...) for the first
    and (in, out / groups, ...) for the second. Their arguments: strides, pairs of padding, dilations, groups.
    """
    rewrite(graph, {"Convolution": [_with_padding]})
    rewrite(graph, {"Convolution": [_convolution]})


def _with_padding(node: Node) -> list[Node] | None:
    """Zeros around the spatial axes of x become the convolution's own."""
    pad = made_by(node.inputs[0], "Pad")
    if pad is None or scalar(pad.inputs[1]) != 0:
        return None
    w = Window(*node.unpack(7))
    rank = node.output.rank
    around = [(0, 0)] * rank
    for axis, low, high in zip(*pad.unpack(3), strict=True):
        around[axis] = (low, high)
    if any(map(any, (around[0], around[-1]))):
        return None
    sides = [[pair[side] * s for pair, s in zip(around[SPATIAL], w.spread, strict=True)] for side in (0, 1)]
    w = replace(
        w, **{name: _sum(getattr(w, name), side) for name, side in zip(("low", "high"), sides, strict=True)}
    )
    return [replaced(node, "Convolution", [pad.inputs[0], *node.inputs[1:]], *vars(w).values())]


def _sum(a: list[int], b: list[int]) -> list[int]:
    return [i + j for i, j in zip(a, b, strict=True)]


def _convolution(node: Node) -> list[Node]:
    """Errors: ConversionError for a kernel beyond its input, where MLX reads past the end."""
    w = Window(*node.unpack(7))
    x, weight, *bias = node.inputs
    steps: list[Node] = []
    for axis, (size, kernel) in enumerate(zip(_padded_sizes(x, w), _reaches(weight, w), strict=True), 1):
        if size <= kernel:
            raise ConversionError(
                f"{node.where} has a kernel that covers {kernel + 1} elements of axis {axis}, which has "
                f"{size} with its padding; at least {kernel + 1} are needed"
            )
    if weight.value is not None and any(s > 1 for s in w.spread):
        return _transposed(node, w)
    if weight.value is None:
        x, weight = _stuffed(node, steps, x, w.spread), _stuffed(node, steps, weight, w.dilation)
        w = replace(w, dilation=[1] * len(w.dilation))
    if w.flip:
        weight = _flipped(node, steps, weight)
    weight = _channels_first(node, steps, weight)
    pads = [p for pair in zip(w.low, w.high, strict=True) for p in pair]
    first = moved(node, x, to_first(x.rank))
    core = step(
        node, "conv", [first.output, weight, *bias], permuted(node.output.shape, to_first(x.rank)),
        w.strides, pads, w.dilation, w.groups,
    )  # fmt: skip
    return [*steps, first, core, replaced(node, "Transpose", [core.output], to_last(x.rank))]


def _padded_sizes(x: Tensor, w: Window) -> list[int]:
    """Elements of each spatial axis, dilated and padded."""
    sides = zip(x.shape[SPATIAL], w.spread, w.low, w.high, strict=True)
    return [(n - 1) * s + 1 + low + high for n, s, low, high in sides]


def _reaches(weight: Tensor, w: Window) -> list[int]:
    """How far the dilated kernel reaches from its first element."""
    return [d * (k - 1) for d, k in zip(w.dilation, weight.shape[SPATIAL], strict=True)]


def _channels_first(node: Node, steps: list[Node], weight: Tensor) -> Tensor:
    if weight.value is not None:
        return constant(weight.numpy().transpose(to_first(weight.rank)), weight.name)
    steps.append(moved(node, weight, to_first(weight.rank)))
    return steps[-1].output


def _flipped(node: Node, steps: list[Node], weight: Tensor) -> Tensor:
    """The weight with its spatial axes reversed."""
    if weight.value is not None:
        return constant(np.flip(weight.numpy(), range(1, weight.rank - 1)).copy(), weight.name)
    spatial, shape = range(1, weight.rank - 1), weight.shape
    start, end, strides = (
        [there if axis in spatial else other for axis, (there, other) in enumerate(pairs)]
        for pairs in (
            [(n - 1, 0) for n in shape], [(-n - 1, n) for n in shape], [(-1, 1) for _ in shape],
        )
    )  # fmt: skip
    steps.append(step(node, "Slice", [weight], shape, tuple(start), tuple(end), tuple(strides)))
    return steps[-1].output


def _stuffed(node: Node, steps: list[Node], x: Tensor, factors: list[int]) -> Tensor:
    """A channels-last tensor with zeros between the elements of its spatial axes."""
    zero = constant(np.zeros((), np.float32))
    for axis, factor in enumerate(factors, 1):
        if factor == 1:
            continue
        before, size, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
        column = (int(np.prod(before)), size, 1, int(np.prod(after)))
        steps.append(step(node, "Reshape", [x], column, column))
        wide = (column[0], size, factor, column[3])
        steps.append(step(node, "Pad", [steps[-1].output, zero], wide, [2], (0,), (factor - 1,)))
        joined = (*before, size * factor, *after)
        steps.append(step(node, "Reshape", [steps[-1].output], joined, joined))
        kept = (*before, (size - 1) * factor + 1, *after)
        steps.append(step(node, "Slice", [steps[-1].output], kept, (0,) * x.rank, kept, (1,) * x.rank))
        x = steps[-1].output
    return x


def _transposed(node: Node, w: Window) -> list[Node]:
    """A convolution of a dilated input: what MIL's conv_transpose makes, cropped or extended, then strided.

    conv_transpose pads the dilated input by dilation * (kernel - 1) and crops its result by `pad`.
    """
    x, weight, *bias = node.inputs
    rank = x.rank
    kernel = weight.numpy() if w.flip else np.flip(weight.numpy(), range(1, rank - 1))
    reach = _reaches(weight, w)
    crop = [r - p for r, pair in zip(reach, zip(w.low, w.high, strict=True), strict=True) for p in pair]
    kept, more = [max(c, 0) for c in crop], [max(-c, 0) for c in crop]
    sizes = [(n - 1) * s + 1 + r for n, s, r in zip(x.shape[SPATIAL], w.spread, reach, strict=True)]
    made = [n - low - high for n, low, high in zip(sizes, kept[::2], kept[1::2], strict=True)]
    batch, channels = x.shape[0], weight.shape[0]
    inside = [] if any(more) else bias
    steps = [moved(node, x, to_first(rank))]
    inputs = [steps[0].output, constant(_transposed_kernel(kernel, w.groups), weight.name), *inside]
    steps.append(
        step(node, "conv_transpose", inputs, (batch, channels, *made), w.spread, kept, w.dilation, w.groups)
    )
    if any(more):
        steps += _extended(node, steps[-1].output, more, bias)
    if any(s > 1 for s in w.strides):
        wide = steps[-1].output.shape
        shape = permuted(node.output.shape, to_first(rank))
        steps.append(step(node, "Slice", [steps[-1].output], shape, (0,) * rank, wide, (1, 1, *w.strides)))
    return [*steps, replaced(node, "Transpose", [steps[-1].output], to_last(rank))]


def _extended(node: Node, x: Tensor, more: list[int], bias: list[Tensor]) -> list[Node]:
    """Where the kernel reaches no input: zeros, and the bias."""
    low, high = tuple(more[::2]), tuple(more[1::2])
    shape = (*x.shape[:2], *(n + a + b for n, a, b in zip(x.shape[2:], low, high, strict=True)))
    zero = constant(np.zeros((), np.float32))
    steps = [step(node, "Pad", [x, zero], shape, list(range(2, x.rank)), low, high)]
    for value in bias:
        column = constant(value.numpy().reshape(-1, *[1] * (x.rank - 2)), value.name)
        steps.append(step(node, "Add", [steps[0].output, column], shape))
    return steps


def _transposed_kernel(kernel: np.ndarray, groups: int) -> np.ndarray:
    """(out, ..., in / groups) -> (in, out / groups, ...)."""
    out, *sizes, inputs = kernel.shape
    split = np.moveaxis(kernel.reshape(groups, out // groups, *sizes, inputs), -1, 1)
    return np.ascontiguousarray(split.reshape(groups * inputs, out // groups, *sizes))
