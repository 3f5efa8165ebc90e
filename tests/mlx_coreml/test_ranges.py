"""fp16 programs where a small constant guards something, or a large number is exact, on inputs that show it:
zero rows, ones, large positions and ids, rows that are masked as a whole. They agree with MLX in float32.
"""

import math

import coremltools as ct
import mlx.nn as nn
import numpy as np
import pytest
from coremltools.converters.mil.mil import types

from coreml_runtime import load
from mlx_coreml import convert
from mlx_coreml.backends.mil.precision import in_fp32
from mlx_coreml.backends.mil.program import build
from mlx_coreml.backends.mil.ranges.interval import between, of_constant
from mlx_coreml.backends.mil.ranges.islands import islands
from mlx_coreml.capture.tracing import capture
from mlx_coreml.coverage.cases import models
from mlx_coreml.ir.graph import constant
from mlx_coreml.passes import simplify
from twins.frameworks import mx

RNG = np.random.default_rng(0)


def normal(*shape, scale=1.0, mean=0.0):
    return mx.array((mean + scale * RNG.standard_normal(shape)).astype(np.float32))


def uniform(*shape, scale=1.0):
    return scale * mx.array(RNG.random(shape, np.float32))


mx.random.seed(0)
WIDTH = 16
FIRST, SECOND = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH, bias=False)
TABLE, COUNTS = normal(5000, 8), mx.arange(5000).astype(mx.float32)
FREQUENCIES = mx.exp(-math.log(10000.0) * mx.arange(8) / 8)
ALPHAS = mx.cumprod(1 - mx.linspace(1e-4, 0.02, 1000))
X = normal(4, WIDTH)
ROWS = [X, 0 * X, mx.ones_like(X), 1e-4 * X, 300 * X, mx.concatenate([0 * X[:2], X[:2]])]
IMAGES = [normal(1, 6, 6, 8, scale=s) for s in (1.0, 0.0, 1e-4, 300.0)]
PARTS = [uniform(4, WIDTH), mx.zeros((4, WIDTH)), mx.ones((4, WIDTH)), uniform(4, WIDTH, scale=1e-6)]
PLACES = [mx.array(p) for p in ([0.0, 1, 2, 3], [99999.0, 4097, 2049, 70001], [1000.0, 999, 501, 10000])]
IDS = [mx.array(i) for i in ([0, 1, 2, 3], [2049, 4097, 4099, 4999])]
SCORES, NETWORK = normal(2, 6, 6), normal(2, 6, WIDTH)
SEEN = [mx.ones((2, 6)), mx.zeros((2, 6)), mx.array([[1.0, 1, 1, 0, 0, 0], [0.0] * 6])]
LONG = [mx.ones((2, 5000)), mx.array(np.tile(np.arange(5000) < 4097, (2, 1)).astype(np.float32))]


def length(x):
    return mx.linalg.norm(x, axis=-1, keepdims=True)


def entropy(x):
    p = mx.softmax(x, axis=-1)
    return -(p * mx.log(p + 1e-12)).sum(-1)


def standardized(epsilon, axes=-1):
    def made(x):
        return (x - x.mean(axes, keepdims=True)) / mx.sqrt(mx.var(x, axis=axes, keepdims=True) + epsilon)

    return made


def timed(t):
    angle = t[:, None].astype(mx.float32) * FREQUENCIES
    return FIRST(mx.concatenate([mx.cos(angle), mx.sin(angle)], axis=-1))


def rotated(x, t):
    angle = t[:, None].astype(mx.float32) * FREQUENCIES
    left, right = mx.split(FIRST(x), 2, axis=-1)
    return mx.concatenate(
        [left * mx.cos(angle) - right * mx.sin(angle), right * mx.cos(angle) + left * mx.sin(angle)], axis=-1
    )


def cross_entropy(p, t):
    p = mx.clip(p, 1e-7, 1 - 1e-7)
    return -(t * mx.log(p) + (1 - t) * mx.log(1 - p))


