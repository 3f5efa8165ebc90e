"""Whole vision and audio networks: few operations, one transpose in and at most one out, MLX's numbers."""

from collections import Counter

import pytest
from conversion import converted

from mlx_coreml.coverage.cases import models
from mlx_coreml.coverage.cases.case import Case, normal
from twins.frameworks import mx

import mlx.nn as nn  # isort: skip


def volumes() -> nn.Module:
    """Convolutions, pooling and upsampling in three dimensions."""
    return nn.Sequential(
        nn.Conv3d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool3d(2),
        nn.Conv3d(4, 8, 3, stride=2, padding=1), nn.SiLU(), nn.ConvTranspose3d(8, 4, 2, stride=2),
        nn.Upsample(2), nn.Conv3d(4, 1, 1), nn.Sigmoid(),
    )  # fmt: skip


CASES = {case.name: case for case in models.cases()}
CASES["volumes"] = Case("model", "volumes", volumes, {"x": normal(1, 8, 8, 8, 2)})
# Operations that say how much of a network was fused; zero of those that must have gone.
OPERATIONS = {
    "lenet": {"transpose": 1, "conv": 2, "max_pool": 1, "avg_pool": 1, "reshape": 1, "linear": 2, "tanh": 3},
    "resnet": {"transpose": 1, "conv": 11, "relu": 9, "max_pool": 1, "add": 4, "reduce_mean": 1, "linear": 1},
    "mobilenet": {"transpose": 1, "conv": 16, "relu6": 3, "reduce_mean": 3, "reshape": 1, "linear": 1},
    "vit": {"conv": 1, "layer_norm": 5, "gelu": 2},
    "unet, transposed convolution": {"transpose": 2, "conv": 11, "conv_transpose": 2, "concat": 2},
    "unet, nearest upsampling": {"transpose": 2, "conv": 13, "upsample_nearest_neighbor": 2, "concat": 2},
    "unet, linear upsampling": {"transpose": 2, "conv": 13, "resize_bilinear": 2, "concat": 2},
    "autoencoder": {"transpose": 2, "conv": 2, "conv_transpose": 2, "leaky_relu": 2, "gelu": 1, "sigmoid": 1},
    "convnext with pixel shuffle": {"conv": 2, "layer_norm": 1, "linear": 2, "mul": 0},
    "tcn": {"transpose": 2, "conv": 4, "relu": 3, "pad": 0},
    "twins.models.resnet": {"transpose": 1, "conv": 5, "relu": 5, "batch_norm": 0, "mul": 0},
    "volumes": {"transpose": 2, "conv": 3, "conv_transpose": 1, "upsample_nearest_neighbor": 2},
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_and_numbers(name):
    network, inputs = CASES[name].make()
    mx.eval(network.parameters())
    kinds, error = converted(network, *inputs)
    assert {kind: kinds[kind] for kind in OPERATIONS[name]} == OPERATIONS[name]
    assert error < 1e-5


@pytest.mark.parametrize("name", ["resnet", "mobilenet", "unet, linear upsampling", "volumes"])
def test_half_precision_costs_two_casts(name):
    network, inputs = CASES[name].make()
    mx.eval(network.parameters())
    single, _ = converted(network, *inputs)
    half, error = converted(network, *inputs, precision="float16")
    assert half - single <= Counter(cast=2)
    assert error < 2e-2
