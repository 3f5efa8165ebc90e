"""The methods and operators of MLX's arrays, as models spell most operations, and its function transforms.

https://ml-explore.github.io/mlx/build/html/python/array.html
"""

from collections.abc import Mapping

from mlx_coreml.coverage.cases.case import Draw, booleans, integers, normal, uniform

TABLES: list[tuple[Mapping[str, Draw], str]] = [
    ({"x": uniform(0.2, 3, 2, 3, 4)}, """
        x.T
        x.mT
        x.abs()
        x.all(axis=-1)
        x.any()
        x.argmax(axis=1)
        x.argmin(axis=-1, keepdims=True)
        x.astype(x.dtype)
        x.cos()
        x.cummax(axis=1)
        x.cummin(axis=1)
        x.cumprod(axis=1)
        x.cumsum(axis=2)
        x.diagonal(0, 1, 2)
        x.exp()
        x.flatten(1)
        x.log()
        x.log10()
        x.log1p()
        x.log2()
        x.logcumsumexp(axis=2)
        x.logsumexp(axis=-1)
        x.max(axis=(0, 2))
        x.mean(axis=1, keepdims=True)
        x.min(axis=0)
        x.moveaxis(0, 1)
        x.prod(axis=2)
        x.reciprocal()
        x.reshape(2, -1)
        x.reshape((3, 8))
        x.round(1)
        x.rsqrt()
        x.sin()
        x.split(2, axis=2)
        x.sqrt()
        x.square()
        x[:, :1].squeeze(1)
        x.std(axis=-1)
        x.sum(axis=(1, 2))
        x.swapaxes(0, 2)
        x.transpose(1, 0, 2)
        x.var(axis=0)
        x[0, 0].diag()
        x + 1
        1 + x
        x - 0.5
        2 - x
        x * x
        x / 2
        2 / x
        x // 0.7
        x % 0.7
        x ** 2.5
        x ** -1
        -x
        x == x
        x != 1
        x < 1
        1 <= x
        x @ x.mT
    """),
    ({"x": normal(2, 3), "y": normal(2, 3)}, """
        x + y - y * x / (y * y + 1)
        (x > y) & (x > 0)
        (x > y) | (x < 0)
    """),
    ({"x": integers(-8, 9, 2, 3)}, """
        x.sum()
        x.max(axis=0)
        x.abs()
        x.astype(x.dtype) * 2
        x.mean()
        x.square()
        -x
        x - 3
        3 - x
        x > 2
        x.view(x.dtype)
        x.conj()
        x.real
        x.imag
    """),
    ({"x": booleans(2, 3)}, """
        ~x
        x.all()
        x.any(axis=0)
        x.sum()
        x.argmax(axis=1)
        x & True
        x | x[:1]
    """),
    ({"x": normal(3, 4)}, """
        mx.compile(lambda v: mx.exp(v) * v)(x)
        mx.vmap(lambda v: v @ v)(x)
        mx.vmap(lambda v, w: v * w.sum(), in_axes=(0, None))(x, x)
        mx.grad(lambda v: (v ** 2).sum())(x)
        mx.grad(lambda v: mx.softmax(v, axis=-1)[:, 0].sum())(x)
        mx.value_and_grad(lambda v: mx.tanh(v).mean())(x)
        mx.jvp(mx.sin, [x], [x])[1][0]
        mx.vjp(mx.exp, [x], [x])[1][0]
        mx.checkpoint(mx.exp)(x)
        mx.custom_function(mx.sin)(x)
        x + mx.random.normal((3, 4), key=mx.random.key(1))
        x @ mx.linalg.inv(mx.eye(4) * 2)
        [x, (x + 1, {'a': x * 2, 'b': [x - 1]})]
        sum(x[i] * i for i in range(3))
        (lambda f: f(f(x)))(lambda v: mx.maximum(v, 0) + 1)
    """),
]  # fmt: skip
