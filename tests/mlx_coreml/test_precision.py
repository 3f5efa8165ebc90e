"""fp16 programs at the edges of fp16's range agree with MLX on the strict runtime, without nan or inf."""

import coremltools as ct
import mlx.nn as nn
import numpy as np
import pytest

from coreml_runtime import load
from mlx_coreml import WrongModelError, convert
from mlx_coreml.backends.mil.program import build
from mlx_coreml.capture.tracing import capture
from mlx_coreml.passes import simplify
from twins.frameworks import mx

RNG = np.random.default_rng(0)
LOWEST = mx.finfo(mx.float32).min
SEEN = mx.array(np.tril(np.ones((16, 16), bool)))
PADDED = mx.array(np.arange(16)[:, None] >= 4)  # the first rows see nothing at all


def normal(*shape, scale=1.0):
    return mx.array((scale * RNG.standard_normal(shape)).astype(np.float32))


def uniform(*shape):
    return mx.array(RNG.random(shape, np.float32))


LARGE, SCORES = normal(4, 64, scale=400), normal(2, 16, 16, scale=30)


def mask(kept, number):
    return mx.broadcast_to(mx.where(kept, 0.0, number), (16, 16))


def attend(x, seen=None):
    return mx.fast.scaled_dot_product_attention(x, x, x, scale=0.25, mask="causal" if seen is None else seen)


CASES = {
    "-inf added": (lambda x: mx.softmax(x + mask(SEEN, -mx.inf), axis=-1), SCORES),
    "lowest number added": (lambda x: mx.softmax(x + mask(SEEN, LOWEST), axis=-1), SCORES),
    "rows masked as a whole": (lambda x: mx.softmax(x + mask(PADDED, LOWEST), axis=-1), SCORES),
    "-inf selected": (lambda x: mx.softmax(mx.where(SEEN, x, -mx.inf), axis=-1), SCORES),
    "lowest number selected": (lambda x: mx.softmax(mx.where(SEEN, x, LOWEST), axis=-1), SCORES),
    "a mask as input": (lambda x, m: mx.softmax(x + m, axis=-1), SCORES, mask(SEEN, LOWEST)),
    "an infinite mask as input": (lambda x, m: mx.softmax(x + m, axis=-1), SCORES, mask(SEEN, -mx.inf)),
    "a boolean mask as input": (lambda x, m: mx.softmax(mx.where(m, x, LOWEST), axis=-1), SCORES, SEEN),
    "causal attention": (attend, normal(1, 2, 16, 16, scale=10)),
    "attention with a mask": (attend, normal(1, 2, 16, 16, scale=10), SEEN),
    "softmax of a long row": (lambda x: mx.softmax(x, axis=-1), normal(2, 50000, scale=3)),
    "layer norm": (nn.LayerNorm(64, eps=1e-12), LARGE),
    "layer norm of equal numbers": (nn.LayerNorm(64, eps=1e-12), mx.full((2, 64), 0.25)),
    "RMS norm": (nn.RMSNorm(64, eps=1e-12), LARGE),
    "RMS norm of larger numbers": (nn.RMSNorm(64, eps=1e-12), 10 * LARGE),
    "group norm": (nn.GroupNorm(4, 64, pytorch_compatible=True), normal(2, 8, 8, 64, scale=400)),
    "instance norm": (nn.InstanceNorm(64), normal(2, 8, 8, 64, scale=400)),
    "a long sum": (lambda x: mx.sum(x, axis=-1), uniform(2, 100000)),
    "a long mean": (lambda x: mx.mean(x, axis=-1), uniform(2, 100000)),
    "a running sum": (lambda x: mx.cumsum(x, axis=-1), uniform(2, 5000)),
    "variance": (lambda x: mx.var(x, axis=-1), LARGE),
    "standard deviation": (lambda x: mx.std(x, axis=-1), LARGE),
    "a length": (lambda x: x / mx.maximum(mx.linalg.norm(x, axis=-1, keepdims=True), 1e-12), LARGE),
    "a product with itself": (lambda x: mx.sum(x * x, axis=-1) / 64, LARGE),
    "the root of a square": (lambda x: mx.sqrt(mx.square(x) + 1e-12), LARGE),
    "a small mean square": (lambda x: x / (mx.sqrt(mx.mean(mx.square(x))) + 1e-8), normal(4, 8, scale=1e-3)),
    "log softmax": (nn.log_softmax, normal(4, 64, scale=20)),
    "a logarithm of softmax": (lambda x: mx.log(mx.softmax(x, axis=-1)), normal(4, 64, scale=4)),
    "a logarithm of softmax and a little": (
        lambda x: mx.log(mx.softmax(x, axis=-1) + 1e-9),
        normal(4, 64, scale=4),
    ),
    "a product of many": (lambda x: mx.prod(x, axis=-1), 1.5 + uniform(4, 20)),
    "a logarithm of a sum": (lambda x: mx.logsumexp(x, axis=-1), normal(4, 64, scale=50)),
    "binary cross-entropy": (lambda x: -mx.log(mx.maximum(mx.sigmoid(x), 1e-12)), normal(4, 8, scale=8)),
    "large constants": (lambda x: (x * 1e5) / 1e5 + (x + 1e6 - 1e6) * 0, normal(4)),
    "exponentials": (lambda x: mx.exp(x) / mx.exp(x).sum(axis=0), 12 + uniform(4, 8)),
    "powers": (lambda x: x**3, normal(4, 8, scale=50)),
    "activations": (
        lambda x: nn.gelu(x) + nn.gelu_approx(x) + nn.softplus(x) + mx.sigmoid(x),
        normal(4, 8, scale=50),
    ),
    "large whole numbers": (lambda i: i.astype(mx.float32) * 0.5, mx.array([70000, 100000])),
    "time steps": (
        lambda t: mx.sin(t[:, None] * mx.exp(-0.6 * mx.arange(16.0))),
        mx.array([3.0, 700.0, 999.0]),
    ),
}


