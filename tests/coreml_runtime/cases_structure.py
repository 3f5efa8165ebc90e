"""Cases that move, make or pick values: shape, slicing, construction, ordering, gather and scatter."""

import numpy as np
from cases import add, add_stored, floats

X = floats(2, 3, 4)
IMAGE = floats(2, 4, 4, 6)

add("reshape", x=X, shape=[4, 6])
add("reshape", "minus-one", x=X, shape=[2, -1])
add(
    "reshape",
    "zero-from-right",
    x=floats(2, 50),
    shape=[1, 0, -1, 0],
    expected=lambda x: x.reshape(1, 1, 2, 50),
)
add("reshape", "zero-from-left", 15, x=X, shape=[0, -1, 2], expected=lambda x: x.reshape(2, -1, 2))
add("expand_dims", x=X, axes=[0, -1])
add("expand_dims", "middle", x=floats(2, 3), axes=[1])
add("squeeze", x=floats(1, 2, 1, 3), axes=[0, -2])
add("squeeze", "all", x=floats(1, 2, 1))
add("transpose", x=X, perm=[2, 0, 1])
add("transpose", "negative", x=X, perm=[-1, -3, -2])
for axis in (0, 1, 2, 3, -1):
    add(
        "flatten2d",
        f"axis{axis}",
        x=X,
        axis=axis,
        expected=lambda x, n=axis: x.reshape(int(np.prod(x.shape[:n])), -1),
    )
for axis in (0, 1, -1):
    add("concat", f"axis{axis}", values=(floats(2, 3), floats(2, 3, seed=1)), axis=axis)
    add("stack", f"axis{axis}", values=(floats(2, 3), floats(2, 3, seed=1)), axis=axis)
add("concat", "unequal", values=(floats(2, 3), floats(2, 1, seed=1), floats(2, 4, seed=2)), axis=1)
add(
    "concat",
    "interleave",
    values=(floats(2, 3), floats(2, 3, seed=1)),
    axis=1,
    interleave=True,
    expected=lambda a, b: np.stack([a, b], axis=-1).reshape(2, 6),
)
add("concat", "zero-size", values=(floats(0, 3), floats(2, 3, seed=1)), axis=0)
add_stored("fill", shape=[2, 3], value=1.5)
add_stored("fill", "int", shape=[2], value=7)
add(
    "reshape_like",
    x=floats(2, 6),
    ref_tensors=(floats(3, 5), floats(4, 7)),
    begins=[0, 0],
    ends=[1, 1],
    end_masks=[False, False],
    expected=lambda x, *refs: x.reshape(3, 4),
)
add("identity", x=X, expected=lambda x: x)
add("tile", x=floats(2, 3), reps=[2, 3])
add("reverse", x=X, axes=[0, -1])
add("reverse", "all", x=X)
add(
    "reverse_sequence",
    x=floats(3, 4, 2),
    lengths=[1, 2],
    seq_axis=0,
    batch_axis=2,
    expected=lambda x: np.stack(
        [np.concatenate([x[:n, :, b][::-1], x[n:, :, b]]) for b, n in enumerate((1, 2))], -1
    ),
)
add("split", x=X, num_splits=2, axis=-1)
add("split", "sizes", x=X, split_sizes=[1, 3], axis=2)
add(
    "sliding_windows",
    x=floats(2, 7),
    axis=-1,
    size=3,
    stride=2,
    expected=lambda x: np.stack([x[:, i : i + 3] for i in (0, 2, 4)], axis=1),
)
for mode in ("constant", "reflect", "replicate"):
    add("pad", mode, x=X, pad=[1, 2, 3, 1], mode=mode)
    add("pad", f"{mode}-last", x=X, pad=[2, 1], mode=mode)
add("pad", "value", x=X, pad=[0, 0, 1, 1, 2, 0], mode="constant", constant_val=7.0)
add("depth_to_space", x=IMAGE, block_size=2, expected=lambda x: blocks_to_space(x, 2))
add("space_to_depth", x=IMAGE, block_size=2, expected=lambda x: space_to_blocks(x, 2))
add("pixel_shuffle", x=IMAGE, upscale_factor=2, expected=lambda x: shuffled(x, 2))
add("pixel_unshuffle", x=IMAGE, downscale_factor=np.uint32(2), expected=lambda x: unshuffled(x, 2))
add(
    "space_to_batch",
    x=IMAGE,
    block_shape=[2, 3],
    paddings=[[0, 0], [0, 0]],
    expected=lambda x: np.concatenate([x[:, :, i::2, j::3] for i in range(2) for j in range(3)]),
)
add(
    "space_to_batch",
    "padded",
    x=IMAGE,
    block_shape=[2, 2],
    paddings=[[1, 1], [2, 0]],
    expected=lambda x: np.concatenate(
        [np.pad(x, [(0, 0), (0, 0), (1, 1), (2, 0)])[:, :, i::2, j::2] for i in range(2) for j in range(2)]
    ),
)
add(
    "batch_to_space",
    x=floats(8, 2, 2, 3),
    block_shape=[2, 2],
    crops=[[0, 1], [2, 0]],
    expected=lambda x: interleaved(x, 2)[:, :, :-1, 2:],
)


def blocks_to_space(x, b):
    n, c, h, w = x.shape
    y = np.zeros((n, c // b**2, h * b, w * b), x.dtype)
    for i in range(b):
        for j in range(b):
            first = (i * b + j) * (c // b**2)  # the block is the outer part of the channel
            y[:, :, i::b, j::b] = x[:, first : first + c // b**2]
    return y


def space_to_blocks(x, b):
    return np.concatenate([x[:, :, i::b, j::b] for i in range(b) for j in range(b)], axis=1)


def shuffled(x, b):
    n, c, h, w = x.shape
    y = np.zeros((n, c // b**2, h * b, w * b), x.dtype)
    for i in range(b):
        for j in range(b):
            y[:, :, i::b, j::b] = x[:, i * b + j :: b**2]  # the block is the inner part of the channel
    return y


def unshuffled(x, b):
    n, c, h, w = x.shape
    y = np.zeros((n, c * b**2, h // b, w // b), x.dtype)
    for i in range(b):
        for j in range(b):
            y[:, i * b + j :: b**2] = x[:, :, i::b, j::b]
    return y


def interleaved(x, b):
    n, c, h, w = x.shape
    y = np.zeros((n // b**2, c, h * b, w * b), x.dtype)
    for i in range(b):
        for j in range(b):
            first = (i * b + j) * (n // b**2)
            y[:, :, i::b, j::b] = x[first : first + n // b**2]
    return y
