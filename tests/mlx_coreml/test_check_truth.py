"""The truth of a check: a function in half types, computed in float32 by MLX itself."""

import mlx.nn as nn
import numpy as np
import pytest
from mlx.utils import tree_map

from mlx_coreml.conversion.source import as_floats
from mlx_coreml.conversion.truth import Truth, half_types, wide, widened
from mlx_coreml.ir.graph import Graph, Tensor
from twins.frameworks import mx

BF16, FP16, FP32 = mx.bfloat16, mx.float16, mx.float32


def made_half(module: nn.Module, dtype: mx.Dtype, seed: int = 0) -> nn.Module:
    """The module with random weights in a half type."""
    rng = np.random.default_rng(seed)
    drawn = tree_map(lambda p: mx.array(rng.standard_normal(p.shape) / 4).astype(dtype), module.parameters())
    module.update(drawn)
    return module.eval()


def rounding(found: mx.array, wanted: mx.array) -> float:
    a, b = as_floats(found), as_floats(wanted)
    return float(np.sqrt(np.mean((a - b) ** 2) / np.mean(b**2)))


class Block(nn.Module):
    """Norm, attention, an activation that is compiled, a table, a mask in the input's type."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(16, 32)
        self.norm, self.attention = nn.RMSNorm(32), nn.MultiHeadAttention(32, 4, bias=True)
        self.up, self.down = nn.Linear(32, 64), nn.Linear(64, 32)

    def __call__(self, ids):
        x = self.table(ids)
        mask = nn.MultiHeadAttention.create_additive_causal_mask(ids.shape[1], x.dtype)
        x = x + self.attention(self.norm(x), self.norm(x), self.norm(x), mask)
        x = x + self.down(nn.silu(self.up(x)))
        return (x * mx.full(x.shape, 0.5, x.dtype)).astype(self.up.weight.dtype)


@pytest.mark.parametrize("dtype", [BF16, FP16])
def test_a_half_network_computes_what_its_float32_twin_computes(dtype):
    network, ids = made_half(Block(), dtype), mx.array([[1, 5, 2, 15, 0, 7]])
    own = network(ids)
    (truth,) = Truth(lambda x: [network(x)])(ids)
    assert own.dtype == dtype and truth.dtype == FP32
    network.update(tree_map(wide, network.parameters()))
    twin = network(ids)
    assert twin.dtype == FP32
    assert rounding(truth, twin) < 1e-6 < 3e-4 < rounding(own, twin)


def test_a_cast_to_a_half_type_does_not_round():
    (truth,) = Truth(lambda x: [x.astype(FP16) + mx.zeros_like(x).astype(BF16)])(mx.array([1 + 2**-20]))
    assert truth.dtype == FP32 and truth.tolist() == [1 + 2**-20]


def test_weights_are_given_back_as_they_were():
    network = made_half(nn.Linear(4, 4), BF16)
    before, add, method = network.weight, mx.add, mx.array.__add__
    with widened():
        assert network(mx.ones((2, 4), dtype=BF16)).dtype == FP32 and mx.add is not add
    assert network.weight is before and network.weight.dtype == BF16
    assert mx.add is add and mx.array.__add__ is method
    assert network(mx.ones((2, 4), dtype=BF16)).dtype == BF16


def test_an_error_inside_gives_mlx_back_whole():
    add = mx.add
    with pytest.raises(ZeroDivisionError), widened():
        raise ZeroDivisionError
    assert mx.add is add


def test_constants_keep_the_rounding_that_the_graph_has():
    with widened():
        filled = mx.full((2,), 0.1, dtype=BF16)
        given = mx.array([0.1, 0.1], dtype=BF16) + mx.zeros((2,), FP16)
    assert filled.dtype == given.dtype == FP32
    assert filled.tolist() == given.tolist() == mx.array([0.1, 0.1], dtype=BF16).astype(FP32).tolist()


def test_an_array_is_changed_in_place():
    with widened():
        x = mx.zeros((3,), dtype=FP16)
        x[1] = mx.array(1.0 + 2**-20)
        x += 1
    assert x.tolist() == [1.0, 2.0 + 2**-20, 1.0]


MODES = {"affine": (64, 4), "mxfp4": (32, 4), "mxfp8": (32, 8), "nvfp4": (16, 4)}


@pytest.mark.parametrize("rows", [1, 8])
@pytest.mark.parametrize("mode", MODES)
def test_packed_weights_of_every_mode_are_unpacked_to_float32(mode, rows):
    size, bits = MODES[mode]
    layer = made_half(nn.Linear(64, 32, bias=False), BF16).to_quantized(size, bits, mode)
    x = mx.array(np.random.default_rng(1).standard_normal((rows, 64))).astype(BF16)
    biases = layer.get("biases")
    dense = mx.dequantize(
        layer.weight, wide(layer.scales), wide(biases), group_size=size, bits=bits, mode=mode, dtype=FP32
    )
    with mx.stream(mx.cpu):
        (truth,) = Truth(lambda x: [layer(x)])(x)
    assert rounding(truth, x.astype(FP32) @ dense.T) < 1e-6


def test_the_half_types_of_a_graph_are_named():
    graph = Graph([Tensor("x", (1,), "bfloat16")], [Tensor("y", (1,), "float32")], [])
    assert half_types(graph) == ["bfloat16"]
