"""The MLX calls of products, factorisations, transforms, packed weights and random bits."""

import warnings

import mlx.core as mx
import numpy as np

from mlx_coreml.ir.graph import Node
from mlx_coreml.passes.fold.evaluate import evaluation
from mlx_coreml.passes.fold.threefry import random_bits as bits

MODES = ["affine", "mxfp4", "mxfp8", "nvfp4"]  # mlx/primitives.h, QuantizationMode


@evaluation("Convolution")
def convolution(node: Node, x, w):
    """Padding, dilations of both operands, groups, and a flag for turning the kernel round."""
    strides, low, high, kernel, dilation, groups, flip = node.unpack(7)
    return mx.conv_general(x, w, strides, (low, high), kernel, dilation, groups, flip)


@evaluation("AsStrided")
def as_strided(node: Node, x):
    """A view by strides of elements."""
    return mx.as_strided(x, *node.unpack(3))


@evaluation("GatherMM")
def gathered_product(node: Node, a, b, left, right):
    """Products of matrices picked by index."""
    node.unpack(2)
    return mx.gather_mm(a, b, left, right)


@evaluation("BlockMaskedMM")
def block_masked_product(node: Node, a, b, *masks):
    """One mask is of the product, two are of the operands."""
    (block,) = node.unpack(1)
    outside, operands = masks[: len(masks) % 2] or (None,), masks[len(masks) % 2 :] or (None, None)
    return mx.block_masked_mm(a, b, block, outside[0], *operands)


@evaluation("QuantizedMatmul")
def quantized_product(node: Node, x, w, scales, *biases):
    """A product with packed weights."""
    group, bits, mode, transpose = node.unpack(4)
    biases = biases[0] if biases else None
    return mx.quantized_matmul(
        x, w, scales, biases, transpose=transpose, group_size=group, bits=bits, mode=MODES[mode]
    )


@evaluation("GatherQMM")
def gathered_quantized_product(node: Node, x, w, scales, *rest):
    """Products with packed weights picked by index."""
    group, bits, mode, transpose, *_ = node.unpack(6)
    *biases, left, right = rest
    biases = biases[0] if biases else None
    return mx.gather_qmm(
        x, w, scales, biases, left, right, transpose=transpose, group_size=group, bits=bits, mode=MODES[mode]
    )


@evaluation("Quantize")
def quantize(node: Node, w):
    """Packed weights, scales and, when affine, biases."""
    group, bits, mode, backwards = node.unpack(4)
    if backwards:
        raise ValueError(f"{node.where}: dequantization is exported as plain arithmetic on the CPU")
    return list(mx.quantize(w, group_size=group, bits=bits, mode=MODES[mode]))


@evaluation("Hadamard")
def hadamard(node: Node, x):
    """The Walsh-Hadamard transform times a factor."""
    return mx.hadamard_transform(x, scale=node.unpack(1)[0])


@evaluation("FFT")
def fourier(node: Node, x):
    """The discrete Fourier transform; of real input half the spectrum, which has an odd or even inverse."""
    axes, inverse, real, *_ = node.unpack(3, 4)
    name = f"{'i' if inverse else ''}{'r' if real else ''}fftn"
    sizes = [node.output.shape[axis] if real and inverse else x.shape[axis] for axis in axes]
    return getattr(mx.fft, name)(x, s=sizes, axes=list(axes))


@evaluation("Inverse")
def inverse(node: Node, x):
    """The inverse of a matrix, or of a triangular one."""
    triangular, upper = node.unpack(2)
    return mx.linalg.tri_inv(x, upper=upper) if triangular else mx.linalg.inv(x)


@evaluation("Cholesky")
def cholesky(node: Node, x):
    """The Cholesky factor."""
    return mx.linalg.cholesky(x, upper=node.unpack(1)[0])


@evaluation("QRF")
def qr(node: Node, x):
    """Orthogonal and triangular factors."""
    return list(mx.linalg.qr(x))


@evaluation("SVD")
def singular_values(node: Node, x):
    """Singular values, with vectors or without."""
    (vectors,) = node.unpack(1)
    made = mx.linalg.svd(x, compute_uv=vectors)
    return list(made) if vectors else [made]


@evaluation("Eigh")
def symmetric_eigenvalues(node: Node, x):
    """Eigenvalues of a symmetric matrix, with vectors or without."""
    triangle, vectors = node.unpack(2)
    return list(mx.linalg.eigh(x, UPLO=triangle)) if vectors else [mx.linalg.eigvalsh(x, UPLO=triangle)]


@evaluation("Eig")
def eigenvalues(node: Node, x):
    """Eigenvalues of a matrix, with vectors or without."""
    (vectors,) = node.unpack(1)
    return list(mx.linalg.eig(x)) if vectors else [mx.linalg.eigvals(x)]


@evaluation("RandomBits")
def random_bits(node: Node, key):
    """Bits of one key are the same at each call: the warning says so."""
    shape, width = node.unpack(2)
    warnings.warn(
        f"{node.where} draws from a constant random key: the model draws the same numbers at each call",
        stacklevel=2,
    )
    return mx.array(bits(np.array(key), shape, width))