def bucket(q, k):
    """As T5 finds the bucket of a distance: a logarithm, cut off to a whole number."""
    n = mx.maximum(k[None] - q[:, None], 0)
    far = 16 + (mx.log(n.astype(mx.float32) / 16 + 1e-6) / math.log(8) * 16).astype(mx.int32)
    return TABLE[mx.where(n < 16, n, mx.minimum(far, 31))]


def interpolated(p):
    low = mx.floor(p)
    places, rest = low.astype(mx.int32), (p - low)[:, None]
    return TABLE[places] * (1 - rest) + TABLE[places + 1] * rest


def masked(number):
    return lambda s, m: mx.softmax(s + (1 - m)[:, None, :] * number, axis=-1)


def pooled(x, m):
    return (FIRST(x) * m[..., None]).sum(1) / mx.maximum(m.sum(1, keepdims=True), 1e-9)


def paired(*rows):
    return [(row, row) for row in rows]


ALIKE = nn.losses.cosine_similarity_loss
# name: function, and what it is tried on, the example first
CASES = {
    "x / (|x| + 1e-8)": (lambda x: x / (length(x) + 1e-8), ROWS),
    "x / max(|x|, 1e-12)": (lambda x: x / mx.maximum(length(x), 1e-12), ROWS),
    "x * rsqrt(sum x^2 + 1e-12)": (lambda x: x * mx.rsqrt((x * x).sum(-1, keepdims=True) + 1e-12), ROWS),
    "x * (1 / (|x| + 1e-8))": (lambda x: SECOND(x) * (1 / (length(SECOND(x)) + 1e-8)), ROWS),
    "x * power(sum, -0.5)": (lambda x: x * mx.power((x * x).sum(-1, keepdims=True) + 1e-10, -0.5), ROWS),
    "a length inside a network": (lambda x: SECOND(x / mx.maximum(length(SECOND(x)), 1e-12)), ROWS),
    "cosine similarity": (lambda a, b: ALIKE(a, b, axis=-1, reduction="none"), paired(*ROWS)),
    "cosine similarity, late": (lambda a, b: (a @ b.T) / (length(a) * length(b).T + 1e-8), paired(*ROWS)),
    "log(p + 1e-9)": (lambda p: mx.log(p + 1e-9), PARTS),
    "log(max(p, 1e-10))": (lambda p: mx.log(mx.maximum(p, 1e-10)), PARTS),
    "entropy": (lambda x: entropy(3 * x), ROWS[:3]),
    "divergence": (
        lambda p, q: (p * mx.log((p + 1e-10) / (q + 1e-10))).sum(-1),
        [*zip(PARTS, PARTS[::-1], strict=True)],
    ),
    "cross-entropy": (cross_entropy, [(p, PARTS[0]) for p in PARTS[:3]]),
    "cross-entropy of sigmoids": (lambda x: cross_entropy(mx.sigmoid(5 * FIRST(x)), 0.3), ROWS),
    "log of softplus": (lambda x: mx.log(nn.softplus(x)), [X, X - 20, X + 50]),
    "log(1 - tanh^2 + 1e-6)": (lambda x: mx.log(1 - mx.square(mx.tanh(x)) + 1e-6), ROWS),
    "artanh next to 1": (lambda x: mx.arctanh(mx.clip(x, -1 + 1e-6, 1 - 1e-6)), PARTS[:3]),
    "sqrt(x^2 + 1e-10)": (lambda x: mx.sqrt(x * x + 1e-10), ROWS),
    "complex magnitude": (lambda r, i: mx.sqrt(r * r + i * i + 1e-12), paired(*ROWS)),
    "layer norm by hand": (standardized(1e-12), ROWS),
    "layer norm": (nn.LayerNorm(WIDTH, eps=1e-12), ROWS),
    "a mean of 900": (nn.LayerNorm(WIDTH), [X, X + 900]),
    "instance norm by hand": (standardized(1e-12, (1, 2)), IMAGES),
    "instance norm": (nn.InstanceNorm(8, eps=1e-12), IMAGES),
    "group norm": (nn.GroupNorm(2, 8, eps=1e-12, pytorch_compatible=True), IMAGES),
    "standard deviation + 1e-8": (
        lambda x: (x - x.mean()) / (mx.sqrt(mx.var(x)) + 1e-8),
        [*ROWS[:3], X + 900],
    ),
    "masked mean": (pooled, [(NETWORK, m) for m in SEEN]),
    "a long masked sum": (lambda m: (30 * m).sum(-1) / mx.maximum(m.sum(-1), 1e-9), LONG),
    "a count": (lambda m: m.sum(-1) - 1, LONG),
    "a running count": (lambda m: mx.cumsum(m, axis=-1)[:, ::100] * 0.5, LONG),
    "time steps": (timed, PLACES),
    "whole time steps": (timed, [p.astype(mx.int32) for p in PLACES]),
    "angles as a product": (lambda p: mx.sin(p[:, None] @ FREQUENCIES[None]), PLACES),
    "rotary places": (rotated, [(X, p) for p in PLACES]),
    "differences of places": (lambda p: p[:, None] - p[None], PLACES),
    "buckets of distances": (bucket, [(mx.arange(6), mx.arange(6) * n) for n in (1, 40, 20000)]),
    "ids as numbers": (lambda i: i.astype(mx.float32), IDS),
    "one-hot by comparison": (lambda i: (i[:, None] == COUNTS[None]).astype(mx.float32) @ TABLE, IDS),
    "one-hot of numbers": (
        lambda i: (i[:, None] == COUNTS[None]).astype(mx.float32) @ TABLE,
        [i.astype(mx.float32) for i in IDS],
    ),
    "a row by division": (lambda i: TABLE[mx.floor(i.astype(mx.float32) / 2).astype(mx.int32)], IDS),
    "between two rows": (interpolated, [mx.array([0.5, 3.25]), mx.array([2049.5, 4097.25])]),
    "places from a table": (lambda i: mx.sin(COUNTS[i] * 0.7), IDS),
    "signal to noise": (
        lambda t: mx.log(ALPHAS[t] / (1 - ALPHAS[t])),
        [mx.array([1, 2]), mx.array([0, 999])],
    ),
    "sigma^2 + 1e-20": (lambda s: mx.log(1 / (s * s + 1e-20)), [PARTS[0], PARTS[1], PARTS[3]]),
    "network over 1 - t": (
        lambda x, t: X - FIRST(x) / (1 - t + 1e-5)[:, None],
        [(X, mx.array([0.5, 0, 1, 0.9]))],
    ),
    "x * 1e-7": (lambda x: x * 1e-7, [X, ROWS[2]]),
    "x * 1e-7 and back": (lambda x: mx.tanh(x * 1e-7) * 1e7, [X, ROWS[2]]),
    "one over a small number": (lambda x: 1 / x, [1 + PARTS[0], PARTS[2] * 1e-6, PARTS[2] * 1e6]),
    "a low temperature": (lambda x: mx.softmax(FIRST(x) / 0.001, axis=-1), ROWS),
    "squares of raw numbers": (lambda x: x * 300 * 300, [X]),
    "mask of -1e4": (masked(-1e4), [(SCORES, m) for m in SEEN]),
    "mask of -1e9": (masked(-1e9), [(SCORES, m) for m in SEEN]),
    "mask of the lowest": (masked(mx.finfo(mx.float32).min), [(30 * SCORES, m) for m in SEEN]),
    "scores that are replaced": (
        lambda s, m: mx.softmax(mx.where(m[:, None, :] > 0, s, -1e9), axis=-1),
        [(SCORES, m) for m in SEEN],
    ),
    "a mask on a network's scores": (
        lambda x, m: mx.softmax(FIRST(x) + m, axis=-1),
        [(NETWORK, mx.full((2, 6, WIDTH), n)) for n in (0.0, -1e9, -3e38)],
    ),
    "a mask that is shown": (
        lambda x, m: mx.where(m[..., None] > 0, FIRST(x), mx.finfo(mx.float32).min).max(1),
        [(NETWORK, m) for m in SEEN[:2]],
    ),
}  # fmt: skip
FP16 = ("mlp", "lenet", "resnet", "vit", "mixer", "bert", "gpt", "whisper encoder", "lstm classifier")
NETWORKS = [case for case in models.cases() if case.name in FP16]
MOST = max(len(tried) for _, tried in CASES.values())


