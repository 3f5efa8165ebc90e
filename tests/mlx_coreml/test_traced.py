"""What is traced: transformations of modules, random numbers, functions that differ at each call, kernels."""

import itertools
import random
import time
import warnings

import mlx.nn as nn
import numpy as np
import pytest

from mlx_coreml import CaptureError, ConversionError, NotRepeatableError, convert
from mlx_coreml.capture.tracing import capture
from twins.frameworks import mx

X = mx.array(np.random.default_rng(2).standard_normal((2, 4)).astype(np.float32))
LINEAR = nn.Linear(4, 3)
WEIGHT = mx.array(np.random.default_rng(3).standard_normal((4, 3)).astype(np.float32))


class Mapped(nn.Module):
    """Maps two modules over the first axis."""

    def __init__(self):
        super().__init__()
        self.linear, self.norm = nn.Linear(4, 3), nn.LayerNorm(3)

    def __call__(self, x):
        return mx.vmap(lambda row: self.norm(self.linear(row)))(x)


class Energy(nn.Module):
    """A potential with its forces."""

    def __init__(self):
        super().__init__()
        self.linear, self.out = nn.Linear(4, 8), nn.Linear(8, 1)

    def energy(self, x):
        return self.out(nn.silu(self.linear(x))).sum()

    def __call__(self, x):
        energy, gradient = mx.value_and_grad(self.energy)(x)
        return energy, -gradient


NETWORK = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm(3))
TRANSFORMED = {
    "vmap of a module": lambda x: mx.vmap(LINEAR)(x),
    "vmap itself": mx.vmap(lambda row: LINEAR(row)),
    "vmap of a module itself": mx.vmap(LINEAR),
    "a module that maps": nn.Sequential(Mapped(), nn.Linear(3, 2)),
    "vmap of grad": mx.vmap(mx.grad(lambda row: mx.tanh(LINEAR(row)).sum())),
    "vmap of grad inside": lambda x: mx.vmap(mx.grad(lambda row: mx.tanh(LINEAR(row)).sum()))(x),
    "axes of vmap": lambda x: mx.vmap(lambda row, w: LINEAR(row) @ w, in_axes=(0, None))(x, WEIGHT[:3]),
    "energy and forces": Energy(),
    "jvp": lambda x: mx.jvp(lambda v: mx.tanh(LINEAR(v)), [x], [x])[1][0],
    "vjp": lambda x: mx.vjp(lambda v: mx.tanh(LINEAR(v)), [x], [x[:, :3]])[1][0],
    "gradients of weights": lambda x: nn.value_and_grad(NETWORK, lambda y: NETWORK(y).square().sum())(x),
    "checkpoint": lambda x: mx.checkpoint(lambda v: mx.tanh(LINEAR(v)))(x),
}


@pytest.mark.parametrize("name", TRANSFORMED)
def test_a_transformation_of_modules_converts(name):
    weight = NETWORK.layers[0].weight
    model = convert(TRANSFORMED[name], X, precision="float32")
    assert "passes" in model.user_defined_metadata["verified"]
    assert NETWORK.layers[0].weight is weight and NETWORK.training


def test_modules_around_a_mapped_one_keep_their_paths():
    graph = capture(nn.Sequential(Mapped(), nn.Linear(3, 2)), X)
    assert {node.path for node in graph.nodes if node.kind == "AddMM"} >= {"layers.1"}


GENERATOR, COUNT, DRAW = np.random.default_rng(0), itertools.count(), mx.random.normal
CALLS: list = []


class Noisy(nn.Module):
    def __call__(self, x):
        return x + 1e-6 * mx.random.normal(x.shape)


def counting(x):
    CALLS.append(1)
    return x * len(CALLS)


class Counter:
    calls = 0

    def __call__(self, x):
        self.calls += 1
        return x + self.calls


