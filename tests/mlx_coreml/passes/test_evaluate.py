"""Every rule of folding, applied to the nodes of captured functions, gives what MLX itself gives."""

import numpy as np
import pytest

from mlx_coreml.capture.tracing import capture
from mlx_coreml.ir.graph import Graph, Node, Tensor
from mlx_coreml.passes.fold.constants import fold
from mlx_coreml.passes.fold.evaluate import EVALUATE
from mlx_coreml.passes.simplify import simplify
from twins.frameworks import mx  # not from mlx: the fast BLAS comes first

RNG = np.random.default_rng(0)
X, Y, SQUARE = (
    mx.array(RNG.standard_normal(shape).astype(np.float32)) for shape in ((3, 4, 5), (3, 4, 5), (4, 4))
)
POSITIVE = SQUARE @ SQUARE.T + mx.eye(4)
N, M = mx.array(RNG.integers(-9, 9, (3, 4)), mx.int32), mx.array(RNG.integers(1, 9, (3, 4)), mx.int32)
B, I = mx.array(RNG.integers(0, 2, (3, 4, 5)).astype(bool)), mx.array([0, -1])  # noqa: E741
PACKED = mx.quantize(mx.array(RNG.standard_normal((6, 64)).astype(np.float32)), group_size=32, bits=4)
KEY = mx.random.key(7)


def put(x, mask, update):
    made = mx.array(x)
    made[mask] = update
    return made


