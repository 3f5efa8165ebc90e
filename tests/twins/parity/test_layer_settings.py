"""Settings of layers are compared by what they mean, and of correct pairs nothing is claimed."""

from dataclasses import replace

import mlx.nn as mnn
import pytest
import torch
from torch import nn as tnn

from twins.frameworks import MLX, TORCH
from twins.parity.layer_settings import layer_differences
from twins.parity.settings import check_settings
from twins.records import store
from twins.timing.study import Study
from twins.training import train
from twins.training.train import Half


class MlxHolder(mnn.Module):
    def __init__(self, layer):
        super().__init__()
        self.body = [layer]


class TorchHolder(tnn.Module):
    def __init__(self, layer):
        super().__init__()
        self.body = tnn.ModuleList([layer])


def told(mlx_layer, torch_layer, names=None) -> list[str]:
    ours = Half(MLX, MlxHolder(mlx_layer), None, None, None, names=names or {})
    return layer_differences(ours, Half(TORCH, TorchHolder(torch_layer), None, None, None))


DIFFERENT = {
    "eps is 1e-06 in MLX and 1e-12 in PyTorch": (mnn.LayerNorm(4, eps=1e-6), tnn.LayerNorm(4, eps=1e-12)),
    "eps is 1e-05 in MLX and 1.19209e-07 in PyTorch": (mnn.RMSNorm(4), tnn.RMSNorm(4)),
    "eps is 1e-05 in MLX and 0.001 in PyTorch": (mnn.GroupNorm(2, 4), tnn.GroupNorm(2, 4, eps=1e-3)),
    "eps is 0.0001 in MLX and 1e-05 in PyTorch": (mnn.InstanceNorm(4, eps=1e-4), tnn.InstanceNorm2d(4)),
    "momentum is 0.9 in MLX and 0.1 in PyTorch": (mnn.BatchNorm(4, momentum=0.9), tnn.BatchNorm2d(4)),
    "momentum is 0.1 in MLX and that of a mean over all batches in PyTorch": (
        mnn.BatchNorm(4),
        tnn.BatchNorm1d(4, momentum=None),
    ),
    "the probability of dropping is 0.1 in MLX and 0.5 in PyTorch": (mnn.Dropout(0.1), tnn.Dropout(0.5)),
    "the probability of dropping is 0 in MLX and 0.5 in PyTorch": (mnn.Dropout(0.0), tnn.Dropout(0.5)),
    "the probability of dropping is 0.5 in MLX and 0 in PyTorch": (mnn.Dropout2d(0.5), tnn.Dropout2d(0.0)),
    "negative_slope is 0.01 in MLX and 0.2 in PyTorch": (mnn.LeakyReLU(), tnn.LeakyReLU(0.2)),
    "alpha is 1 in MLX and 0.5 in PyTorch": (mnn.ELU(), tnn.ELU(0.5)),
    "lambd is 0.5 in MLX and 0.3 in PyTorch": (mnn.Softshrink(), tnn.Softshrink(0.3)),
    "GELU is exact in MLX and tanh in PyTorch": (mnn.GELU(), tnn.GELU("tanh")),
}


@pytest.mark.parametrize(("sentence", "layers"), DIFFERENT.items(), ids=range(len(DIFFERENT)))
def test_a_setting_that_differs_is_one_sentence(sentence, layers):
    assert told(*layers) == [f"`body.0`: {sentence}"]


class OwnNorm(mnn.LayerNorm):
    def __call__(self, x):
        return x


EQUAL = {
    "epsilon of the type": (mnn.RMSNorm(4, eps=torch.finfo(torch.float32).eps), tnn.RMSNorm(4)),
    "epsilon of the type, rounded": (mnn.RMSNorm(4, eps=1.2e-7), tnn.RMSNorm(4)),
    "norms": (mnn.LayerNorm(4), tnn.LayerNorm(4)),
    "batch norm": (mnn.BatchNorm(4), tnn.BatchNorm3d(4)),
    "dropout": (mnn.Dropout(0.3), tnn.Dropout(0.3)),
    "tanh": (mnn.GELU("precise"), tnn.GELU("tanh")),
    "other kinds": (mnn.LayerNorm(4, eps=1e-3), tnn.GroupNorm(2, 4)),
    "a layer of someone's own": (OwnNorm(4, eps=1e-3), tnn.LayerNorm(4)),
}


@pytest.mark.parametrize("layers", EQUAL.values(), ids=EQUAL)
def test_what_is_equal_or_not_known_is_left_alone(layers):
    assert told(*layers) == []


def test_layers_are_found_through_the_map_of_names():
    layers = mnn.LayerNorm(4, eps=1e-6), tnn.LayerNorm(4)
    assert told(*layers, {"body.0": "head"}) == []
    assert told(*layers, {"body": "body"}) == ["`body.0`: eps is 1e-06 in MLX and 1e-05 in PyTorch"]


@pytest.mark.parametrize("name", ["transformer_lm", "bert", "resnet", "vit"])
def test_the_twins_differ_in_no_setting(name):
    model = train.named(name)
    for dtype in ("float32", "float64"):
        halves = train.halves(model, model.tiny(), train.Recipe(), dtype=dtype)
        check = check_settings(*halves)
        assert (check.passed, check.where, check.limit) == (True, "no setting differs", 0.0)


def test_the_file_that_ships_differs_in_no_setting():
    own = Study(str(store.ROOT / "notebooks" / "your_model.py"), {})
    assert check_settings(*own.halves()).where == "no setting differs"


def test_optimizers_and_layers_are_one_check():
    model = train.named("transformer_lm")
    mlx, torch_half = train.halves(model, model.tiny(), train.Recipe())
    torch_half.model.blocks[0].norm1.eps = 1e-12
    check = check_settings(mlx, replace(torch_half, clip=None))
    assert check.value == 2
    assert not check.passed
    assert check.where == (
        "gradients are clipped at 1.0 in MLX and not clipped in PyTorch; "
        "`blocks.0.norm1`: eps is 1e-05 in MLX and 1e-12 in PyTorch"
    )
