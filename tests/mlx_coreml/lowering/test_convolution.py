"""Convolutions in one to three dimensions: what the converted model gives is what MLX gives."""

import numpy as np
import pytest
from agreement import assert_agree, normal, results

from mlx_coreml.conversion.convert import convert
from mlx_coreml.ir.errors import ConversionError
from twins.frameworks import mx

import mlx.nn as nn  # isort: skip

LINE, IMAGE, VOLUME = normal(2, 12, 4), normal(2, 9, 7, 4), normal(1, 6, 5, 4, 4)
KERNEL = normal(6, 3, 2, 4)


def general(weight=KERNEL, **options):
    return lambda x: mx.conv_general(x, weight, **options)


MODULES = {
    LINE: [
        nn.Conv1d(4, 6, 3),
        nn.Conv1d(4, 8, 3, stride=2, padding=1, dilation=2, groups=2, bias=False),
        nn.ConvTranspose1d(4, 6, 4, stride=2, padding=1),
        nn.ConvTranspose1d(4, 6, 3, stride=3, padding=1, output_padding=2, dilation=2),
    ],
    IMAGE: [
        nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0)),
        nn.Conv2d(4, 4, 3, padding=1, groups=4),
        nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1),
        nn.ConvTranspose2d(4, 6, 3, stride=3, dilation=(2, 1), output_padding=(1, 2)),
        nn.ConvTranspose2d(4, 6, 1, padding=1),
    ],
    VOLUME: [
        nn.Conv3d(4, 3, (2, 3, 1), stride=(1, 2, 1), padding=(0, 1, 0)),
        nn.ConvTranspose3d(4, 3, 3, stride=2, padding=1, output_padding=1),
    ],
}
mx.eval([module.parameters() for each in MODULES.values() for module in each])
CASES = {
    f"{module} of {x.ndim - 2} dimensions": (module, (x,)) for x, each in MODULES.items() for module in each
}
CASES |= {
    "unequal padding": (general(padding=([1, 0], [2, 3])), (IMAGE,)),
    "a flipped kernel": (general(flip=True, stride=2), (IMAGE,)),
    "a dilated input": (general(input_dilation=(2, 3), padding=([2, 1], [2, 1])), (IMAGE,)),
    "a dilated input at strides": (
        general(input_dilation=(2, 3), stride=(3, 2), kernel_dilation=(1, 2), flip=True),
        (IMAGE,),
    ),
    "padding beyond the kernel's reach": (
        lambda x: general(input_dilation=2, padding=([5, 4], [3, 6]))(x) + mx.arange(6.0),
        (IMAGE,),
    ),
    "groups of a dilated input": (
        general(normal(8, 3, 2, 2), input_dilation=2, groups=2, padding=1),
        (IMAGE,),
    ),
    "a kernel that is an input": (
        lambda x, w: mx.conv2d(x, w, padding=1),
        (IMAGE, normal(6, 3, 2, 4, seed=1)),
    ),
    "a dilated kernel that is an input": (
        lambda x, w: mx.conv_general(x, w, kernel_dilation=(2, 3), padding=3, flip=True),
        (IMAGE, normal(6, 3, 2, 4, seed=1)),
    ),
    "input and kernel dilated, the kernel an input": (
        lambda x, w: mx.conv_general(x, w, kernel_dilation=2, input_dilation=(3, 2), stride=2, groups=2),
        (IMAGE, normal(4, 3, 2, 2)),
    ),
    "a bias that is an input": (lambda x, b: mx.conv2d(x, KERNEL) + b, (IMAGE, normal(6))),
    "convolve, full": (lambda x: mx.convolve(x, mx.array([1.0, 2, 4])), (normal(12),)),
    "convolve, same": (lambda x: mx.convolve(x, mx.array([1.0, 2, 4]), mode="same"), (normal(12),)),
    "convolve, valid": (lambda x: mx.convolve(x, mx.array([1.0, 2, 4]), mode="valid"), (normal(12),)),
}


def drawn(seed: int) -> tuple:
    """A convolution with options drawn at random, of an input of at least its kernel's size."""
    rng = np.random.default_rng(seed)
    dims = rng.integers(1, 4)
    groups = int(rng.choice([1, 2, 3])) if dims < 3 else 1  # all that MLX has
    kernel, dilation, spread, stride = rng.integers(1, [[3], [3], [4], [4]], (4, dims))
    low, high = rng.integers(0, 5, (2, dims))
    size = rng.integers(4, 8, dims)
    weight = normal(groups * rng.integers(1, 4), *kernel, 2, seed=seed)
    options = {"stride": stride, "kernel_dilation": dilation, "input_dilation": spread}
    options = {name: value.tolist() for name, value in options.items()}
    padding = (low.tolist(), high.tolist())
    flip = bool(rng.integers(2))
    x = normal(2, *size, 2 * groups, seed=seed)
    bias = mx.array(np.arange(weight.shape[0], dtype=np.float32))
    return (
        lambda x: mx.conv_general(x, weight, padding=padding, groups=groups, flip=flip, **options) + bias,
        (x,),
    )


DRAWN = {f"drawn with seed {seed}": drawn(seed) for seed in range(24)}


@pytest.fixture(scope="module")
def pairs():
    return results(CASES)


@pytest.fixture(scope="module")
def drawn_pairs():
    return results(DRAWN)


@pytest.mark.parametrize("name", CASES)
def test_as_mlx(pairs, name):
    assert_agree(pairs[name])


@pytest.mark.parametrize("name", DRAWN)
def test_drawn_options_as_mlx(drawn_pairs, name):
    assert_agree(drawn_pairs[name])


def test_in_half_precision():
    pairs = results(CASES, precision="float16")
    for name in CASES:
        assert_agree(pairs[name], tolerance=1e-2)


def test_a_kernel_larger_than_its_input_is_refused():
    weight = normal(2, 3, 1, 3)
    with pytest.raises(ConversionError, match=r"covers 5 elements of axis 1, which has 4 with its padding"):
        convert(lambda x: mx.conv2d(x, weight, dilation=(2, 1), stride=3), normal(1, 4, 4, 3))