FUNCTIONS = "abs ceil floor negative sign square exp expm1 round sin cos tan sinh cosh tanh arctan arcsinh"
FUNCTIONS += " erf sigmoid sqrt log1p log log2 log10 rsqrt"
CASES = {name: (lambda x, name=name: getattr(mx, name)(x), [mx.abs(X) + 0.1]) for name in FUNCTIONS.split()}
CASES |= {name: (lambda x, name=name: getattr(mx, name)(mx.sigmoid(x)), [X]) for name in ("arcsin", "arccos")}
CASES |= {
    name: (lambda x, name=name: getattr(mx, name)(mx.sigmoid(x)), [X]) for name in ("arctanh", "erfinv")
}
PAIRS = (
    "add subtract multiply divide maximum minimum logaddexp arctan2 remainder floor_divide equal not_equal"
)
PAIRS += " greater greater_equal less less_equal divmod"
CASES |= {name: (lambda x, y, name=name: getattr(mx, name)(x, y), [X, Y]) for name in PAIRS.split()}
CASES |= {
    name: (lambda x, y, name=name: getattr(mx, name)(x, y), [N, M])
    for name in ("bitwise_and", "bitwise_or", "bitwise_xor", "left_shift", "right_shift")
}
CASES |= {
    "arccosh": (lambda x: mx.arccosh(x + 2), [mx.abs(X)]),
    "power": (lambda x, y: x**y, [mx.abs(X), Y]),
    "logic": (lambda a: (mx.logical_not(a), mx.logical_and(a, ~a), mx.logical_or(a, a)), [B]),
    "choice": (lambda c, x, y: mx.where(c, x, y), [B, X, Y]),
    "equal with nan": (lambda x: mx.array_equal(x, x, equal_nan=True), [mx.array([mx.nan, 1.0])]),
    "cast": (lambda x: (x.astype(mx.int32), x.astype(mx.bool_), x.astype(mx.float16)), [X]),
    "view": (lambda x: x.view(mx.int32), [X]),
    "shapes": (lambda x: (x.flatten(1), x[None], x.reshape(5, -1), mx.unflatten(x, 1, (2, 2))), [X]),
    "layout": (
        lambda x: (x.T, x[:, ::-1, 1::2], mx.broadcast_to(x[:1], (2, 4, 5)), x[:, :1].squeeze(1)),
        [X],
    ),
    "parts": (lambda x, y: (*mx.split(x, [1, 3], axis=1), mx.concatenate([x, y], axis=2)), [X, Y]),
    "pad": (lambda x: mx.pad(x, ((1, 0), (0, 2), (0, 0)), constant_values=2.0), [X]),
    "strides": (lambda x: mx.as_strided(x, (3, 2), (4, 7), 3), [X]),
    "full": (lambda x: (mx.full((2, 3), x), mx.depends(x, [x + 1])), [mx.array(2.0)]),
    "reductions": (lambda x: (mx.sum(x, axis=1), mx.prod(x, axis=0), mx.max(x), mx.min(x, axis=(0, 2))), [X]),
    "logical reductions": (lambda a: (mx.all(a, axis=0), mx.any(a, axis=1), mx.sum(a)), [B]),
    "softmax": (
        lambda x: (mx.softmax(x), mx.softmax(x, axis=-1, precise=True), mx.logsumexp(x, axis=-1)),
        [X],
    ),
    "extremes": (lambda x: (mx.argmax(x, axis=1), mx.argmin(x)), [X]),
    "orders": (
        lambda x: (mx.sort(x, axis=1), mx.argsort(x), mx.partition(x, 2), mx.argpartition(x, 1, axis=0)),
        [X],
    ),
    "search": (
        lambda a, v: (mx.searchsorted(a, v), mx.searchsorted(a, v, side="right")),
        [mx.arange(4.0), X],
    ),
    "scans": (lambda x: (mx.cumsum(x, axis=0, reverse=True), mx.cumprod(x, axis=1, inclusive=False)), [X]),
    "scans of extremes": (lambda x: (mx.cummax(x, axis=2), mx.cummin(x, axis=0, reverse=True)), [X]),
    "gather": (lambda x, i: (x[i], x[:, i], x[..., i], x[i, i], mx.take(x, i, axis=1), x[1, i, 2:4]), [X, I]),
    "gather along": (lambda x, i: mx.take_along_axis(x, i[None, :, None], axis=1), [X[:1, :, :1], I]),
    "scatter": (lambda x, i, u: x.at[i].add(u), [X, I, Y[:2]]),
    "scatter extremes": (lambda x, i, u: (x.at[:, i].maximum(u), x.at[:, i].minimum(u)), [X, I, Y[:, :2]]),
    "scatter products": (lambda x, i, u: x.at[i].multiply(u), [X, I, Y[:2]]),
    "scatter windows": (lambda x, i, u: put(x, (i, slice(1, 3)), u), [X, I, Y[:2, :2]]),
    "scatter along": (
        lambda x, i, u: mx.put_along_axis(x, i, u, axis=1),
        [X, mx.array([[[1], [3]]] * 3), Y[:, :2, :1]],
    ),
    "masked": (put, [X, B, Y.flatten()]),
    "slice update": (
        lambda x, u: (put(x, (slice(0, 2), slice(None, None, -2)), u), x.at[:2, ::2].add(u)),
        [X, Y[:2, :2]],
    ),
    "moving slices": (
        lambda x, u, p: (mx.slice(x, p, [1], (3, 2, 5)), mx.slice_update(x, u, p, [1])),
        [X, Y[:, :2], mx.array([1])],
    ),
    "products": (lambda x, y: (x @ y, mx.addmm(y, x, y, alpha=2.0, beta=0.5)), [SQUARE, POSITIVE]),
    "experts": (
        lambda x, w: mx.gather_mm(x, w, rhs_indices=mx.array([2, 0], mx.uint32)),
        [X[:2], X.swapaxes(1, 2)],
    ),
    "blocks": (
        lambda x, m: (
            mx.block_masked_mm(x, x, 32, mask_out=m),
            mx.block_masked_mm(x, x, 32, mask_lhs=m, mask_rhs=m),
        ),
        [mx.arange(4096.0).reshape(64, 64), mx.array([[1.0, 0.0], [0.5, 1.0]])],
    ),
    "convolution": (
        lambda x, w: mx.conv_general(
            x, w, stride=2, padding=([1, 0], [2, 1]), kernel_dilation=(1, 2), groups=2, flip=True
        ),
        [mx.arange(2 * 9 * 8 * 4.0).reshape(2, 9, 8, 4), mx.arange(6 * 3 * 2 * 2.0).reshape(6, 3, 2, 2)],
    ),
    "transposed convolution": (
        lambda x, w: mx.conv_transpose2d(x, w, stride=2, padding=1),
        [mx.arange(2 * 5 * 4 * 3.0).reshape(2, 5, 4, 3), mx.arange(6 * 9 * 3.0).reshape(6, 3, 3, 3)],
    ),
    "quantized": (
        lambda x, *w: mx.quantized_matmul(x, *w, group_size=32, bits=4),
        [mx.ones((2, 64)), *PACKED],
    ),
    "quantized experts": (
        lambda x, i, *w: mx.gather_qmm(x, *[each[None] for each in w], rhs_indices=i, group_size=32, bits=4),
        [mx.ones((2, 1, 64)), mx.array([0, 0], mx.uint32), *PACKED],
    ),
    "quantize": (lambda x: mx.quantize(x, group_size=32, bits=8), [mx.arange(128.0).reshape(2, 64)]),
    "hadamard": (lambda x: mx.hadamard_transform(x, scale=0.5), [X[:, :, :4]]),
    "fourier": (lambda x: mx.abs(mx.fft.fft2(x)), [X]),
    "real fourier": (
        lambda x: (mx.fft.irfft(mx.fft.rfft(x), n=5), mx.fft.irfft(mx.fft.rfft(x[..., :4]))),
        [X],
    ),
    "complex": (lambda x: (mx.real(mx.fft.fft(x)), mx.imag(mx.conj(mx.fft.ifft(x)))), [X]),
    "inverse": (
        lambda x: (mx.linalg.inv(x), mx.linalg.tri_inv(mx.tril(x)), mx.linalg.cholesky(x)),
        [POSITIVE],
    ),
    "factors": (
        lambda x: (*mx.linalg.qr(x), *mx.linalg.svd(x), mx.linalg.svd(x, compute_uv=False)),
        [POSITIVE],
    ),
    "eigenvalues": (lambda x: (*mx.linalg.eigh(x), mx.linalg.eigvalsh(x, UPLO="U")), [POSITIVE]),
    "eigenvalues in general": (
        lambda x: (mx.abs(mx.linalg.eigvals(x)), mx.abs(mx.linalg.eig(x)[1])),
        [POSITIVE],
    ),
    "random": (
        lambda k: (
            mx.random.uniform(shape=(3, 4), key=k),
            mx.random.normal((5,), key=k),
            mx.random.split(k, 3),
        ),
        [KEY],
    ),
    "random in half precision": (lambda k: mx.random.uniform(shape=(7,), dtype=mx.float16, key=k), [KEY]),
    "random by keys": (
        lambda k: mx.vmap(lambda k: mx.random.randint(0, 99, (3,), key=k))(mx.random.split(k, 4)),
        [KEY],
    ),
    "range": (lambda x: (mx.arange(3), mx.arange(5, 0, -2), mx.arange(0.0, 1.0, 0.25)), [X]),
}


