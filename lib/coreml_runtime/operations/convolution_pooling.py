"""Convolutions and poolings over 1 to 3 spatial dimensions, with the padding that they share."""

import math

import torch
import torch.nn.functional as F

from coreml_runtime.format.package import unpack_bits
from coreml_runtime.operations.activation import per_channel
from coreml_runtime.operations.registry import Ints, Tensor, operation

CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
CONV_TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


@operation("conv")
def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    strides: Ints | None = None,
    pad_type: str = "valid",
    pad: Ints | None = None,
    dilations: Ints | None = None,
    groups: int = 1,
):
    rank = x.dim() - 2
    strides, dilations = strides or (1,) * rank, dilations or (1,) * rank
    pads = window_padding(pad_type, pad, x.shape[2:], weight.shape[2:], strides, dilations)
    before, after = pads[::2], pads[1::2]
    if before != after:
        x, before = F.pad(x, last_axis_first(pads)), (0,) * rank
    return CONV[rank](x, weight, bias, strides, before, dilations, groups)


@operation("conv_quantized")
def conv_quantized(
    x: Tensor,
    weight: Tensor,
    quantization_type: str,
    quant_scale: Tensor,
    quant_bias: Tensor,
    nbits: int = 8,
    bias: Tensor | None = None,
    strides: Ints | None = None,
    pad_type: str = "valid",
    pad: Ints | None = None,
    dilations: Ints | None = None,
    groups: int = 1,
):
    if quantization_type != "linear":
        raise ValueError(
            f"quantization_type '{quantization_type}' is undocumented in MIL; 'linear' is supported"
        )
    if nbits != 8:
        weight = torch.from_numpy(
            unpack_bits(weight.numpy().reshape(-1), weight.numel(), nbits, signed=False)
        )
        weight = weight.reshape(weight.shape)
    scale, shift = (_per_output(value, weight) for value in (quant_scale, quant_bias))
    dense = weight.to(x.dtype) * scale + shift
    bias = None if bias is None else bias.to(x.dtype)
    return conv(x, dense, bias, strides, pad_type, pad, dilations, groups)


@operation("conv_transpose")
def conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    pad: Ints | None = None,
    output_shape: Ints | None = None,
    pad_type: str = "valid",
    strides: Ints | None = None,
    dilations: Ints | None = None,
    groups: int = 1,
):
    rank = x.dim() - 2
    strides, dilations = strides or (1,) * rank, dilations or (1,) * rank
    y = CONV_TRANSPOSE[rank](x, weight, None, strides, 0, 0, groups, dilations)
    pads = pad if pad_type == "custom" and pad else (0,) * (2 * rank)
    for i in range(rank):
        full = y.shape[2 + i]
        wanted = full - pads[2 * i] - pads[2 * i + 1]
        if output_shape:
            wanted = output_shape[2 + i]
        elif pad_type == "same":
            wanted = x.shape[2 + i] * strides[i]
        start = max(0, full - wanted) // 2 if pad_type == "same" else pads[2 * i]
        y = _window(y, 2 + i, start, wanted)
    return y if bias is None else y + per_channel(bias, y)


def window_padding(
    pad_type: str, pad: Ints | None, sizes: Ints, kernel: Ints, strides: Ints, dilations: Ints
) -> tuple[int, ...]:
    """Elements before and after each dimension; of an odd total `same` puts the larger part after."""
    if pad_type == "custom":
        return tuple(pad or (0,) * (2 * len(kernel)))
    if pad_type == "valid":
        return (0,) * (2 * len(kernel))
    pads = []
    for size, k, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        total = max(0, (math.ceil(size / stride) - 1) * stride + (k - 1) * dilation + 1 - size)
        less, more = total // 2, total - total // 2
        pads += [less, more] if pad_type == "same" else [more, less]
    return tuple(pads)


def last_axis_first(pads: Ints) -> list[int]:
    """MIL's order of (before, after) pairs, first dimension first, in the order of torch's `pad`."""
    pairs = [pads[i : i + 2] for i in range(0, len(pads), 2)]
    return [value for pair in reversed(pairs) for value in pair]


