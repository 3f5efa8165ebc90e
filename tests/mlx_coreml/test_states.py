"""Core ML state: carried over a series of calls as MLX's functions carry it, and what cannot be a state."""

import mlx.nn as nn
import numpy as np
import pytest

from coreml_runtime import load
from coreml_runtime.verification.comparison import verify
from mlx_coreml import ConversionError, convert
from mlx_coreml.backends.mil.assemble import target_named
from mlx_coreml.backends.mil.states import Stateful, pair
from mlx_coreml.capture.tracing import as_flat, capture
from twins.frameworks import mx

X, ZEROS = mx.array([1.0, -2.0, 0.5]), mx.zeros((3,))


def accumulate(x, total):
    total = total + x
    return total * 2, total


class Attention(nn.Module):
    """Attends to keys and values that earlier calls left in a cache of fixed capacity."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def __call__(self, x, cache, position):
        B, T, C = x.shape
        q, k, v = (
            self.qkv(x).reshape(B, T, 3, self.heads, -1).transpose(2, 0, 3, 1, 4)
        )  # 3 times (B, H, T, D)
        keys, values = (
            mx.slice_update(old, new, position, (2,)) for old, new in zip(cache, (k, v), strict=True)
        )
        seen = mx.arange(keys.shape[2]) <= position
        scale = (C // self.heads) ** -0.5
        y = mx.fast.scaled_dot_product_attention(q, keys, values, scale=scale, mask=seen[None, None, None])
        return self.proj(y.transpose(0, 2, 1, 3).reshape(B, T, C)), (keys, values)


class Decoder(nn.Module):
    """A GPT that decodes one token per call."""

    def __init__(self, layers=2, width=32, heads=4, vocabulary=50, capacity=16):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(capacity, width)
        self.norms = [nn.LayerNorm(width) for _ in range(layers)]
        self.attention = [Attention(width, heads) for _ in range(layers)]

    def __call__(self, token, position, cache):
        x, kept = self.tokens(token) + self.positions(position), []
        for norm, attend, each in zip(self.norms, self.attention, cache, strict=True):
            y, new = attend(norm(x), each, position)
            x = x + y
            kept.append(new)
        return self.tokens.as_linear(x), kept


def empty_cache():
    return [tuple(mx.zeros((1, 4, 16, 8)) for _ in "kv") for _ in range(2)]


def features(model) -> list[list[str]]:
    told = model.get_spec().description
    return [[feature.name for feature in side] for side in (told.input, told.output, told.state)]


@pytest.fixture(scope="module")
def decoder():
    mx.random.seed(0)
    network = Decoder()
    example = mx.array([[3]]), mx.array([0]), empty_cache()
    model = convert(network, *example, states={"cache": 1}, deployment_target="iOS18")
    return network, example, model


def test_a_decoder_with_its_cache_as_state_agrees_over_eight_calls(decoder):
    network, example, model = decoder
    graph = capture(network, *example)
    source = Stateful(
        as_flat(network, example), graph.inputs, pair(graph, {"cache": 1}, target_named("iOS18"))
    )
    tokens = np.random.default_rng(0).integers(0, 50, 8)
    calls = [{"token": mx.array([[int(t)]]), "position": mx.array([i])} for i, t in enumerate(tokens)]
    report = verify(source, model.package_path, calls, framework="mlx", tolerance=5e-3)
    assert report.passed, report
    names = ["cache_0_0", "cache_0_1", "cache_1_0", "cache_1_1"]
    assert features(model) == [["token", "position"], ["output_0"], names]


def test_the_cache_matters(decoder):
    _, _, model = decoder
    reference = load(model.package_path)
    state, call = reference.make_state(), {"token": np.array([[7]]), "position": np.array([0])}
    first = reference.predict(call, state)["output_0"]
    second = reference.predict({"token": np.array([[7]]), "position": np.array([1])}, state)["output_0"]
    fresh = reference.predict({"token": np.array([[7]]), "position": np.array([1])}, reference.make_state())
    assert np.abs(second - fresh["output_0"]).max() > 1e-2 and np.abs(second - first).max() > 1e-2
    assert (
        np.abs(state.read_state("cache_0_0")[0, :, 2:]).max()
        == 0
        != np.abs(state.read_state("cache_0_0")).max()
    )


@pytest.mark.parametrize("precision", ["float16", "mixed", "float32"])
@pytest.mark.parametrize("output", [1, "total"])
def test_a_state_is_named_by_place_or_name(precision, output):
    options = {"outputs": ["y", "total"], "states": {"total": output}, "deployment_target": "macOS15"}
    model = convert(accumulate, X, ZEROS, precision=precision, **options)
    assert features(model) == [["x"], ["y"], ["total"]]
    reference = load(model.package_path)
    state = reference.make_state()
    found = [reference.predict({"x": np.array(X)}, state)["y"] for _ in range(3)]
    np.testing.assert_allclose(found, [np.array(X) * 2 * n for n in (1, 2, 3)], rtol=1e-3)


def test_scalars_and_values_of_dictionaries_can_be_states():
    def fn(x, a, b):
        return {"y": x + a + b, "next": {"a": (x * a + 1).sum(), "b": b + 1}}

    model = convert(
        fn, X, mx.array(0.0), mx.array(0.0), states={"a": "next_a", "b": "next_b"}, deployment_target="iOS18"
    )
    assert features(model) == [["x"], ["y"], ["a", "b"]]


REFUSED = {
    "states need deployment_target iOS18 or later, given is iOS17": lambda: convert(
        accumulate, X, ZEROS, states={"total": 1}
    ),
    "states names input 'sum'; the inputs are x, total": lambda: iphone(accumulate, {"sum": 1}),
    r"states\['total'\] is output 7; the outputs are 0, 1": lambda: iphone(accumulate, {"total": 7}),
    r"state 'total' is float32\[3\] and output 'output_1' .* float32\[6\]": lambda: iphone(
        lambda x, total: (x, mx.concatenate([total, x])), {"total": 1}
    ),
    r"state 'total' is float32\[3\] and output 'output_1' .* float16\[3\]": lambda: iphone(
        lambda x, total: (x, total.astype(mx.float16)), {"total": 1}
    ),
    "one output replaces two states": lambda: iphone(
        lambda x, total: (x, x + total[0], total[1]), {"total_0": 1, "total_1": 1}, [ZEROS, ZEROS]
    ),
    "every output replaces a state": lambda: iphone(lambda x, total: (x + total,), {"total": 0}),
    "state 'total' is int32; Core ML keeps floating-point numbers": lambda: iphone(
        lambda x, total: (x, total + 1), {"total": 1}, mx.array([1])
    ),
    "has 2 arrays and output 1 that replaces it 1; they must have the same structure": lambda: iphone(
        lambda x, total: (x, total[0]), {"total": 1}, [ZEROS, ZEROS]
    ),
    "state 'total' has a flexible shape": lambda: convert(
        lambda x, total: (x + 1, total + x),
        *(X, ZEROS),
        states={"total": 1},
        flexible={"x": {0: (1, 8)}, "total": {0: (1, 8)}},
        deployment_target="iOS18",
    ),
}


def iphone(fn, states, total=ZEROS):
    return convert(fn, X, total, states=states, deployment_target="iOS18")


@pytest.mark.parametrize("told", REFUSED)
def test_what_cannot_be_a_state_is_told(told):
    with pytest.raises(ConversionError, match=told):
        REFUSED[told]()