UNREPEATABLE = {
    r"mx.random.normal \(test_traced.py:\d+, in <lambda>\).*random='input'": (
        lambda x: x + 0.005 * mx.random.normal((2, 4))
    ),
    r"mx.random.normal \(test_traced.py:\d+, in __call__, module layers.1\)": nn.Sequential(
        nn.Tanh(), Noisy()
    ),
    r"by mx.random.multivariate_normal .* fixed numbers$": (
        lambda x: x + mx.random.multivariate_normal(mx.zeros(4), mx.eye(4), stream=mx.cpu)
    ),
    r"draws random numbers of MLX": lambda x: x + DRAW((2, 4)),
    r"changes numpy.random \(test_traced.py": lambda x: LINEAR(x) + 1e-6 * float(np.random.rand()),  # noqa: NPY002
    r"by random.random \(test_traced.py:\d+, in <lambda>\)": lambda x: x * (1 + 1e-6 * random.gauss(0, 1)),
    r"changes GENERATOR \(test_traced.py": lambda x: x + mx.array(GENERATOR.standard_normal(4)) * 1e-6,
    r"by time.perf_counter \(test_traced.py": lambda x: x * (1 + 1e-6 * (time.perf_counter() * 1e6 % 97)),
    r"does not repeat itself \(test_traced.py:\d+, in <lambda>\)": lambda x: x * next(COUNT),
    r"counting .* changes CALLS \(test_traced.py:\d+, in counting\): one call has": counting,
    r"Counter .* changes its own attributes \(test_traced.py:\d+, in __call__\)": Counter(),
}


@pytest.mark.parametrize("told", UNREPEATABLE)
def test_what_differs_at_each_call_is_refused_with_its_place(told):
    states = [key.tolist() for key in mx.random.state], random.getstate(), GENERATOR.bit_generator.state
    with pytest.raises(NotRepeatableError, match=told) as refused:
        convert(UNREPEATABLE[told], X)
    assert "\n" not in str(refused.value) and CALLS == [] and not Counter.calls
    assert states == (
        [key.tolist() for key in mx.random.state],
        random.getstate(),
        GENERATOR.bit_generator.state,
    )


def test_a_refusal_that_the_function_catches_is_one_all_the_same():
    def fn(x):
        try:
            return x + mx.random.normal((2, 4))
        except ValueError:
            return x

    with pytest.raises(NotRepeatableError, match=r"mx\.random\.normal"):
        capture(fn, X)


def test_what_counts_without_changing_its_result_converts_and_is_given_back():
    def fn(x):
        CALLS.append(x.shape)
        return LINEAR(x)

    assert capture(fn, X).kinds()["AddMM"] == 1 and CALLS == []


def test_numbers_of_a_key_are_constants():
    with pytest.warns(UserWarning, match="draws from a constant random key") as warned:
        fixed = lambda x: x + sum(mx.random.normal((2, 4), key=mx.random.key(i)) for i in range(3))  # noqa: E731
        assert len(convert(fixed, X).get_spec().description.input) == 1
    assert len(warned) == 1  # one cause


DRAWN = {
    "normal": (lambda: mx.random.normal((500,), loc=2.0, scale=3.0), 2.0, 3.0),
    "uniform": (lambda: mx.random.uniform(-1, 3, (500,)), 1.0, 4 / 12**0.5),
    "bernoulli": (lambda: mx.random.bernoulli(0.25, (500,)).astype(mx.float32), 0.25, 0.433),
    "randint": (lambda: mx.random.randint(0, 5, (500,)).astype(mx.float32), 2.0, 2**0.5),
    "gumbel": (lambda: mx.random.gumbel((500,)), 0.5772, 1.2825),
    "laplace": (lambda: mx.random.laplace((500,), loc=1.0, scale=2.0), 1.0, 8**0.5),
    "truncated_normal": (lambda: mx.random.truncated_normal(-1.0, 1.0, (500,)), 0.0, 0.5396),
    "categorical": (
        lambda: mx.random.categorical(mx.log(mx.array([0.2, 0.8])), num_samples=500).astype(mx.float32),
        *(0.8, 0.4),
    ),
    "permutation": (lambda: mx.random.permutation(500).astype(mx.float32), 249.5, 144.3),
}


@pytest.mark.parametrize("name", DRAWN)
def test_draws_become_inputs_with_the_distribution_asked_for(name):
    from mlx_coreml.capture.arguments import bind
    from mlx_coreml.capture.tracing import as_flat

    draw, mean, deviation = DRAWN[name]
    bound = bind(lambda x: draw() + 0 * x.sum(), [X], random=True)
    graph = capture(bound)
    assert [tensor.name for tensor in graph.inputs] == ["x", "random_0"] and "RandomBits" not in graph.kinds()
    made = np.array(as_flat(bound, bound.arrays)(*bound.arrays)[0])
    assert abs(made.mean() - mean) < 5 * deviation / 500**0.5 and abs(made.std() / deviation - 1) < 0.15


