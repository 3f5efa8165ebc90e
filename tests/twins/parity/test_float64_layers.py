"""Every layer of mlx.nn is right to ten digits in the float64 stage, or is named as not checked."""

import float64_layers
import mlx.core as mx
import mlx.nn as mnn
import numpy as np
import pytest
import torch
from mlx.utils import tree_flatten, tree_unflatten

from twins.parity import float64
from twins.parity.differences import relative

Numbers = dict[str, np.ndarray]
LACKING = {
    "QuantizedLinear": lambda: mnn.QuantizedLinear(64, 8)(mx.ones((2, 64))),
    "QuantizedEmbedding": lambda: mnn.QuantizedEmbedding(64, 64)(mx.array([1])),
    "random numbers": lambda: mx.random.uniform(shape=(3,), dtype=mx.float64),
    "fft": lambda: mx.fft.rfft(mx.ones(8)),
}


def mlx_half(
    layer: float64_layers.Layer, x: np.ndarray, rng
) -> tuple[Numbers, np.ndarray, np.ndarray, Numbers]:
    """The weights, the output, what it is multiplied by, and the gradients, of the input as "x"."""
    model = layer.make()
    model.set_dtype(mx.float64)
    weights = {k: np.array(v) for k, v in tree_flatten(model.trainable_parameters())}
    weights = {k: v + 0.1 * rng.standard_normal(v.shape) for k, v in weights.items()}

    def run(arrays: dict, x: mx.array) -> mx.array:
        model.update(tree_unflatten(list(arrays.items())))
        return model(x)

    arrays = {k: mx.array(v, dtype=mx.float64) for k, v in weights.items()}
    x = mx.array(x) if layer.whole else mx.array(x, dtype=mx.float64)
    output = np.array(run(arrays, x))
    given = rng.standard_normal(output.shape)

    def total(each: dict) -> mx.array:
        made = run({k: v for k, v in each.items() if k != "x"}, each.get("x", x))
        return (made * mx.array(given)).sum()

    gradients = mx.grad(total)(arrays if layer.whole else arrays | {"x": x})
    return weights, output, given, {k: np.array(v) for k, v in gradients.items()}


@pytest.mark.parametrize("layer", float64_layers.LAYERS, ids=[each.name for each in float64_layers.LAYERS])
def test_a_layer_is_torchs_to_ten_digits(layer):
    rng = np.random.default_rng(3)
    x = rng.integers(0, layer.whole, layer.shape) if layer.whole else rng.standard_normal(layer.shape)
    with float64.stage():
        weights, output, given, gradients = mlx_half(layer, x, rng)
    tensors = {k: torch.tensor(v, requires_grad=True) for k, v in weights.items()}
    inputs = torch.tensor(x, requires_grad=not layer.whole)
    wanted = layer.torch(tensors, inputs)
    (wanted * torch.tensor(given)).sum().backward()
    assert relative(output, wanted.detach().numpy()) < 1e-10
    for name, gradient in gradients.items():
        other = (inputs if name == "x" else tensors[name]).grad.numpy()
        assert relative(gradient, other) < 1e-10, name


@pytest.mark.parametrize("call", LACKING.values(), ids=LACKING)
def test_what_has_no_float64_is_named(call):
    with float64.stage(), pytest.raises(float64.FAULTS) as raised:
        mx.eval(call())
    assert float64.unchecked(raised.value).startswith("not checked in float64: ")
