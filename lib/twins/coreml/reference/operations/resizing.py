"""Resizing of the last dimensions: one grid per sampling mode, then nearest or linear interpolation.

The five sampling modes are those of MIL's `resize_bilinear`.
"""

import math

import torch

from twins.coreml.reference.registry import Ints, Tensor, operation


def sample_points(size: int, count: int, mode: str) -> Tensor:
    """Where `count` output cells look in an input of `size` cells, (count,) float64 from 0 to size - 1."""
    i = torch.arange(count, dtype=torch.float64)
    if mode in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"):
        middle = (size - 1) / 2 if mode == "ALIGN_CORNERS" else 0.0
        points = i * (size - 1) / (count - 1) if count > 1 else torch.full((1,), middle, dtype=torch.float64)
    elif mode == "DEFAULT":
        points = i * size / count
    elif mode == "OFFSET_CORNERS":
        points = (i + 0.5) * max(1, size - 1) / count
    else:  # UNALIGN_CORNERS
        points = (i + 0.5) * size / count - 0.5
    return points.clamp(0, size - 1)


def interpolate(x: Tensor, axis: int, points: Tensor) -> Tensor:
    """Linear interpolation of x along `axis` at `points`."""
    below = points.floor().to(torch.int64)
    above = (below + 1).clamp(max=x.shape[axis] - 1)
    weight = (
        (points - below).to(torch.float32).reshape([-1 if i == axis % x.dim() else 1 for i in range(x.dim())])
    )
    return torch.lerp(x.index_select(axis, below).float(), x.index_select(axis, above).float(), weight)


def _linear(x: Tensor, sizes: Ints, mode: str) -> Tensor:
    for axis, size in enumerate(sizes, x.dim() - len(sizes)):
        x = interpolate(x, axis, sample_points(x.shape[axis], size, mode))
    return x


def _nearest(x: Tensor, sizes: Ints, mode: str, floor: bool) -> Tensor:
    for axis, size in enumerate(sizes, x.dim() - len(sizes)):
        points = sample_points(x.shape[axis], size, mode)
        x = x.index_select(axis, (points if floor else points + 0.5).floor().to(torch.int64))
    return x


def _scaled(x: Tensor, height: float, width: float) -> tuple[int, int]:
    return tuple(
        math.floor(size * scale + 1e-6) for size, scale in zip(x.shape[-2:], (height, width), strict=True)
    )


@operation("resize_nearest_neighbor", arithmetic=False)
def resize_nearest_neighbor(x: Tensor, target_size_height: int, target_size_width: int):
    return _nearest(x, (target_size_height, target_size_width), "DEFAULT", floor=True)


@operation("upsample_nearest_neighbor", arithmetic=False)
def upsample_nearest_neighbor(x: Tensor, scale_factor_height: float = 1, scale_factor_width: float = 1):
    return _nearest(x, _scaled(x, scale_factor_height, scale_factor_width), "DEFAULT", floor=True)


@operation("resize_bilinear")
def resize_bilinear(
    x: Tensor,
    target_size_height: int = 1,
    target_size_width: int = 1,
    sampling_mode: str = "DEFAULT",
):
    return _linear(x, (target_size_height, target_size_width), sampling_mode)


@operation("upsample_bilinear")
def upsample_bilinear(
    x: Tensor,
    scale_factor_height: float = 1,
    scale_factor_width: float = 1,
    align_corners: bool = True,
    half_pixel_centers: bool | None = None,
):
    half_pixel = not align_corners if half_pixel_centers is None else half_pixel_centers
    mode = "STRICT_ALIGN_CORNERS" if align_corners else "UNALIGN_CORNERS" if half_pixel else "DEFAULT"
    return _linear(x, _scaled(x, scale_factor_height, scale_factor_width), mode)


@operation("resize")
def resize(
    x: Tensor,
    shape: Ints,
    resized_dims: int,
    interpolation_mode: str = "LINEAR",
    sampling_mode: str = "DEFAULT",
):
    kept = x.shape[x.dim() - resized_dims :]
    wanted = shape[len(shape) - resized_dims :]
    sizes = tuple(size or present for size, present in zip(wanted, kept, strict=True))
    if interpolation_mode == "LINEAR":
        return _linear(x, sizes, sampling_mode)
    return _nearest(x, sizes, sampling_mode, floor=False)
