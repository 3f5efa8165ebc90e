"""Products of mlx.core: matrices, convolutions, attention, quantized and gathered products, transforms.

https://ml-explore.github.io/mlx/build/html/python/ops.html, fast.html, linalg.html and fft.html
"""

from collections.abc import Mapping

import mlx.core as mx

from mlx_coreml.coverage.cases.case import Draw, booleans, integers, normal

HEADS = normal(2, 4, 6, 8)

ATTENTION = """
    mx.fast.scaled_dot_product_attention(q, k, v, scale=0.3)
    mx.fast.scaled_dot_product_attention(q, k, v, scale=8**-0.5, mask='causal')
    mx.fast.scaled_dot_product_attention(q, k, v, scale=1.0, mask=mx.tri(6, k.shape[2], dtype=mx.bool_))
    mx.fast.scaled_dot_product_attention(q, k, v, scale=0.3, mask=mx.zeros((6, k.shape[2])))
    mx.fast.scaled_dot_product_attention(q, k, v, scale=0.3, sinks=mx.array([0.1, 0.2, -1.0, 3.0]))
    mx.softmax((q * 8**-0.5) @ mx.repeat(k, 4 // k.shape[1], axis=1).swapaxes(-1, -2), axis=-1)
"""

TABLES: list[tuple[Mapping[str, Draw], str]] = [
    ({"x": normal(2, 3, 4), "y": normal(4, 5)}, """
        x @ y
        mx.matmul(x, y)
        mx.addmm(mx.ones((5,)), x, y)
        mx.addmm(mx.ones((3, 5)), x, y, alpha=0.5, beta=2.0)
        mx.tensordot(x, y, 1)
        mx.tensordot(x, y, [[2], [0]])
        mx.inner(x, y.T)
        mx.einsum('abc,cd->abd', x, y)
        mx.einsum('abc,cd->dab', x, y)
        mx.einsum('abc,cd->ad', x, y)
        x[0] @ y
        x[0, 0] @ y
        x @ y[:, 0]
        x @ y + y[0]
        (x @ y).reshape(6, 5).T
    """),
    ({"x": normal(3, 4), "y": normal(3, 4)}, """
        x @ y.T
        x.T @ y
        mx.matmul(x, mx.transpose(y))
        mx.inner(x, y)
        mx.outer(x, y)
        mx.outer(x[0], y[0])
        mx.vecdot(x, y)
        mx.vecdot(x, y, axis=0)
        mx.kron(x[:2], y[:2])
        mx.tensordot(x, y)
        mx.tensordot(x, y, 0)
        mx.tensordot(x, y, [[0], [0]])
        mx.einsum('ab,ab->a', x, y)
        mx.einsum('ab,ab->', x, y)
        mx.einsum('ab,cb->ac', x, y)
        mx.einsum('ab->ba', x)
        mx.einsum('ab->', x)
        mx.einsum('ab,cd->abcd', x, y)
        mx.linalg.cross(x[:, :3], y[:, :3])
    """),
    ({"x": normal(3, 3), "y": normal(3, 3)}, """
        x @ y
        x @ x
        mx.addmm(y, x, y)
        mx.linalg.cross(x, y)
        mx.linalg.cross(x, y, axis=0)
        mx.einsum('aa->a', x)
        mx.einsum('aa->', x)
        mx.einsum('ab,bc,cd->ad', x, y, x)
        mx.trace(x @ y)
        x @ mx.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 10.0]])
        mx.addmm(mx.array([1.0, 2.0, 3.0]), x, mx.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 10.0]]))
        mx.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]) @ x
    """),
    ({"x": normal(6), "y": normal(6)}, """
        x @ y
        mx.inner(x, y)
        mx.outer(x, y)
        mx.vecdot(x, y)
        mx.tensordot(x, y, 1)
    """),
    ({"x": normal(2, 3, 4, 5), "y": normal(2, 3, 5, 6)}, """
        x @ y
        mx.einsum('bhqd,bhdk->bhqk', x, y)
        mx.einsum('bhqd,bhdk->bqhk', x, y)
        x @ y[:1]
        x @ y[:, :1]
        x @ y[0, 0]
        x[0, 0] @ y
        x.swapaxes(-1, -2) @ x
    """),
    ({"x": normal(2, 2, 2, 3, 4), "y": normal(2, 4, 5)}, "x @ y\n x @ y[0]"),
    ({"x": normal(9), "y": normal(4)}, """
        mx.convolve(x, y)
        mx.convolve(x, y, mode='same')
        mx.convolve(x, y, mode='valid')
        mx.convolve(x, mx.array([1.0, 2.0, 3.0]))
    """),
    ({"x": normal(2, 9, 4), "w": normal(6, 3, 4)}, """
        mx.conv1d(x, w)
        mx.conv1d(x, w, stride=2, padding=1)
        mx.conv1d(x, w, dilation=2)
        mx.conv1d(x[..., :2], w[..., :1], groups=2)
        mx.conv_transpose1d(x, w)
        mx.conv_transpose1d(x, w, stride=2, padding=1, output_padding=1)
        mx.conv_general(x, w, stride=2, padding=([1], [2]))
        mx.conv_general(x, w, input_dilation=2, kernel_dilation=2, padding=3)
        mx.conv_general(x, w, flip=True)
    """),
    ({"x": normal(2, 7, 8, 4), "w": normal(6, 3, 2, 4)}, """
        mx.conv2d(x, w)
        mx.conv2d(x, w, stride=(2, 1), padding=(1, 0))
        mx.conv2d(x, w, dilation=2, padding=2)
        mx.conv_transpose2d(x, w)
        mx.conv_transpose2d(x, w, stride=2, padding=1)
        mx.conv_transpose2d(x, w, stride=(1, 2), dilation=(2, 1), output_padding=(0, 1))
        mx.conv_transpose2d(x, w[..., :2], groups=2)
        mx.conv_general(x, w, padding=([1, 0], [2, 1]))
        mx.conv_general(x, w, stride=2, padding=1, input_dilation=(2, 1), flip=True)
        mx.conv_general(x, w[..., :2], groups=2, kernel_dilation=(1, 2))
    """),
    ({"x": normal(2, 7, 8, 4)}, """
        mx.conv2d(x, mx.ones((6, 3, 3, 4)) * 0.1)
        mx.conv2d(x, mx.ones((4, 3, 3, 1)) * 0.1, padding=1, groups=4)
        mx.conv2d(x, mx.arange(6 * 2 * 2 * 4).reshape(6, 2, 2, 4) / 96, stride=2) + mx.arange(6)
        mx.conv_transpose2d(x, mx.arange(6 * 2 * 2 * 4).reshape(6, 2, 2, 4) / 96, stride=2)
        mx.conv_general(x, mx.arange(6 * 2 * 2 * 4).reshape(6, 2, 2, 4) / 96, padding=([1, 0], [0, 1]))
    """),
    ({"x": normal(1, 4, 5, 4, 2), "w": normal(3, 2, 3, 2, 2)}, """
        mx.conv3d(x, w)
        mx.conv3d(x, w, stride=2, padding=1)
        mx.conv_transpose3d(x, w)
        mx.conv_transpose3d(x, w, stride=(1, 2, 2), padding=(0, 1, 0))
        mx.conv_general(x, w, padding=([0, 1, 1], [1, 1, 0]))
    """),
    ({"x": normal(2, 5, 8), "w": normal(8), "z": normal(8)}, """
        mx.fast.rms_norm(x, w, 1e-5)
        mx.fast.rms_norm(x, None, 1e-3)
        mx.fast.layer_norm(x, w, z, 1e-5)
        mx.fast.layer_norm(x, w, None, 1e-5)
        mx.fast.layer_norm(x, None, z, 1e-5)
        mx.fast.layer_norm(x, None, None, 1e-2)
        mx.fast.rms_norm(x.astype(mx.float16), None, 1e-3)
    """),
    ({"x": HEADS}, """
        mx.fast.rope(x, 8, traditional=False, base=10000.0, scale=1.0, offset=0)
        mx.fast.rope(x, 8, traditional=True, base=10000.0, scale=1.0, offset=0)
        mx.fast.rope(x, 4, traditional=False, base=500.0, scale=0.5, offset=3)
        mx.fast.rope(x, 4, traditional=True, base=500.0, scale=2.0, offset=7)
        mx.fast.rope(x, 8, traditional=False, base=None, scale=1.0, offset=2, freqs=mx.arange(1.0, 5.0))
        mx.hadamard_transform(x)
        mx.hadamard_transform(x, scale=0.5)
    """),
    ({"x": normal(2, 24)}, "mx.hadamard_transform(x)"),
    ({"x": HEADS, "i": integers(0, 9, 1)}, """
        mx.fast.rope(x, 8, traditional=False, base=10000.0, scale=1.0, offset=i[0])
        mx.fast.rope(x, 8, traditional=True, base=10000.0, scale=1.0, offset=i[0])
    """),
    ({"x": HEADS, "i": integers(0, 9, 2)},
     "mx.fast.rope(x, 8, traditional=False, base=10000.0, scale=1.0, offset=i)"),
    ({"q": HEADS, "k": HEADS, "v": HEADS}, ATTENTION),
    ({"q": HEADS, "k": normal(2, 2, 9, 8), "v": normal(2, 2, 9, 8)}, ATTENTION),
    ({"q": HEADS, "k": normal(2, 1, 6, 8), "v": normal(2, 1, 6, 5)}, ATTENTION),
    ({"q": HEADS, "k": HEADS, "v": HEADS, "b": booleans(2, 1, 6, 6)},
     "mx.fast.scaled_dot_product_attention(q, k, v, scale=0.3, mask=b | mx.eye(6, dtype=mx.bool_))"),
    ({"q": HEADS, "k": HEADS, "v": HEADS, "m": normal(6, 6)},
     "mx.fast.scaled_dot_product_attention(q, k, v, scale=0.3, mask=m)"),
    ({"x": normal(4, 6), "i": integers(0, 6, 4)}, "mx.fast.cross_entropy(x, i)"),
    ({"q": normal(1, 3, 2, 4), "k": normal(1, 3, 2, 4), "v": normal(1, 3, 2, 5), "g": normal(1, 3, 2),
      "z": normal(1, 3, 2)},
     "mx.fast.gated_delta_update(q, k, v, mx.sigmoid(g), mx.sigmoid(z))"),
    ({"x": normal(3, 128)}, """
        mx.quantized_matmul(x, *mx.quantize(mx.cos(mx.arange(1024)).reshape(8, 128)), group_size=64, bits=4)
        mx.quantized_matmul(x, *mx.quantize(mx.cos(mx.arange(512)).reshape(4, -1), 32, 8), True, 32, 8)
        mx.quantized_matmul(x, *mx.quantize(mx.cos(mx.arange(8192)).reshape(128, 64), 64, 4), transpose=False)
        x @ mx.dequantize(*mx.quantize(mx.cos(mx.arange(1024)).reshape(8, 128), 32, 4), 32, 4).T
        mx.block_masked_mm(mx.pad(x, ((0, 29), (0, 0))), mx.ones((128, 32)), 32)
        mx.block_masked_mm(mx.pad(x, ((0, 29), (0, 0))), mx.ones((128, 32)), 32, mx.array([[True]]))
    """),
    ({"x": normal(5, 1, 4), "w": normal(3, 4, 6), "i": integers(0, 3, 5, dtype=mx.uint32)}, """
        mx.gather_mm(x, w, rhs_indices=i)
        mx.gather_mm(x, w, lhs_indices=mx.array([0, 2, 4]), rhs_indices=mx.array([2, 1, 1]))
        mx.gather_qmm(mx.tile(x, 16), *mx.quantize(mx.cos(mx.arange(1536)).reshape(3, 8, 64)), rhs_indices=i)
    """),
    ({"x": normal(2, 8)}, """
        mx.abs(mx.fft.fft(x))
        mx.real(mx.fft.fft(x))
        mx.imag(mx.fft.fft(x, axis=0))
        mx.abs(mx.fft.rfft(x))
        mx.imag(mx.fft.rfft(x, n=6))
        mx.fft.irfft(mx.fft.rfft(x))
        mx.real(mx.fft.ifft(mx.fft.fft(x)))
        mx.abs(mx.fft.fft2(x))
        mx.abs(mx.fft.rfft2(x))
        mx.real(mx.fft.ifft2(mx.fft.fft2(x)))
        mx.fft.irfft2(mx.fft.rfft2(x))
        mx.abs(mx.fft.fftn(x))
        mx.abs(mx.fft.rfftn(x))
        mx.real(mx.fft.ifftn(mx.fft.fftn(x)))
        mx.fft.irfftn(mx.fft.rfftn(x))
        mx.fft.fftshift(x)
        mx.fft.ifftshift(x, axes=1)
        x * mx.fft.fftfreq(8)
        x[:, :5] * mx.fft.rfftfreq(8)
    """),
    ({"x": normal(64)}, """
        mx.abs(mx.fft.stft(x, n_fft=16, hop_length=8))
        mx.fft.istft(mx.fft.stft(x, n_fft=16, hop_length=8), n_fft=16, hop_length=8)
    """),
]  # fmt: skip