def together(*arrays):
    """Every case at once: one conversion instead of many."""
    given = iter(arrays)
    return {f"case_{i}": fn(*[next(given) for _ in inputs]) for i, (fn, *inputs) in enumerate(CASES.values())}


def predicted(precision: str):
    """The converted model, and what it makes of every case on the strict runtime, by the case's name."""
    arrays = [x for _, *inputs in CASES.values() for x in inputs]
    model = convert(together, *arrays, precision=precision, check=False)
    reference = load(model.package_path, precision="strict")
    found = reference.predict(dict(zip(reference.inputs, map(np.array, arrays), strict=True)))
    return model, dict(zip(CASES, found.values(), strict=True))


@pytest.fixture(scope="module")
def half():
    return predicted("float16")


@pytest.fixture(scope="module")
def single():
    return predicted("float32")


def relative(found, name: str) -> float:
    fn, *example = CASES[name]
    wanted = np.array(fn(*example))
    assert np.isfinite(found).all() and found.shape == wanted.shape
    return float(np.sqrt(np.mean((found - wanted) ** 2)) / max(np.sqrt(np.mean(wanted**2)), 1e-4))


@pytest.mark.parametrize("name", CASES)
def test_fp16_agrees_where_fp16_alone_would_not(half, name):
    assert relative(half[1][name], name) < 1e-2


@pytest.mark.parametrize("name", CASES)
def test_fp32_is_exact(single, name):
    limit = 1e-4 if name == "softmax of a long row" else 1e-5  # 50,000 terms, which MLX adds up in fp32
    assert relative(single[1][name], name) <= limit


@pytest.mark.parametrize("precision", ["float16", "mixed"])
def test_infinities_that_an_output_shows_stay(precision):
    model = convert(lambda x: mx.where(x > 0, x, -mx.inf), SCORES, precision=precision, check=False)
    found = load(model.package_path, precision="strict").predict({"x": np.array(SCORES)})["output"]
    np.testing.assert_allclose(found, np.where(np.array(SCORES) > 0, SCORES, -np.inf), rtol=1e-3)


def test_no_fp16_constant_is_beyond_fp16(half):
    operations = half[0]._mil_program.functions["main"].operations
    values = [op.outputs[0].val for op in operations if op.op_type == "const"]
    halves = [v for v in values if getattr(v, "dtype", None) == np.float16]
    assert len(halves) > 4 and all(np.isfinite(v).all() for v in halves)


def types_of(fn, *example, precision="float16"):
    """The type in which each operation of the program computes."""
    program = build(simplify(capture(fn, *example)), precision, ct.target.iOS17)
    operations = [op for op in program.functions["main"].operations if op.op_type not in ("const", "cast")]
    return {
        op.op_type: ct.converters.mil.mil.types.builtin_to_string(op.outputs[0].dtype) for op in operations
    }


def test_only_what_overflows_is_fp32():
    network = nn.Sequential(nn.Linear(64, 64), nn.LayerNorm(64), nn.ReLU())
    assert set(types_of(network, LARGE).values()) == {"fp16"}
    assert types_of(network, LARGE, precision="mixed") == {
        "linear": "fp16",
        "layer_norm": "fp32",
        "relu": "fp16",
    }
    assert set(types_of(network, LARGE, precision="float32").values()) == {"fp32"}
    product = nn.Linear(64, 8)
    squares = types_of(lambda x: product(mx.square(x) * 0.1), LARGE)
    assert squares == {"mul": "fp32", "linear": "fp16"}  # products are what fp16 is for


def test_what_fp16_cannot_hold_is_refused_with_the_cause():
    many = 300 * uniform(64, 8)
    with pytest.raises(WrongModelError, match="precision='float32' shows whether float16 is the cause"):
        convert(lambda x: (300 * x) @ many, 1 + uniform(4, 64))  # a product with weights stays in fp16
    assert convert(lambda x: (300 * x) @ many, 1 + uniform(4, 64), precision="float32") is not None
