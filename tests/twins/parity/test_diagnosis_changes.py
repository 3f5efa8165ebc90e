"""Every kind of change that is tried names its own mistake and no other; what nothing mends has no cause."""

import re

import pytest

from twins.parity import diagnosis
from twins.timing.study import Study

PAIR = """
import math
import mlx.core as mx
import mlx.nn as mnn
import numpy as np
import torch
from torch import nn as tnn
from torch.nn import functional as F

class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.a, s.c, s.b = mnn.Linear(8, 12), mnn.Linear(8, 12), mnn.Linear(12, 4)
    def __call__(s, x, mask):
        y, z = s.a(x), s.c(x)
        y = {mlx}
        return s.b(y)

class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.a, s.c, s.b = tnn.Linear(8, 12), tnn.Linear(8, 12), tnn.Linear(12, 4)
    def forward(s, x, mask):
        y, z = s.a(x), s.c(x)
        y = {torch}
        return s.b(y)

def mlx_model(): return M()
def torch_model(): return T()
def batch(rng, size):
    mask = np.arange(6) < rng.integers(2, 6, (size, 1))
    target = rng.{target}
    return rng.standard_normal((size, 6, 8)).astype("float32"), mask, target
def mlx_loss(model, x, mask, y): return {mlx_loss}
def torch_loss(model, x, mask, y): return {torch_loss}
"""
SQUARED = {
    "target": 'standard_normal((size, 1)).astype("float32")',
    "mlx_loss": "mx.square(model(x, mask).sum(-1) - y.sum(-1, keepdims=True)).mean()",
    "torch_loss": "(model(x, mask).sum(-1) - y.sum(-1, keepdim=True)).square().mean()",
}
FIRST = {  # of one position, so that a loss takes (size, 4)
    "target": 'integers(0, 4, size, dtype="int32")',
    "mlx_loss": 'mnn.losses.cross_entropy(model(x, mask), y, reduction="mean")',
    "torch_loss": "F.cross_entropy(model(x, mask), y.long())",
}
MLX_ATTENTION = (
    "mx.fast.scaled_dot_product_attention({}[:, None], {}[:, None], {}[:, None], scale={}, mask={})[:, 0]"
)
TORCH_ATTENTION = "F.scaled_dot_product_attention({}[:, None], {}[:, None], {}[:, None], attn_mask={})[:, 0]"
USUAL = MLX_ATTENTION.format("y", "z", "z", "12 ** -0.5", "None")
KEYS = MLX_ATTENTION.format("y", "z", "z", "12 ** -0.5", "mask[:, None, None]")
KINDS = {  # MLX's expression, PyTorch's, and the sentence of the cause
    "softmax axis": (
        "mx.softmax(y, axis=-1)",
        "y.softmax(1)",
        "softmax is taken over .* MLX and over axis 1",
    ),
    "mean for sum": ("mx.sum(y, axis=1)", "y.mean(1)", "the sum in MLX and the mean"),
    "another axis": (
        "y * z.mean(1, keepdims=True)",
        "y * z.mean(2, keepdim=True)",
        "the mean is taken over axis 1",
    ),
    "biased variance": ("y * z.var(1, keepdims=True)", "y * z.var(1, keepdim=True)", "variance is biased"),
    "first position": ("y[:, 0]", "y[:, -1]", "the first position .* in MLX and the last position"),
    "mean for first": ("y.mean(1)", "y[:, 0]", "the mean .* in MLX and the first position"),
    "ReLU for GELU": ("mnn.gelu(y) * z", "F.relu(y) * z", "GELU .* PyTorch .*ReLU"),
    "ReLU6 for ReLU": ("mnn.relu(5 * y)", "F.relu6(5 * y)", "ReLU .* PyTorch .*(ReLU6|smallest|limits)"),
    "leaky slope": (
        "mnn.leaky_relu(y, 0.2) + z",
        "F.leaky_relu(y, 0.1) + z",
        "slope is 0.2 in MLX and 0.1|slope 0.2",
    ),
    "a factor": ("y * 3.0 - mx.sin(z)", "y - z.sin()", "MLX multiplies by the factor 3"),
    "another factor": ("mx.sin(y * 0.25)", "torch.sin(y * 0.5)", "is 0.25 in MLX and 0.5 in PyTorch"),
    "a sum missing": (
        "mx.sin(y) + z",
        "torch.sin(y)",
        "(is missing in PyTorch|MLX adds .*, PyTorch does not)",
    ),
    "another sign": ("mx.sin(y) - z", "torch.sin(y) + z", "MLX subtracts .* PyTorch adds"),
    "order of parts": (
        "mx.concatenate([y[..., :6], z[..., :6]], axis=-1)",
        "torch.cat([z[..., :6], y[..., :6]], -1)",
        "order|are exchanged",
    ),
    "halves of a gate": (
        "mx.tile(y[..., :6] * mx.sigmoid(y[..., 6:]), (1, 1, 2))",
        "(lambda g, u: (u * g.sigmoid()).repeat(1, 1, 2))(*y.chunk(2, -1))",
        "order 2, 1|exchanged|halves",
    ),
    "transposed or reshaped": (
        "y[:, :, :6].transpose(0, 2, 1) @ z",
        "y[:, :, :6].reshape(len(y), 6, 6) @ z",
        "transpose",
    ),
    "split into heads": (
        "mx.softmax(y.reshape(-1, 6, 3, 4), axis=-1).reshape(-1, 6, 12)",
        "y.reshape(-1, 6, 4, 3).transpose(2, 3).softmax(-1).reshape(-1, 6, 12)",
        "order",
    ),
    "epsilon outside": (
        "y / mx.sqrt(y.var(-1, keepdims=True) + 0.01)",
        "y / (y.var(-1, keepdim=True, correction=0).sqrt() + 0.01)",
        "epsilon is added inside of the root.* in MLX and outside",
    ),
    "another epsilon": (
        "y / mx.sqrt(y.var(-1, keepdims=True) + 0.001)",
        "y / (y.var(-1, keepdim=True, correction=0) + 0.0001).sqrt()",
        "is 0.001 in MLX and 0.0001 in PyTorch",
    ),
    "no scale": (
        USUAL.replace("12 ** -0.5", "1.0"),
        TORCH_ATTENTION.format("y", "z", "z", "None"),
        "MLX does not scale",
    ),
    "another scale": (
        USUAL.replace("12 ** -0.5", "0.4"),
        TORCH_ATTENTION.format("y", "z", "z", "None"),
        "MLX multiplies attention's scores by 0.4, PyTorch divides attention's scores by the root of 12",
    ),
    "no causal mask": (
        USUAL.replace("mask=None", 'mask="causal"'),
        TORCH_ATTENTION.format("y", "z", "z", "None"),
        "causal",
    ),
    "padding ignored": (KEYS, TORCH_ATTENTION.format("y", "z", "z", "None"), "padding"),
    "mask inverted": (KEYS, TORCH_ATTENTION.format("y", "z", "z", "~mask[:, None, None]"), "inverted"),
    "mask as numbers": (
        KEYS,
        TORCH_ATTENTION.format("y", "z", "z", "mask[:, None, None].float()"),
        "adds the .*numbers",
    ),
    "rectangular causal": (
        USUAL.replace("{}[:, None]", "{}")
        .replace("y[:, None]", "y[:, None, -3:]")
        .replace("mask=None", 'mask="causal"'),
        "F.scaled_dot_product_attention(y[:, None, -3:], z[:, None], z[:, None], is_causal=True)[:, 0]",
        "causal mask is aligned|causal",
    ),
    "queries for keys": (USUAL, TORCH_ATTENTION.format("z", "y", "z", "None"), "queries|keys"),
    "rope of pairs": (
        "mx.fast.rope(y[:, None], 12, traditional=True, base=10000.0, scale=1.0, offset=0)[:, 0] + 0 * z",
        "(lambda t: torch.cat([y[..., :6] * t.cos() - y[..., 6:] * t.sin(),"
        " y[..., :6] * t.sin() + y[..., 6:] * t.cos()], -1))"
        "(torch.arange(6.0)[:, None] * 10000.0 ** (-torch.arange(0, 12, 2) / 12)) + 0 * z",
        "interleaved pairs .traditional. in MLX",
    ),
    "embedding scale": ("y * math.sqrt(12) + z", "y + z", "the root of 12"),
    "padding only in the mean": (
        "(y * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)",
        "y.mean(1)",
        "mask|padding",
    ),
    "cut graph": ("mx.stop_gradient(y) + z", "y + z", "MLX cuts the graph|graph is cut"),
    "half type": ("y.astype(mx.bfloat16).astype(mx.float32) + z", "y + z", "bfloat16"),
}
LOSSES = {  # the same of the losses
    "smoothing": (
        "mnn.losses.cross_entropy(model(x, mask), y, label_smoothing=0.1, reduction='mean')",
        FIRST["torch_loss"],
        "label_smoothing. is 0.1 in MLX and 0 ",
    ),
    "sum": (FIRST["mlx_loss"].replace("mean", "sum"), FIRST["torch_loss"], "sum.* in MLX and .mean"),
    "ignored": (
        FIRST["mlx_loss"],
        "F.cross_entropy(model(x, mask), y.long(), ignore_index=0)",
        "ignore_index",
    ),
    "weights of classes": (
        FIRST["mlx_loss"],
        "F.cross_entropy(model(x, mask), y.long(), weight=torch.tensor([1.0, 2.0, 3.0, 4.0]))",
        "weigh",
    ),
    "a factor": (FIRST["mlx_loss"], "0.5 * " + FIRST["torch_loss"], "factor 0.5|2 times"),
    "absolute error": (
        "mnn.losses.mse_loss(model(x, mask)[:, 0], y / 4, reduction='mean')",
        "F.l1_loss(model(x, mask)[:, 0], y / 4)",
        "squared error in MLX and the absolute error",
    ),
    "broadcast": (
        "mnn.losses.mse_loss(model(x, mask)[:, 0], y / 4, reduction='mean')",
        "(model(x, mask)[:, :1] - y / 4).square().mean()",
        "broadcast",
    ),
    "probabilities": (
        FIRST["mlx_loss"],
        "F.cross_entropy(model(x, mask).softmax(-1), y.long())",
        "softmax",
    ),
}
NOTHING = {  # what no single change mends
    "another computation": ("mx.sin(y) * z", "torch.cos(3.7 * y) * torch.erf(z) - 0.4321"),
}


