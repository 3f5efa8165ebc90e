"""MLX's transformations, custom functions, random numbers, and numbers that Python reads."""

import random
from types import SimpleNamespace

import mlx.core as mx
import numpy as np

from mlx_coreml.coverage.usage_cases.usage import Kind, Made, call, normal

import mlx.nn as nn  # isort: skip

transforms = Kind("transform")


class Energy(nn.Module):
    """An energy and its forces."""

    def __init__(self):
        super().__init__()
        self.hidden, self.out = nn.Linear(4, 8), nn.Linear(8, 1)

    def energy(self, x):
        return self.out(nn.silu(self.hidden(x))).sum()

    def __call__(self, x):
        energy, slope = mx.value_and_grad(self.energy)(x)
        return energy, -slope


def of(fn, **options) -> Made:
    """A function of x, called on other numbers, large ones and a zero row."""
    unseen = [
        call(normal(2, 4)),
        call(5 * normal(2, 4)),
        call(mx.concatenate([mx.zeros((1, 4)), normal(1, 4)])),
    ]
    return Made(fn, call(normal(2, 4)), unseen, options)


@transforms
def vmap_of_module():
    """vmap of a module"""
    return of(mx.vmap(nn.Linear(4, 3)))


@transforms
def vmap_inside():
    """vmap of two modules inside a module"""

    class Each(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin, self.norm = nn.Linear(4, 3), nn.LayerNorm(3)

        def __call__(self, x):
            return mx.vmap(lambda row: self.norm(self.lin(row)))(x)

    return of(Each())


@transforms
def vmap_over_both():
    """vmap of vmap over two arrays"""
    weight = normal(4)

    def fn(x):
        pair = mx.vmap(mx.vmap(lambda a, b: mx.tanh(a * b * weight).sum(), (None, 0)), (0, None))
        return pair(x, x)

    return of(fn)


@transforms
def vmap_over_members():
    """vmap over an ensemble's weights"""
    weights = normal(5, 4, 3)
    return of(lambda x: mx.vmap(lambda w: nn.gelu(x @ w))(weights).mean(0))


@transforms
def gradient():
    """The gradient of a scalar"""
    lin = nn.Linear(4, 3)
    return of(mx.grad(lambda x: mx.tanh(lin(x)).sum()))


@transforms
def value_and_gradient():
    """A value and its gradient in a module"""
    return of(Energy())


@transforms
def vmap_of_gradient():
    """vmap of the gradient of a module"""
    model = Energy()
    return of(mx.vmap(mx.grad(model.energy)))


@transforms
def jvp():
    """A Jacobian-vector product"""
    lin = nn.Linear(4, 3)
    return of(lambda x: mx.jvp(lambda v: mx.tanh(lin(v)), [x], [mx.ones_like(x)])[1][0])


@transforms
def vjp():
    """A vector-Jacobian product"""
    lin = nn.Linear(4, 3)
    return of(lambda x: mx.vjp(lambda v: mx.tanh(lin(v)), [x], [x[:, :3]])[1][0])


@transforms
def second_derivative():
    """A Hessian-vector product"""
    model = Energy()
    return of(lambda x: mx.jvp(mx.grad(model.energy), [x], [mx.ones_like(x)])[1][0])


@transforms
def gradient_of_norm():
    """The gradient through a norm and a softmax"""
    norm, lin = nn.LayerNorm(4), nn.Linear(4, 4)
    return of(mx.grad(lambda x: (mx.softmax(lin(norm(x)), axis=-1) * mx.arange(4)).sum()))


@transforms
def checkpoint():
    """A checkpointed block"""
    lin = nn.Linear(4, 3)
    return of(lambda x: mx.checkpoint(lambda y: mx.tanh(lin(y)))(x))


@transforms
def compiled_inside():
    """A compiled function inside a pipeline's method"""
    pipe = SimpleNamespace(lin=nn.Linear(4, 3), act=mx.compile(lambda x: x * mx.sigmoid(1.7 * x)))
    return of(lambda x: pipe.act(pipe.lin(x)))


@transforms
def custom_function():
    """A custom function with its own derivative"""
    lin = nn.Linear(4, 3)

    @mx.custom_function
    def straight(x):
        return mx.round(x)

    @straight.vjp
    def derivative(primals, cotangents, _):
        return cotangents

    return of(lambda x: straight(4 * lin(x)) / 4)


@transforms
def stopped_gradient():
    """A straight-through estimator inside a gradient"""
    lin = nn.Linear(4, 3)

    def loss(x):
        y = lin(x)
        return (y + mx.stop_gradient(mx.sign(y) - y)).square().sum() + (y * y).sum()

    return of(mx.grad(loss))


@transforms
def einsum():
    """Sums by einsum over several arrays"""
    a, b = normal(4, 5), normal(5, 3)
    return of(lambda x: mx.einsum("bi,ij,jk->bk", x, a, b))


@transforms
def kernel_with_fallback():
    """A Metal kernel with a fallback for other machines"""

    class Swish(nn.Module):
        def __call__(self, x):
            if mx.metal.is_available() and mx.default_device() == mx.gpu:
                kernel = mx.fast.metal_kernel(
                    name="swish", input_names=["x"], output_names=["y"],
                    source="uint i = thread_position_in_grid.x; y[i] = x[i] / (1 + metal::exp(-x[i]));",
                )  # fmt: skip
                shapes = {"output_shapes": [x.shape], "output_dtypes": [x.dtype]}
                return kernel(inputs=[x], grid=(x.size, 1, 1), threadgroup=(32, 1, 1), **shapes)[0]
            return x * mx.sigmoid(x)

    return of(Swish())


random_numbers = Kind("random")


@random_numbers.refused(r"draws random numbers by mx.random.normal .*pass the noise")
def noise():
    """Noise that is added"""
    lin = nn.Linear(4, 3)
    return of(lambda x: lin(x) + mx.random.normal((2, 3)))


@random_numbers.refused(r"draws random numbers by mx.random.normal")
def little_noise():
    """Noise too little for a comparison to notice, in float16"""
    lin = nn.Linear(4, 3)
    return of(lambda x: lin(x) + 1e-4 * mx.random.normal((2, 3)), precision="float16")


@random_numbers
def noise_as_input():
    """Noise as an input: the sample of a variational autoencoder"""
    lin = nn.Linear(4, 6)

    def sample(x, noise=None):
        mean, deviation = mx.split(lin(x), 2, axis=-1)
        return mean + mx.exp(0.5 * deviation) * (mx.random.normal(mean.shape) if noise is None else noise)

    unseen = [call(normal(2, 4), normal(2, 3)), call(mx.zeros((2, 4)), mx.zeros((2, 3)))]
    return Made(lambda x: sample(x), call(normal(2, 4)), unseen, {"random": "input"}, truth=sample)


@random_numbers
def two_noises_as_inputs():
    """Normal and uniform noise as inputs, with location and scale"""
    lin = nn.Linear(4, 3)

    def fn(x):
        return lin(x) + mx.random.normal((2, 3), loc=1.0, scale=0.5) * mx.random.uniform(-1, 3, (2, 1))

    def truth(x, a, b):
        return lin(x) + (1 + 0.5 * a) * (4 * b - 1)

    unseen = [call(normal(2, 4), normal(2, 3), mx.random.uniform(shape=(2, 1))) for _ in range(2)]
    return Made(fn, call(normal(2, 4)), unseen, {"random": "input"}, truth)


@random_numbers
def constant_key():
    """Numbers drawn from a fixed key"""
    lin, key = nn.Linear(4, 3), mx.random.key(7)
    return of(lambda x: lin(x) + mx.random.normal((2, 3), key=key))


@random_numbers
def dropout_in_training():
    """Dropout of a pipeline in training mode"""
    pipe = SimpleNamespace(net=nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.01)))
    return of(lambda x: pipe.net(x) * 1.0)


@random_numbers.refused(r"does not repeat itself|random")
def numpy_noise():
    """Noise of NumPy"""
    lin = nn.Linear(4, 3)
    return of(lambda x: lin(x) + mx.array(np.random.standard_normal((2, 3)).astype(np.float32)))  # noqa: NPY002


@random_numbers.refused(r"does not repeat itself|random")
def python_noise():
    """A random number of Python"""
    lin = nn.Linear(4, 3)
    return of(lambda x: lin(x) * (1 + 1e-5 * random.random()))


@random_numbers.refused(r"reads the numbers.*transforms\.py")
def number_read():
    """A number that Python reads"""
    return of(lambda x: x / x.max().item())


@random_numbers.refused(r"reads the numbers.*transforms\.py")
def branch_on_number():
    """A branch on a number"""
    lin = nn.Linear(4, 3)
    return of(lambda x: lin(x) if x.sum() > 0 else lin(-x))


@random_numbers.refused(r"reads the numbers.*transforms\.py")
def list_read():
    """Indices made of numbers that Python reads"""
    return of(lambda x: x[:, : int(mx.argmax(x[0])) + 1])
