"""The arithmetic of Metal's Winograd convolution, on the CPU: what a correct MLX half gives on an Apple GPU.

MLX computes a 3 x 3 convolution of stride 1 by F(6 x 6, 3 x 3) of Lavin and Gray 2015
(https://arxiv.org/abs/1509.09308) where C and O are multiples of 32, C + O at least 256, and batch x height
x width at least 4096 (mlx/backend/metal/conv.cpp); gradients of convolutions are computed directly.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from twins import frameworks as frameworks

import mlx.core as mx  # isort: skip  (after frameworks: the BLAS)

PIXELS = 4096  # from how many in a batch on MLX takes this way
B = mx.array(  # the input's transform, 8 x 8
    [
        [1, 0, 0, 0, 0, 0, 0, 0],
        [0, 1, -1, 0.5, -0.5, 2, -2, -1],
        [-5.25, 1, 1, 0.25, 0.25, 4, 4, 0],
        [0, -4.25, 4.25, -2.5, 2.5, -2.5, 2.5, 5.25],
        [5.25, -4.25, -4.25, -1.25, -1.25, -5, -5, 0],
        [0, 1, -1, 2, -2, 0.5, -0.5, -5.25],
        [-1, 1, 1, 1, 1, 1, 1, 0],
        [0, 0, 0, 0, 0, 0, 0, 1],
    ]
)
A = mx.array(  # the output's, 8 x 6: powers of the points 0, 1, -1, 2, -2, 1/2, -1/2, and infinity
    [[float(p**n) for n in range(6)] for p in (0, 1, -1, 2, -2, 0.5, -0.5)] + [[0.0] * 5 + [1.0]]
)
G = mx.array(  # the weight's, 8 x 3
    [
        [1, 0, 0],
        [-2 / 9, -2 / 9, -2 / 9],
        [-2 / 9, 2 / 9, -2 / 9],
        [1 / 90, 1 / 45, 2 / 45],
        [1 / 90, -1 / 45, 2 / 45],
        [32 / 45, 16 / 45, 8 / 45],
        [32 / 45, -16 / 45, 8 / 45],
        [0, 0, 1],
    ]
)


def convolve(x: mx.array, weight: mx.array) -> mx.array:
    """A 3 x 3 convolution with one pixel of padding: x (N, H, W, C), weight (O, 3, 3, C)."""
    N, H, W, C = x.shape
    rows, columns = -(-H // 6), -(-W // 6)
    x = mx.contiguous(mx.pad(x, [(0, 0), (1, 6 * rows - H + 1), (1, 6 * columns - W + 1), (0, 0)]))
    line, image = x.shape[2] * C, x.shape[1] * x.shape[2] * C
    strides = (image, 6 * line, 6 * C, line, C, 1)
    tiles = mx.as_strided(x, (N, rows, columns, 8, 8, C), strides).transpose(0, 1, 2, 5, 3, 4)
    inputs = (B.T @ tiles @ B).transpose(4, 5, 0, 1, 2, 3).reshape(64, -1, C)  # (64, tiles, C)
    weights = (G @ weight.transpose(0, 3, 1, 2) @ G.T).transpose(2, 3, 1, 0).reshape(64, C, -1)
    products = (inputs @ weights).reshape(8, 8, N, rows, columns, -1).transpose(2, 3, 4, 5, 0, 1)
    outputs = A.T @ products @ A  # (N, rows, columns, O, 6, 6)
    return outputs.transpose(0, 1, 4, 2, 5, 3).reshape(N, 6 * rows, 6 * columns, -1)[:, :H, :W]


def taken(x: mx.array, weight: mx.array, stride, padding, groups: int, pixels: int) -> bool:
    """Whether MLX computes this convolution so."""
    one = {stride, padding} <= {1, (1, 1)} and groups == 1 and weight.shape[1:3] == (3, 3)
    C, O = x.shape[-1], weight.shape[0]  # noqa: E741
    wide = C % 32 == 0 and O % 32 == 0 and C + O >= 256
    return one and wide and x.dtype == mx.float32 and x.size // C >= pixels


@contextmanager
def convolutions(pixels: int = PIXELS) -> Iterator[list[tuple[int, ...]]]:
    """MLX's 2-D convolutions as on Metal for a while; the list gets the shape of every input so computed.

    A smaller `pixels` has a small batch computed as MLX computes a large one.
    """
    own, found = mx.conv2d, []

    @mx.custom_function
    def winograd(x, weight):
        return convolve(x, weight)

    @winograd.vjp
    def gradients(inputs, cotangent, _):
        return mx.vjp(lambda x, weight: own(x, weight, 1, 1), list(inputs), [cotangent])[1]

    def conv2d(x, weight, stride=1, padding=0, dilation=1, groups=1, **more):
        if dilation in (1, (1, 1)) and taken(x, weight, stride, padding, groups, pixels):
            found.append(x.shape)
            return winograd(x, weight)
        return own(x, weight, stride, padding, dilation, groups, **more)

    mx.conv2d = conv2d
    try:
        yield found
    finally:
        mx.conv2d = own
