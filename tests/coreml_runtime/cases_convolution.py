"""Cases of convolution and pooling: padding, strides, dilation, groups, ceil mode; torch is expected."""

import numpy as np
import torch
import torch.nn.functional as F
from cases import SIGNALS, add, floats, tensors

WEIGHTS = {1: floats(6, 2, 3, seed=1), 2: floats(6, 2, 3, 2, seed=1), 3: floats(6, 2, 3, 2, 2, seed=1)}
CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def convolved(rank, pads, weight=None, **options):
    """torch's convolution of an input padded by hand: pairs of (before, after), first dimension first."""
    weight = WEIGHTS[rank] if weight is None else weight
    order = [value for pair in reversed(pads) for value in pair]
    return lambda x: CONV[rank](
        F.pad(torch.from_numpy(x), order), torch.from_numpy(weight), **options
    ).numpy()


for rank in (1, 2, 3):
    add(
        "conv",
        f"{rank}d",
        x=SIGNALS[rank],
        weight=WEIGHTS[rank].tolist(),
        groups=2,
        pad_type="valid",
        expected=convolved(rank, [(0, 0)] * rank, groups=2),
    )
add(
    "conv",
    "bias",
    x=SIGNALS[2],
    weight=WEIGHTS[2].tolist(),
    bias=[0.0, 1, 2, 3, 4, 5],
    groups=2,
    pad_type="valid",
    expected=convolved(2, [(0, 0)] * 2, groups=2, bias=torch.arange(6.0)),
)
add(
    "conv",
    "custom",
    x=SIGNALS[2],
    weight=WEIGHTS[2].tolist(),
    groups=2,
    pad_type="custom",
    pad=[1, 2, 0, 3],
    strides=[2, 1],
    expected=convolved(2, [(1, 2), (0, 3)], groups=2, stride=(2, 1)),
)
add(
    "conv",
    "dilated",
    x=SIGNALS[2],
    weight=WEIGHTS[2].tolist(),
    groups=2,
    pad_type="valid",
    dilations=[2, 3],
    expected=convolved(2, [(0, 0)] * 2, groups=2, dilation=(2, 3)),
)
# (9, 8) with kernel (3, 2) and stride (2, 2): 2 to add in height, none in width; stride 1: 2 and 1.
add(
    "conv",
    "same",
    x=SIGNALS[2],
    weight=WEIGHTS[2].tolist(),
    groups=2,
    pad_type="same",
    expected=convolved(2, [(1, 1), (0, 1)], groups=2),
)
add(
    "conv",
    "same_lower",
    x=SIGNALS[2],
    weight=WEIGHTS[2].tolist(),
    groups=2,
    pad_type="same_lower",
    expected=convolved(2, [(1, 1), (1, 0)], groups=2),
)
add(
    "conv",
    "same-strided",
    x=SIGNALS[2],
    weight=WEIGHTS[2].tolist(),
    groups=2,
    pad_type="same",
    strides=[2, 2],
    expected=convolved(2, [(1, 1), (0, 0)], groups=2, stride=2),
)
add(
    "conv",
    "run-time-weight",
    x=SIGNALS[2],
    weight=WEIGHTS[2],
    groups=2,
    pad_type="valid",
    expected=lambda x, weight: F.conv2d(*tensors(x, weight), groups=2).numpy(),
)
for rank in (1, 2, 3):
    kernel = floats(4, 3, *[3] * rank, seed=2)
    add(
        "conv_transpose",
        f"{rank}d",
        x=SIGNALS[rank],
        weight=kernel.tolist(),
        pad_type="valid",
        strides=[2] * rank,
        expected=lambda x, rank=rank, kernel=kernel: TRANSPOSE[rank](*tensors(x, kernel), stride=2).numpy(),
    )
