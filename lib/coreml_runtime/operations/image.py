"""Images: resizing of the last dimensions, crops, and resampling at coordinates.

Each sampling mode of MIL's `resize_bilinear` has its coordinates, which are then read by nearest or linear
interpolation.
"""

import math

import torch
import torch.nn.functional as F

from coreml_runtime.operations.registry import Ints, Tensor, operation


@operation("crop", arithmetic=False)
def crop(x: Tensor, crop_height: Ints, crop_width: Ints):
    (top, bottom), (left, right) = crop_height, crop_width
    return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]


@operation("crop_resize")
def crop_resize(
    x: Tensor,
    roi: Tensor | None = None,
    boxes: Tensor | None = None,
    box_indices: Tensor | None = None,
    target_height: int = 1,
    target_width: int = 1,
    normalized_coordinates: bool = False,
    spatial_scale: float = 1.0,
    box_coordinate_mode: str = "CORNERS_HEIGHT_FIRST",
    sampling_mode: str = "DEFAULT",
    pad_value: float = 0.0,
):
    batch, _, height, width = x.shape
    limits = torch.tensor([height - 1, width - 1] * 2, dtype=torch.float64)
    every_image = roi is not None and roi.shape[2] == 4
    if boxes is None:  # before iOS17: (N, 1, 4 or 5, 1, 1), the fifth being the image
        rows = roi.reshape(roi.shape[0], -1)
        boxes, box_indices = rows[:, -4:], rows[:, 0]
    images = torch.arange(boxes.shape[0]) if box_indices is None else box_indices
    corners = _corners(boxes.double(), box_coordinate_mode) * spatial_scale
    corners = corners * limits if normalized_coordinates else corners
    results = []
    for (top, left, bottom, right), image in zip(corners.tolist(), images.tolist(), strict=True):
        rows = _points(top, bottom, target_height, sampling_mode)
        columns = _points(left, right, target_width, sampling_mode)
        chosen = range(batch) if every_image else [int(image)]
        patches = [_patch(x[i], rows, columns, pad_value) for i in chosen]
        results.append(patches[0] if roi is None else torch.stack(patches))
    return torch.stack(results)


def _corners(boxes: Tensor, mode: str) -> Tensor:
    """Boxes (N, 4) as top, left, bottom, right."""
    if mode.endswith("WIDTH_FIRST"):
        boxes = boxes[:, [1, 0, 3, 2]]
    if mode.startswith("CORNERS"):
        return boxes
    centre, half = boxes[:, :2], boxes[:, 2:] / 2
    return torch.cat([centre - half, centre + half], dim=1)


def _points(start: float, end: float, count: int, mode: str) -> Tensor:
    """The coordinates, (count,) float64, at which `count` cells sample an input from `start` to `end`."""
    i = torch.arange(count, dtype=torch.float64)
    size = end - start + 1
    if mode in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"):
        middle = (start + end) / 2 if mode == "ALIGN_CORNERS" else start
        return start + i * (end - start) / (count - 1) if count > 1 else torch.full((1,), middle).double()
    if mode == "OFFSET_CORNERS":
        return start + (i + 0.5) * (end - start) / count
    if mode == "DEFAULT":
        return start + i * size / count
    return start + (i + 0.5) * size / count - 0.5  # UNALIGN_CORNERS


def _patch(image: Tensor, rows: Tensor, columns: Tensor, pad_value: float) -> Tensor:
    """The (C, H, W) image at the crossings of rows and columns; `pad_value` outside of it."""
    height, width = image.shape[1:]
    inside = ((rows >= 0) & (rows <= height - 1))[:, None] & ((columns >= 0) & (columns <= width - 1))
    patch = interpolate(image, 1, rows.clamp(0, height - 1))
    patch = interpolate(patch, 2, columns.clamp(0, width - 1))
    return torch.where(inside, patch, torch.tensor(pad_value, dtype=patch.dtype))


@operation("affine")
def affine(
    x: Tensor,
    transform_matrix: Tensor,
    output_height: int,
    output_width: int,
    sampling_mode: str = "bilinear",
    padding_mode: str = "constant",
    padding_value: float = 0.0,
    coordinates_mode: str = "normalized_minus_one_to_one",
    align_corners: bool = True,
):
    matrix = transform_matrix.reshape(-1, 2, 3).expand(x.shape[0], 2, 3)
    grid = F.affine_grid(matrix, [*x.shape[:2], output_height, output_width], align_corners=align_corners)
    return _sample(x, grid, sampling_mode, padding_mode, padding_value, align_corners)


@operation("resample")
def resample(
    x: Tensor,
    coordinates: Tensor,
    sampling_mode: str,
    padding_mode: str,
    padding_value: float,
    coordinates_mode: str,
    align_corners: bool,
):
    grid = coordinates.float()
    size = torch.tensor([x.shape[-1], x.shape[-2]], dtype=torch.float32)
    if coordinates_mode == "unnormalized":
        grid = 2 * grid / (size - 1) - 1 if align_corners else (2 * grid + 1) / size - 1
    elif coordinates_mode == "normalized_zero_to_one":
        grid = 2 * grid - 1
    return _sample(x, grid, sampling_mode, padding_mode, padding_value, align_corners)


def _sample(x: Tensor, grid: Tensor, mode: str, padding: str, value: float, align_corners: bool) -> Tensor:
    """Sample x at a grid of (x, y) from -1 to 1; torch pads with zeros, so x is shifted by `value`."""
    padding_mode = {"constant": "zeros", "border": "border"}.get(padding, "reflection")
    shift = value if padding == "constant" else 0.0
    sampled = F.grid_sample(
        x - shift, grid, mode=mode, padding_mode=padding_mode, align_corners=align_corners
    )
    return sampled + shift


def _cells(size: int, count: int, mode: str) -> Tensor:
    """The coordinates from 0 to size - 1 at which `count` output cells sample an input of `size` cells."""
    return _points(0.0, size - 1, count, mode).clamp(0, size - 1)


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
        x = interpolate(x, axis, _cells(x.shape[axis], size, mode))
    return x


def _nearest(x: Tensor, sizes: Ints, mode: str, floor: bool) -> Tensor:
    for axis, size in enumerate(sizes, x.dim() - len(sizes)):
        points = _cells(x.shape[axis], size, mode)
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
    x: Tensor, target_size_height: int = 1, target_size_width: int = 1, sampling_mode: str = "DEFAULT"
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