def arrays(case, number):
    """The inputs of a case for a try; the last one again where there are fewer."""
    tried = CASES[case][1]
    each = tried[min(number, len(tried) - 1)]
    return each if isinstance(each, tuple) else (each,)


def together(*given):
    """Every case at once: one conversion instead of many."""
    left = iter(given)
    return {
        f"case_{i}": fn(*[next(left) for _ in arrays(n, 0)]) for i, (n, (fn, _)) in enumerate(CASES.items())
    }


def inputs(number):
    return [array for case in CASES for array in arrays(case, number)]


@pytest.fixture(scope="module")
def found():
    """What the package in float16 makes of every case, by try."""
    package = load(convert(together, *inputs(0), check=False).package_path)
    tries = [dict(zip(package.inputs, map(np.array, inputs(n)), strict=True)) for n in range(MOST)]
    return [dict(zip(CASES, package.predict(each).values(), strict=True)) for each in tries]


@pytest.mark.parametrize("case", CASES)
def test_small_and_large_numbers_keep_their_meaning(found, case):
    fn, tried = CASES[case]
    for number in range(len(tried)):
        wanted = np.array(fn(*arrays(case, number)), np.float64)
        assert np.isfinite(wanted).all()
        size = max(np.sqrt(np.mean(wanted**2)), 1e-12)
        error = np.sqrt(np.mean((found[number][case].reshape(wanted.shape) - wanted) ** 2)) / size
        assert error < 2e-2, f"try {number}"