KERNEL = floats(4, 3, 3, 3, seed=2)
add(
    "conv_transpose",
    "custom",
    x=SIGNALS[2],
    weight=KERNEL.tolist(),
    pad_type="custom",
    pad=[1, 1, 1, 1],
    strides=[2, 2],
    expected=lambda x: F.conv_transpose2d(*tensors(x, KERNEL), stride=2, padding=1).numpy(),
)
add(
    "conv_transpose",
    "output-padding",
    x=SIGNALS[2],
    weight=KERNEL.tolist(),
    pad_type="custom",
    pad=[1, 1, 1, 1],
    strides=[2, 2],
    output_shape=[2, 3, 18, 16],
    expected=lambda x: F.conv_transpose2d(*tensors(x, KERNEL), stride=2, padding=1, output_padding=1).numpy(),
)
add(
    "conv_transpose",
    "same",
    x=SIGNALS[2],
    weight=KERNEL.tolist(),
    pad_type="same",
    strides=[1, 1],
    expected=lambda x: F.conv_transpose2d(*tensors(x, KERNEL), padding=1).numpy(),
)
add(
    "conv_transpose",
    "groups-dilation",
    x=SIGNALS[2],
    weight=KERNEL.tolist(),
    pad_type="valid",
    groups=2,
    dilations=[2, 1],
    bias=[0.0, 1, 2, 3, 4, 5],
    expected=lambda x: F.conv_transpose2d(
        *tensors(x, KERNEL), groups=2, dilation=(2, 1), bias=torch.arange(6.0)
    ).numpy(),
)

MAXIMUM = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVERAGE = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
for rank in (1, 2, 3):
    sizes = {"kernel_sizes": [3] * rank, "strides": [2] * rank, "pad_type": "valid"}
    add(
        "max_pool",
        f"{rank}d",
        x=SIGNALS[rank],
        **sizes,
        expected=lambda x, rank=rank: MAXIMUM[rank](*tensors(x), 3, 2).numpy(),
    )
    add(
        "avg_pool",
        f"{rank}d",
        x=SIGNALS[rank],
        **sizes,
        expected=lambda x, rank=rank: AVERAGE[rank](*tensors(x), 3, 2).numpy(),
    )
POOL = {"kernel_sizes": [3, 3], "strides": [2, 2]}
for ceil_mode in (False, True):
    padded = {**POOL, "pad_type": "custom", "pad": [1, 1, 1, 1], "ceil_mode": ceil_mode}
    options = {"padding": 1, "ceil_mode": ceil_mode}
    add(
        "max_pool",
        f"padded-{ceil_mode}",
        x=SIGNALS[2],
        **padded,
        expected=lambda x, options=options: F.max_pool2d(*tensors(x), 3, 2, **options).numpy(),
    )
    add(
        "avg_pool",
        f"padded-{ceil_mode}-True",
        x=SIGNALS[2],
        **padded,
        exclude_padding_from_average=True,
        expected=lambda x, options=options: F.avg_pool2d(
            *tensors(x), 3, 2, **options, count_include_pad=False
        ).numpy(),
    )
    add(  # what ceil_mode adds counts as padding: coreml_runtime.execution.limits
        "avg_pool",
        f"padded-{ceil_mode}-False",
        x=SIGNALS[2],
        **padded,
        expected=lambda x, more=int(ceil_mode): F.avg_pool2d(
            F.pad(*tensors(x), [1, 1 + more, 1, 1]), 3, 2
        ).numpy(),
    )
add(
    "max_pool",
    "same",
    x=SIGNALS[2],
    kernel_sizes=[2, 2],
    strides=[1, 1],
    pad_type="same",
    expected=lambda x: F.max_pool2d(F.pad(*tensors(x), [0, 1, 0, 1], value=-np.inf), 2, 1).numpy(),
)
add(
    "max_pool",
    "same_lower",
    x=SIGNALS[2],
    kernel_sizes=[2, 2],
    strides=[1, 1],
    pad_type="same_lower",
    expected=lambda x: F.max_pool2d(F.pad(*tensors(x), [1, 0, 1, 0], value=-np.inf), 2, 1).numpy(),
)
add(
    "l2_pool",
    x=SIGNALS[2],
    **POOL,
    pad_type="valid",
    expected=lambda x: F.lp_pool2d(*tensors(x), 2.0, 3, 2).numpy(),
)