def told(folder, **parts: str) -> diagnosis.Diagnosis | None:
    path = folder / "mine.py"
    text = PAIR
    for name, part in parts.items():
        text = text.replace(f"{{{name}}}", part)
    path.write_text(text)
    own = Study(str(path), {})
    return diagnosis.diagnose(own.halves, own.example(8))


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_of_an_operation_is_told(kind, tmp_path):
    mlx, torch, sentence = KINDS[kind]
    found = told(tmp_path, mlx=mlx, torch=torch, **SQUARED)
    assert re.search(sentence, found.cause), found
    others = (
        {"attention", "causal", "mask"} if "mask" not in mlx + torch and "attention" not in mlx else set()
    )
    assert not any(word in found.cause for word in others)


@pytest.mark.parametrize("kind", LOSSES)
def test_a_change_of_a_loss_is_told(kind, tmp_path):
    mlx, torch, sentence = LOSSES[kind]
    losses = {"mlx_loss": mlx, "torch_loss": torch, "target": FIRST["target"]}
    found = told(tmp_path, mlx="y[:, 0]", torch="y[:, 0]", **losses)
    assert found.where == "the loss"
    assert re.search(sentence, found.cause), found


@pytest.mark.parametrize("kind", NOTHING)
def test_what_no_change_mends_is_placed_with_its_values(kind, tmp_path):
    mlx, torch = NOTHING[kind]
    found = told(tmp_path, mlx=mlx, torch=torch, **SQUARED)
    assert (found.where, found.cause) == ("`b`", "")
    assert re.search(r"shape \(8, 6, 12\); at \[\d, \d, \d+\] \S+ in MLX and \S+ in PyTorch", found.departs)


def test_a_pair_that_agrees_is_left_alone(tmp_path):
    assert told(tmp_path, mlx="mx.sin(y) * z", torch="torch.sin(y) * z", **SQUARED) is None