def _window(y: Tensor, axis: int, start: int, size: int) -> Tensor:
    """`size` elements from `start`; zeros where a requested output shape reaches past the end."""
    missing = start + size - y.shape[axis]
    if missing > 0:
        y = F.pad(y, [0, 0] * (y.dim() - 1 - axis) + [0, missing])
    return y.narrow(axis, start, size)


def _per_output(value: Tensor, weight: Tensor) -> Tensor:
    return value if value.dim() == 0 else value.reshape(-1, *[1] * (weight.dim() - 1))


MAX_POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVG_POOL = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


@operation("max_pool", arithmetic=False)
def max_pool(
    x: Tensor,
    kernel_sizes: Ints,
    pad_type: str,
    strides: Ints | None = None,
    pad: Ints | None = None,
    ceil_mode: bool = False,
):
    strides, pads, overhang = _pads(x, kernel_sizes, pad_type, strides, pad, ceil_mode)
    padded = _pad(x, _sum(pads, overhang), -math.inf)
    return MAX_POOL[len(kernel_sizes)](padded, kernel_sizes, strides)


@operation("l2_pool")
def l2_pool(
    x: Tensor,
    kernel_sizes: Ints,
    pad_type: str,
    strides: Ints | None = None,
    pad: Ints | None = None,
    ceil_mode: bool = False,
):
    strides, pads, overhang = _pads(x, kernel_sizes, pad_type, strides, pad, ceil_mode)
    return torch.sqrt(_window_sum(_pad(x.square(), _sum(pads, overhang), 0.0), kernel_sizes, strides))


@operation("avg_pool")
def avg_pool(
    x: Tensor,
    kernel_sizes: Ints,
    pad_type: str,
    strides: Ints | None = None,
    pad: Ints | None = None,
    exclude_padding_from_average: bool = False,
    ceil_mode: bool = False,
):
    strides, pads, overhang = _pads(x, kernel_sizes, pad_type, strides, pad, ceil_mode)
    every = _sum(pads, overhang)
    if not exclude_padding_from_average or not any(every):
        # Core ML divides by the whole window: what ceil_mode adds counts as padding, and padding counts. See
        # "avg_pool" in coreml_runtime.execution.limits.
        return AVG_POOL[len(kernel_sizes)](_pad(x, every, 0.0), kernel_sizes, strides)
    sums = _window_sum(_pad(x, every, 0.0), kernel_sizes, strides)
    inside = _pad(torch.ones_like(x[:1, :1]), every, 0.0)
    return sums / _window_sum(inside, kernel_sizes, strides)


def _window_sum(x: Tensor, kernel_sizes: Ints, strides: Ints) -> Tensor:
    return AVG_POOL[len(kernel_sizes)](x, kernel_sizes, strides) * math.prod(kernel_sizes)


def _pads(x: Tensor, kernel: Ints, pad_type: str, strides: Ints | None, pad: Ints | None, ceil_mode: bool):
    """The strides, the padding, and what the last window of ceil_mode needs beyond it, as in torch."""
    sizes, strides = x.shape[2:], strides or (1,) * len(kernel)
    pads = window_padding(pad_type, pad, sizes, kernel, strides, (1,) * len(kernel))
    overhang = [0] * len(pads)
    for i, (size, k, stride) in enumerate(zip(sizes, kernel, strides, strict=True)):
        before, after = pads[2 * i : 2 * i + 2]
        padded = before + size + after
        windows = -(-(padded - k) // stride) + 1
        # No window starts in the padding after; without padding MIL keeps even one past the end.
        if before + after and (windows - 1) * stride >= before + size:
            windows -= 1
        if ceil_mode:
            overhang[2 * i + 1] = max(0, (windows - 1) * stride + k - padded)
    return strides, pads, tuple(overhang)


def _sum(first: Ints, second: Ints) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(first, second, strict=True))


def _pad(x: Tensor, pads: Ints, value: float) -> Tensor:
    return F.pad(x, last_axis_first(pads), value=value) if any(pads) else x