def kinds_in_fp32(fn, *example):
    """The operations of a program in float16 that compute in fp32."""
    program = build(simplify(capture(fn, *example)), "float16", ct.target.iOS17)
    operations = [op for op in program.functions["main"].operations if op.op_type not in ("const", "cast")]
    return {op.op_type for op in operations if types.builtin_to_string(op.outputs[0].dtype) == "fp32"}


@pytest.mark.parametrize("case", NETWORKS, ids=lambda case: case.name)
def test_networks_that_need_no_fp32_have_none(case):
    fn, example = case.make()
    assert kinds_in_fp32(fn, *example) == set()


def test_products_with_weights_stay_in_fp16_between_islands():
    def scaled(x):
        x = FIRST(x)
        return SECOND(x / (length(x) + 1e-8))

    assert kinds_in_fp32(scaled, X) == {"mul", "reduce_sum", "sqrt", "add", "real_div"}


def test_the_range_of_a_constant():
    made = of_constant(constant(np.array([0, -2.5, 1e-8, -np.inf], np.float32)))
    assert (made.low, made.high, made.hides, made.whole) == (-2.5, pytest.approx(1e-8), True, False)
    assert made.tiny and made.least == pytest.approx(1e-8) and not made.wide
    assert of_constant(constant(np.arange(3000.0))).wide and not of_constant(constant(np.arange(2000.0))).wide


def test_numbers_beyond_fp16_and_counts_above_2048_are_wide():
    assert between(0, 7e4).wide and not between(-6e4, 6e4).wide
    assert between(0, 2049, whole=True).wide and not between(0, 2049).wide


def test_a_node_in_fp32_at_one_size_is_so_at_all_sizes():
    graphs = [simplify(capture(lambda x: x.sum(-1) + 1, mx.ones((1, n)))) for n in (8, 5000)]
    assert [len(islands(graph)) for graph in graphs] == [0, 2]
    assert in_fp32(graphs, "float16") == {node for graph in graphs for node in graph.nodes}