def evaluated(graph: Graph, arrays: list[mx.array]) -> tuple[list[mx.array], set[str]]:
    """The graph's outputs, node by node, and the kinds that were met."""
    known = dict(zip(graph.inputs, arrays, strict=True))
    with mx.stream(mx.cpu):
        for node in graph.nodes:
            values = [known[t] if t.value is None else t.value for t in node.inputs]
            made = EVALUATE[node.kind](node, *values)
            known |= zip(node.outputs, made if isinstance(made, list) else [made], strict=True)
    return [known.get(t, t.value) for t in graph.outputs], {node.kind for node in graph.nodes}


def as_list(made) -> list[mx.array]:
    return list(made) if isinstance(made, list | tuple) else [made]


@pytest.fixture(scope="module")
def met():
    return set()


@pytest.mark.filterwarnings("ignore:.*constant random key")
@pytest.mark.parametrize("name", CASES)
def test_a_rule_gives_what_mlx_gives(name, met):
    fn, arrays = CASES[name]
    with mx.stream(mx.cpu):
        wanted = as_list(fn(*arrays))
    found, kinds = evaluated(capture(fn, *arrays), arrays)
    met |= kinds
    for a, b in zip(found, wanted, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(np.array(a), np.array(b), rtol=2e-6, atol=1e-6)


def test_every_rule_was_used(met):
    """Those of a capture without shapes are tested below."""
    assert set(EVALUATE) - met <= {"BroadcastAxes", "NumberOfElements", "identity"}


@pytest.mark.parametrize(("inverted", "wanted"), [(False, 15.0), (True, 1 / 15)])
def test_rules_of_a_capture_without_shapes(inverted, wanted):
    number = Tensor("n", (), "float32")
    count = Node(
        "NumberOfElements", [Tensor("x", (3, 4, 5), "float32")], [number], ([0, 2], inverted, mx.float32)
    )
    assert EVALUATE["NumberOfElements"](count, X).item() == pytest.approx(wanted)
    spread = Node("BroadcastAxes", [number], [Tensor("y", (2, 3), "float32")], ([-1],))
    assert EVALUATE["BroadcastAxes"](spread, mx.array(2.0)).tolist() == [[2.0] * 3] * 2


def test_a_function_of_constants_becomes_a_constant():
    graph = simplify(capture(lambda x: x + mx.sum(mx.sort(mx.array([3.0, 1.0]))[1:]), X))
    assert [node.kind for node in graph.nodes] == ["Add"]


@pytest.mark.filterwarnings("ignore:.*constant random key")
def test_random_numbers_of_a_constant_key_are_folded_and_warned_of():
    graph = capture(lambda x: x + mx.random.normal((5,), key=mx.random.key(3)), X)
    with pytest.warns(UserWarning, match="the model draws the same numbers at each call"):
        fold(graph)
    (kept,) = graph.nodes
    with mx.stream(mx.cpu):
        wanted = mx.random.normal((5,), key=mx.random.key(3))
    found = next(t for t in kept.inputs if t.value is not None)
    np.testing.assert_allclose(np.array(found.value).reshape(-1)[:5], np.array(wanted), rtol=1e-6)
