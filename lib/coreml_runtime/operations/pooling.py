"""Average, maximum and L2 pooling over 1 to 3 spatial dimensions."""

import math

import torch
import torch.nn.functional as F

from coreml_runtime.operations.convolution import last_axis_first, window_padding
from coreml_runtime.operations.registry import Ints, Tensor, operation

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
    strides = strides or (1,) * len(kernel_sizes)
    pads, overhang = _pads(x, kernel_sizes, pad_type, strides, pad, ceil_mode)
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
    strides = strides or (1,) * len(kernel_sizes)
    pads, overhang = _pads(x, kernel_sizes, pad_type, strides, pad, ceil_mode)
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
    strides = strides or (1,) * len(kernel_sizes)
    pads, overhang = _pads(x, kernel_sizes, pad_type, strides, pad, ceil_mode)
    if not any(overhang) and not (exclude_padding_from_average and any(pads)):
        return AVG_POOL[len(kernel_sizes)](_pad(x, pads, 0.0), kernel_sizes, strides)
    sums = _window_sum(_pad(x, _sum(pads, overhang), 0.0), kernel_sizes, strides)
    # Padding counts unless excluded; what ceil_mode adds beyond it never does.
    counted = _pad(torch.ones_like(x[:1, :1]), pads, 0.0 if exclude_padding_from_average else 1.0)
    return sums / _window_sum(_pad(counted, overhang, 0.0), kernel_sizes, strides)


def _window_sum(x: Tensor, kernel_sizes: Ints, strides: Ints) -> Tensor:
    return AVG_POOL[len(kernel_sizes)](x, kernel_sizes, strides) * math.prod(kernel_sizes)


def _pads(x: Tensor, kernel: Ints, pad_type: str, strides: Ints, pad: Ints | None, ceil_mode: bool):
    """The declared padding, and what ceil_mode needs after it for its last window, as in torch."""
    sizes = x.shape[2:]
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
    return pads, tuple(overhang)


def _sum(first: Ints, second: Ints) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(first, second, strict=True))


def _pad(x: Tensor, pads: Ints, value: float) -> Tensor:
    return F.pad(x, last_axis_first(pads), value=value) if any(pads) else x