def test_a_package_with_noise_as_inputs_passes_the_check():
    def fn(x):
        return LINEAR(x) + 0.1 * mx.random.normal((2, 3)) * mx.random.uniform(0, 1, (2, 3))

    model = convert(fn, X, random="input")
    assert [f.name for f in model.get_spec().description.input] == ["x", "random_0", "random_1"]
    assert model.user_defined_metadata["random_inputs"] == "random_0: normal, random_1: uniform"


KERNEL = mx.fast.metal_kernel(
    name="twice",
    input_names=["x"],
    output_names=["y"],
    source="uint i = thread_position_in_grid.x; y[i] = x[i];",
)


def on_gpu(x):
    (y,) = KERNEL(
        inputs=[x],
        grid=(x.size, 1, 1),
        threadgroup=(1, 1, 1),
        output_shapes=[x.shape],
        output_dtypes=[x.dtype],
    )
    return y


class WithFallback(nn.Module):
    def __call__(self, x):
        if mx.metal.is_available() and mx.default_device() == mx.gpu:
            return on_gpu(x)
        return x * 2


class WithoutFallback(nn.Module):
    def __call__(self, x):
        return on_gpu(x)


def test_a_kernel_with_a_fallback_converts_by_the_fallback(monkeypatch):
    monkeypatch.setattr(
        mx.metal, "is_available", lambda: True
    )  # as on a Mac, whose default device is the GPU
    assert capture(nn.Sequential(LINEAR, WithFallback()), X).kinds()["Multiply"] == 1


def test_a_kernel_without_one_is_named_with_its_line_and_module():
    told = (
        r"Sequential runs a custom Metal kernel, twice\S* \(test_traced.py:\d+, in on_gpu, module layers.1\)"
    )
    with pytest.raises(CaptureError, match=told) as refused:
        convert(nn.Sequential(LINEAR, WithoutFallback()), X)
    assert "\n" not in str(refused.value) and "give it a fallback" in str(refused.value)


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = LINEAR

    def __call__(self, x):
        y = self.linear(x)
        return y if y.sum() > 0 else -y


READ = {
    r"\(line \d+ of __call__\) in test_traced.py, module layers.0: array\(bool\[\]\) as a truth": (
        nn.Sequential(Branching())
    ),
    r"array\(int32\[\]\) as an index, a size or a range": lambda x: x[: [1, 2][x.argmax().astype(mx.int32)]],
    r"by float\(\)": lambda x: x * float(x.max()),
    r"by np.asarray\(\)": lambda x: mx.array(np.asarray(x)),
}


@pytest.mark.parametrize("told", READ)
def test_reading_numbers_names_the_line_the_module_and_the_value(told):
    with pytest.raises(CaptureError, match=told):
        capture(READ[told], X)


def test_a_function_may_print_and_evaluate(capsys):
    def fn(x):
        y = LINEAR(x)
        print("y:", y, f"{y}")
        mx.eval(y)
        return y

    assert capture(fn, X).kinds()["AddMM"] == 1
    assert "y: array(float32[2, 3])" in capsys.readouterr().out


@mx.custom_function
def spike(x):
    return (x > 0).astype(mx.float32)


@spike.vjp
def surrogate(primals, cotangents, _):
    return cotangents / (1 + primals * primals)


def test_a_custom_function_with_its_own_derivative_converts_and_is_left_alone():
    convert(lambda x: spike(x) * 2, X)
    convert(lambda x: mx.grad(lambda v: spike(v).sum())(x), X)  # its derivative alone
    with pytest.raises(CaptureError, match="a custom function that has its own"):
        convert(lambda x: mx.value_and_grad(lambda v: spike(v).sum())(x), X)
    np.testing.assert_array_equal(np.array(mx.grad(lambda v: spike(v).sum())(X)), 1 / (1 + np.array(X) ** 2))


def test_layers_made_inside_are_in_evaluation_mode():
    def fn(x):
        return nn.Dropout(0.5)(nn.BatchNorm(4)(x))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "passes" in convert(fn, X).user_defined_metadata["verified"]


def test_errors_are_of_one_family():
    assert issubclass(NotRepeatableError, CaptureError) and issubclass(CaptureError, ConversionError)
