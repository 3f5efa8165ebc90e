"""Weights go from torch to MLX through one mapping, all or none, and the outputs are the same numbers."""

import mlx.core as mx
import mlx.nn as mnn
import numpy as np
import pytest
import torch
from torch import nn as tnn

from twins.frameworks import MLX, TORCH, on
from twins.models import name_map, weight_map, weights
from twins.models import transformer_lm as lm
from twins.parity.differences import relative
from twins.training import train

CONFIG = lm.tiny(tied=False)


def twin():
    """Both halves with weights of their own."""
    return lm.MlxTransformerLM(CONFIG), lm.TorchTransformerLM(CONFIG).to(TORCH.device)


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


# --- from torch to MLX -------------------------------------------------------------------------------


def test_torch_to_mlx():
    ours, theirs = twin()
    weights.copy_to_mlx(theirs, ours)
    assert same(weights.mlx_weights(ours), weights.torch_weights(theirs))


def test_a_copy_does_not_follow_its_source():
    ours, theirs = twin()
    weights.copy_to_mlx(theirs, ours)
    before = weights.mlx_weights(ours)
    with torch.no_grad():
        theirs.norm.weight.fill_(9.0)
    assert same(weights.mlx_weights(ours), before)


# (MLX module, torch module, x in MLX's layout, axes that turn x into torch's)
CONVOLUTIONS = {
    "conv1d": (mnn.Conv1d(3, 5, 4, stride=2, padding=1), tnn.Conv1d(3, 5, 4, 2, 1), (2, 11, 3), (0, 2, 1)),
    "conv2d": (
        mnn.Conv2d(3, 5, (2, 4), stride=(1, 2), padding=(1, 0)),
        tnn.Conv2d(3, 5, (2, 4), (1, 2), (1, 0)),
        (2, 7, 11, 3),
        (0, 3, 1, 2),
    ),
    "grouped conv2d": (
        mnn.Conv2d(4, 6, (3, 2), groups=2, dilation=2),
        tnn.Conv2d(4, 6, (3, 2), groups=2, dilation=2),
        (2, 7, 9, 4),
        (0, 3, 1, 2),
    ),
    "conv3d": (mnn.Conv3d(3, 5, (2, 3, 4)), tnn.Conv3d(3, 5, (2, 3, 4)), (2, 5, 6, 7, 3), (0, 4, 1, 2, 3)),
    "transposed conv1d": (
        mnn.ConvTranspose1d(3, 5, 4, stride=2),
        tnn.ConvTranspose1d(3, 5, 4, 2),
        (2, 11, 3),
        (0, 2, 1),
    ),
    "transposed conv2d": (
        mnn.ConvTranspose2d(3, 5, (2, 4), stride=(1, 2), padding=(0, 1)),
        tnn.ConvTranspose2d(3, 5, (2, 4), (1, 2), (0, 1)),
        (2, 5, 7, 3),
        (0, 3, 1, 2),
    ),
    "transposed conv3d": (
        mnn.ConvTranspose3d(3, 5, (2, 3, 4)),
        tnn.ConvTranspose3d(3, 5, (2, 3, 4)),
        (2, 3, 4, 5, 3),
        (0, 4, 1, 2, 3),
    ),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions_compute_the_same(name):
    ours, theirs, shape, axes = CONVOLUTIONS[name]
    theirs.to(TORCH.device)
    weights.copy_to_mlx(theirs, ours)
    x = numbers(*shape)
    y = MLX.numpy(ours(MLX.array(x)))
    z = TORCH.numpy(theirs(TORCH.array(x.transpose(axes).copy())))
    assert relative(y.transpose(axes), z) < 1e-5


class MlxNet(mnn.Module):
    def __init__(self):
        super().__init__()
        self.conv = mnn.Conv2d(3, 6, (3, 2))
        self.norm = mnn.BatchNorm(6)
        self.blocks = [mnn.Linear(6, 4), mnn.Linear(4, 2)]
        self.scale = mx.array(1.0)


class TorchNet(tnn.Module):
    def __init__(self):
        super().__init__()
        self.conv = tnn.Conv2d(3, 6, (3, 2))
        self.norm = tnn.BatchNorm2d(6)
        self.blocks = tnn.ModuleList([tnn.Linear(6, 4), tnn.Linear(4, 2)])
        self.scale = tnn.Parameter(torch.tensor(3.0))


def test_buffers_and_single_numbers_go_along():
    ours, theirs = MlxNet(), TorchNet()
    theirs.norm(torch.randn(8, 6, 5, 5))  # the running statistics move, and a batch is counted
    weights.copy_to_mlx(theirs, ours)
    assert np.array_equal(MLX.numpy(ours.norm.running_mean), theirs.norm.running_mean.numpy())
    assert np.array_equal(MLX.numpy(ours.norm.running_var), theirs.norm.running_var.numpy())
    assert (ours.scale.shape, ours.scale.item()) == ((), 3.0)
    x = numbers(2, 5, 5, 6)
    ours.eval()
    theirs.eval()
    y = theirs.norm(torch.from_numpy(x.transpose(0, 3, 1, 2).copy()))
    assert relative(MLX.numpy(ours.norm(mx.array(x))), TORCH.numpy(y).transpose(0, 2, 3, 1)) < 1e-6


def test_float64_stays_float64():
    with on("cpu"):
        ours, theirs = mnn.Linear(3, 4), tnn.Linear(3, 4).double()
        train.set_dtype(ours, "float64")
        weights.copy_to_mlx(theirs, ours)
        assert np.array_equal(weights.mlx_weights(ours)["weight"], theirs.weight.detach().numpy())


def test_a_bfloat16_half_keeps_its_type():
    ours, theirs = mnn.Linear(3, 4), tnn.Linear(3, 4).to(torch.bfloat16)
    train.set_dtype(ours, "bfloat16")
    weights.copy_to_mlx(theirs, ours)
    assert ours.weight.dtype == mx.bfloat16
    assert same(weights.mlx_weights(ours), weights.torch_weights(theirs))


# --- names -----------------------------------------------------------------------------------------


def test_an_entry_for_a_module_holds_for_what_lies_in_it():
    names = {"head": "head.layers", "head.0": "first", "": "whole", "norm.weight": "norm.scale"}
    known = {
        "head.1.weight": "head.layers.1.weight",
        "head.0.weight": "first.weight",
        "headless.weight": "whole.headless.weight",
        "norm.weight": "norm.scale",
    }
    assert {name: weights.renamed(name, names) for name in known} == known
    assert weights.renamed("x.weight", {"x": ""}) == "weight"
    assert weights.renamed("x.weight", {}) == "x.weight"


def test_a_map_of_what_is_not_there_is_refused():
    ours, theirs = mnn.Linear(2, 3), tnn.Linear(2, 3)
    weight_map.check_map({}, ours, theirs)
    weight_map.check_map({"weight": "weight"}, ours, theirs)
    for names, side, wrong in (
        ({"w": "weight"}, "PyTorch", "w"),
        ({"weight": "w"}, "MLX", "w"),
        ({"weigh": "weight"}, "PyTorch", "weigh"),
    ):
        with pytest.raises(ValueError) as raised:
            weight_map.check_map(names, ours, theirs)
        assert str(raised.value) == (
            f"the name map has {wrong!r}, which is no weight and no module of the {side} half; "
            "its weights are weight, bias"
        )


def test_a_layer_made_of_a_convolution_has_its_layout():
    class Mine(mnn.Conv2d):
        """A subclass."""

    assert name_map.layouts(Mine(3, 4, 3)) == {"weight": (0, 2, 3, 1)}


def test_names_that_differ_are_mapped():
    ours = mnn.Sequential(mnn.Conv2d(3, 5, (2, 4)), mnn.Linear(5, 7))
    theirs = tnn.ModuleDict({"conv": tnn.Conv2d(3, 5, (2, 4)), "out": tnn.Linear(5, 7)})
    pairs = {"conv": "layers.0", "out": "layers.1"}
    names = {f"{t}.{kind}": f"{m}.{kind}" for t, m in pairs.items() for kind in ("weight", "bias")}
    weights.copy_to_mlx(theirs, ours, names)
    moved = theirs["conv"].weight.detach().numpy().transpose(0, 2, 3, 1)
    assert np.array_equal(MLX.numpy(ours.layers[0].weight), moved)
    with pytest.raises(ValueError, match=r"missing \['layers.0.bias', .*superfluous \['conv.bias', "):
        weights.copy_to_mlx(theirs, ours)


# --- strict ----------------------------------------------------------------------------------------

WRONG = {
    "missing": (lambda w: w.pop("norm.bias"), "missing ['norm.bias'], superfluous none"),
    "superfluous": (lambda w: w.update(extra=np.ones(2)), "missing none, superfluous ['extra']"),
    "both": (
        lambda w: w.update(extra=w.pop("norm.bias")),
        "missing ['norm.bias'], superfluous ['extra']",
    ),
    "shape": (
        lambda w: w.update({"norm.bias": np.ones((1, 32), np.float32)}),
        "norm.bias has shape (1, 32), it takes (32,)",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("half", ["MLX", "PyTorch"])
def test_nothing_is_loaded_in_part(wrong, half):
    spoil, sentence = WRONG[wrong]
    index = ["MLX", "PyTorch"].index(half)
    model, other = twin()[index], twin()[index]
    read = (weights.mlx_weights, weights.torch_weights)[index]
    given, before = read(other), read(model)
    spoil(given)
    with pytest.raises(ValueError) as raised:
        (weights.load_mlx, weights.load_torch)[index](model, given)
    assert str(raised.value) == f"weights for the {half} half: {sentence}"
    assert same(read(model), before)


def test_a_weight_of_another_rank_is_refused_in_words():
    with pytest.raises(ValueError) as raised:
        weights.copy_to_mlx(tnn.Linear(3, 4), mnn.Conv2d(3, 4, 3))
    assert str(raised.value) == ("weights for the MLX half: weight has shape (4, 3), it takes (4, 3, 3, 3)")


# --- safetensors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("half", [MlxNet, TorchNet])
def test_a_file_gives_back_what_it_got(tmp_path, half):
    read = weights.mlx_weights if half is MlxNet else weights.torch_weights
    model, other = half(), half()
    weights.save(model, tmp_path / "w.safetensors")
    weights.load(other, tmp_path / "w.safetensors")
    assert same(read(other), read(model))


def test_a_file_of_the_other_half_is_refused(tmp_path):
    model = MlxNet()
    before = weights.mlx_weights(model)
    weights.save(TorchNet(), tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"the MLX half: conv.weight has shape \(6, 3, 3, 2\), it takes"):
        weights.load(model, tmp_path / "w.safetensors")
    assert same(weights.mlx_weights(model), before)
