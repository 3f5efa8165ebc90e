"""Half-precision and quantized checkpoints, at every precision of a package; the truth is in float32."""

import mlx.core as mx

from mlx_coreml.coverage.usage_cases.usage import Kind, Made, call, normal, whole

import mlx.nn as nn  # isort: skip

half = Kind("half type")
DIMS = 64
TYPES = {"fp16": mx.float16, "bf16": mx.bfloat16}


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, dims=DIMS):
        super().__init__()
        self.norm1, self.norm2 = nn.RMSNorm(dims), nn.LayerNorm(dims)
        self.qkv, self.out = nn.Linear(dims, 3 * dims, bias=False), nn.Linear(dims, dims)
        self.up, self.down = nn.Linear(dims, 2 * dims), nn.Linear(2 * dims, dims)
        self.rope = nn.RoPE(16)

    def __call__(self, x):
        b, t, d = x.shape
        q, k, v = (p.reshape(b, t, 4, -1).swapaxes(1, 2) for p in mx.split(self.qkv(self.norm1(x)), 3, -1))
        y = mx.fast.scaled_dot_product_attention(self.rope(q), self.rope(k), v, scale=0.25, mask="causal")
        x = x + self.out(y.swapaxes(1, 2).reshape(b, t, d))
        return x + self.down(nn.gelu(self.up(self.norm2(x))))


class Language(nn.Module):
    """A small language model with tied embeddings."""

    def __init__(self, layers):
        super().__init__()
        self.table, self.norm = nn.Embedding(100, DIMS), nn.RMSNorm(DIMS)
        self.blocks = [Block() for _ in range(layers)]

    def __call__(self, tokens):
        x = self.table(tokens)
        for block in self.blocks:
            x = block(x)
        return self.table.as_linear(self.norm(x))


def mlp() -> nn.Module:
    """Two layers and a norm."""
    return nn.Sequential(nn.Linear(DIMS, DIMS), nn.GELU(), nn.LayerNorm(DIMS), nn.Linear(DIMS, DIMS))


def of(module: nn.Module, dtype: mx.Dtype, x_of, precision: str, bits: int = 0, tolerance=None) -> Made:
    """A module with its numbers in a type, quantized first, called on other inputs."""
    if bits:
        nn.quantize(module, group_size=32, bits=bits)
    module.set_dtype(dtype)
    mx.eval(module.parameters())
    unseen = [call(x_of(1)), call(x_of(2))]
    return Made(module, call(x_of(0)), unseen, {"precision": precision}, tolerance=tolerance)


def vectors(dtype: mx.Dtype):
    """Inputs of a type: numbers, others with a zero row, large ones."""

    def at(i):
        x = normal(4, DIMS) * (1, 1, 4)[i]
        return (mx.concatenate([mx.zeros((1, DIMS)), x[1:]]) if i == 1 else x).astype(dtype)

    return at


def tokens(i):
    """Token ids, other ones, and the last of the vocabulary throughout."""
    return mx.full((1, 12), 99) if i == 2 else whole(0, 100, 1, 12)


def language(layers: int, precision: str, bits: int = 0) -> Made:
    """A language model in bf16. MLX's own graph has RoPE's cosines in bf16: less exact than float32."""
    tolerance = 2e-3 if precision == "float32" else None
    return of(Language(layers), mx.bfloat16, tokens, precision, bits, tolerance)


def _mlps():
    for label, dtype in TYPES.items():
        for precision in ("float32", "mixed", "float16"):

            def build(dtype=dtype, precision=precision):
                return of(mlp(), dtype, vectors(dtype), precision)

            build.__doc__ = f"Layers in {label}, package in {precision}"
            half(build)


def _quantized():
    for bits in (8, 4, 3):
        for precision in ("float32", "float16"):

            def build(bits=bits, precision=precision):
                return language(2, precision, bits)

            build.__doc__ = f"Language model of {bits} bits with bf16 scales, package in {precision}"
            half(build)


def _deep():
    for layers, precision in ((8, "float16"), (8, "float32"), (24, "float32")):

        def build(layers=layers, precision=precision):
            return language(layers, precision)

        build.__doc__ = f"Language model of {layers} layers in bf16, package in {precision}"
        half(build)


_mlps()
_quantized()
_deep()


@half
def convolutions():
    """Convolutions and BatchNorm in fp16, an image of fp16"""
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm(8), nn.SiLU(), nn.Conv2d(8, 4, 3, stride=2))
    images = [normal(1, 12, 12, 3).astype(mx.float16) for _ in range(3)]
    return of(net, mx.float16, images.__getitem__, "float16")


@half
def recurrent():
    """A GRU in bf16, package in float32"""
    return of(
        nn.GRU(DIMS, 32), mx.bfloat16, lambda i: (normal(1, 6, DIMS) * (i + 1)).astype(mx.bfloat16), "float32"
    )


@half
def float32_inside():
    """A softmax and a norm that the model itself computes in float32"""

    class Careful(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin, self.weight = nn.Linear(DIMS, DIMS), mx.ones((DIMS,))

        def __call__(self, x):
            y = self.lin(x).astype(mx.float32)
            y = y * mx.rsqrt(y.square().mean(-1, keepdims=True) + 1e-6)
            return mx.softmax((y * self.weight).astype(x.dtype).astype(mx.float32), axis=-1).astype(x.dtype)

    return of(Careful(), mx.bfloat16, vectors(mx.bfloat16), "float32")


@half
def adapters():
    """A quantized layer with a low-rank adapter in bf16"""

    class Adapted(nn.Module):
        def __init__(self):
            super().__init__()
            self.base = nn.QuantizedLinear(DIMS, DIMS, group_size=64, bits=4)
            self.a, self.b = normal(DIMS, 4) / 8, normal(4, DIMS) / 8

        def __call__(self, x):
            return self.base(x) + ((x @ self.a) @ self.b) * 2.0

    return of(Adapted(), mx.bfloat16, vectors(mx.bfloat16), "float16")


@half
def mixed_types():
    """Layers in bf16 between layers in float32"""
    net = nn.Sequential(nn.Linear(DIMS, DIMS), nn.SiLU(), nn.Linear(DIMS, DIMS))
    net.layers[0].set_dtype(mx.bfloat16)
    return Made(
        net,
        call(vectors(mx.float32)(0)),
        [call(vectors(mx.float32)(i)) for i in (1, 2)],
        {"precision": "float32"},
    )


@half
def half_constants():
    """A table and numbers in fp16 that a closure holds"""
    table, lin = normal(10, DIMS).astype(mx.float16), nn.Linear(DIMS, 8)
    lin.set_dtype(mx.float16)
    wide = table.astype(mx.float32)

    def fn(ids):
        return lin(table[ids] * mx.array(0.7, mx.float16))

    def truth(ids):
        return lin(wide[ids] * mx.array(0.7, mx.float16).astype(mx.float32))

    ids = [mx.array([[1, 2, 3]]), mx.array([[9, 0, 9]]), mx.array([[4, 4, 4]])]
    return Made(fn, call(ids[0]), [call(i) for i in ids[1:]], {"precision": "float32"}, truth)
