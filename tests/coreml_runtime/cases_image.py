"""Cases of resizing, cropping and resampling; the grids are those of MIL's documentation, in NumPy."""

import numpy as np
import torch.nn.functional as F
from cases import SIGNALS, add, floats, tensors


def grid_points(mode, size, count):
    """Where MIL's documentation of `resize_bilinear` says each mode samples."""
    i = np.arange(count)
    spread = max(count - 1, 1)
    points = {
        "STRICT_ALIGN_CORNERS": i * (size - 1) / spread,
        "ALIGN_CORNERS": i * (size - 1) / spread if count > 1 else np.array([(size - 1) / 2]),
        "DEFAULT": i * (size - size / count) / spread,
        "OFFSET_CORNERS": 0.5 * max(1, size - 1) / count + i * max(1, size - 1) / count,
        "UNALIGN_CORNERS": (i + 0.5) * size / count - 0.5,
    }[mode]
    return np.clip(points, 0, size - 1)


def bilinear(x, rows, columns):
    for axis, points in ((-2, rows), (-1, columns)):
        low = np.floor(points).astype(int)
        high = np.minimum(low + 1, x.shape[axis] - 1)
        weight = (points - low).reshape([-1, 1] if axis == -2 else [-1])
        x = np.take(x, low, axis) * (1 - weight) + np.take(x, high, axis) * weight
    return x


for mode in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "DEFAULT", "OFFSET_CORNERS", "UNALIGN_CORNERS"):
    for height, width in ((7, 5), (18, 3), (1, 1)):

        def resized(x, mode=mode, height=height, width=width):
            return bilinear(x, grid_points(mode, 9, height), grid_points(mode, 8, width))

        add(
            "resize_bilinear",
            f"{mode}-{height}",
            x=SIGNALS[2],
            target_size_height=height,
            target_size_width=width,
            sampling_mode=mode,
            expected=resized,
        )
        add(
            "resize",
            f"{mode}-{height}",
            x=SIGNALS[2],
            shape=[height, width],
            resized_dims=np.uint32(2),
            interpolation_mode="LINEAR",
            sampling_mode=mode,
            expected=resized,
        )
add(
    "resize_nearest_neighbor",
    x=SIGNALS[2],
    target_size_height=18,
    target_size_width=5,
    expected=lambda x: F.interpolate(*tensors(x), size=(18, 5)).numpy(),
)
add(
    "upsample_nearest_neighbor",
    x=SIGNALS[2],
    scale_factor_height=2,
    scale_factor_width=3,
    expected=lambda x: x.repeat(2, -2).repeat(3, -1),
)
for align_corners in (True, False):
    add(
        "upsample_bilinear",
        f"{align_corners}",
        x=SIGNALS[2],
        scale_factor_height=2,
        scale_factor_width=3,
        align_corners=align_corners,
        expected=lambda x, align_corners=align_corners: F.interpolate(
            *tensors(x), scale_factor=(2, 3), mode="bilinear", align_corners=align_corners
        ).numpy(),
    )
add("crop", x=SIGNALS[2], crop_height=[1, 2], crop_width=[0, 3], expected=lambda x: x[..., 1:-2, :-3])
add(
    "crop_resize",
    "aligned",
    x=SIGNALS[2],
    boxes=np.array([[1, 2, 4, 6], [0, 0, 8, 7]], np.float32),
    box_indices=np.array([1, 0], np.int32),
    target_height=4,
    target_width=5,
    sampling_mode="ALIGN_CORNERS",
    expected=lambda x, boxes, box_indices: np.stack(
        [
            bilinear(x[i], np.linspace(b[0], b[2], 4), np.linspace(b[1], b[3], 5))
            for b, i in zip(boxes, box_indices, strict=True)
        ]
    ),
)
add(
    "crop_resize",
    "centre-outside",
    x=SIGNALS[2],
    boxes=np.array([[0, 0, 2, 2]], np.float32),
    target_height=3,
    target_width=3,
    box_coordinate_mode="CENTER_SIZE_WIDTH_FIRST",
    sampling_mode="ALIGN_CORNERS",
    pad_value=9.0,
    box_indices=np.array([0], np.int32),
    expected=lambda x, boxes, box_indices: np.pad(
        x[:1, :, :2, :2], [(0, 0), (0, 0), (1, 0), (1, 0)], constant_values=9
    ),
)
GRID = floats(2, 3, 5, 2, low=-1.2, high=1.2, seed=9)
SAMPLES = {
    "sampling_mode": "bilinear",
    "padding_value": 0.0,
    "coordinates_mode": "normalized_minus_one_to_one",
}
for align_corners in (True, False):
    for ours, theirs in (("constant", "zeros"), ("border", "border")):
        add(
            "resample",
            f"{ours}-{align_corners}",
            x=SIGNALS[2],
            coordinates=GRID,
            padding_mode=ours,
            **SAMPLES,
            align_corners=align_corners,
            expected=lambda x, coordinates, align_corners=align_corners, theirs=theirs: F.grid_sample(
                *tensors(x, coordinates), padding_mode=theirs, align_corners=align_corners
            ).numpy(),
        )
add(
    "resample",
    "pixels",
    x=SIGNALS[2],
    coordinates=floats(2, 3, 5, 2, low=0, high=7, seed=9),
    padding_mode="border",
    sampling_mode="bilinear",
    padding_value=0.0,
    coordinates_mode="unnormalized",
    align_corners=True,
    expected=lambda x, coordinates: np.stack(
        [
            [
                [
                    [bilinear(x[b, c], np.array([row]), np.array([column]))[0, 0] for column, row in line]
                    for line in coordinates[b]
                ]
                for c in range(4)
            ]
            for b in range(2)
        ]
    ),
    tolerance=1e-4,
)
add(
    "affine",
    x=SIGNALS[2],
    transform_matrix=np.array([[1.0, 0, 0, 0, 1, 0]], np.float32),
    output_height=9,
    output_width=8,
    sampling_mode="bilinear",
    padding_mode="constant",
    padding_value=0.0,
    coordinates_mode="normalized_minus_one_to_one",
    align_corners=True,
    expected=lambda x, transform_matrix: x,
)
add(
    "affine",
    "flip",
    x=SIGNALS[2],
    transform_matrix=np.array([[-1.0, 0, 0, 0, 1, 0]], np.float32),
    output_height=9,
    output_width=8,
    sampling_mode="bilinear",
    padding_mode="constant",
    padding_value=0.0,
    coordinates_mode="normalized_minus_one_to_one",
    align_corners=True,
    expected=lambda x, transform_matrix: x[..., ::-1],
)
