"""Float32 constants of a reader's file are float64 in the stage, in both halves; what cannot be is told."""

import mlx.core as mx
import numpy as np
import pytest
import torch

from twins.parity import float64
from twins.parity.fairness_gate import check_float64
from twins.timing.study import Study
from twins.training.train import Recipe

TEXT = """
import functools
import mlx.core as mx
import mlx.nn as mnn
import numpy as np
import torch
from mlx.core import array, float32, sigmoid
from torch import nn as tnn
from torch.nn import functional as F
C = np.random.default_rng(0).standard_normal(16).astype("float32")
MC, TC, KEPT = mx.array(C), torch.tensor(C), {}
@functools.cache
def table(n): return mx.cos(mx.arange(n) * 0.1)
def kept(n):
    if n not in KEPT: KEPT[n] = torch.cos(torch.arange(n) * 0.1)
    return KEPT[n]
@mx.compile
def act(x): return x * mx.sigmoid(x)
@torch.compile
def torch_act(x): return x * torch.sigmoid(x)
class Own(torch.autograd.Function):
    @staticmethod
    def forward(c, x):
        c.save_for_backward(x)
        return x.sigmoid()
    @staticmethod
    def backward(c, g):
        s = c.saved_tensors[0].sigmoid()
        return g * s * (1 - s) * torch.ones(16).float()
def filled(x):
    out = torch.zeros(len(x), 16)
    out[:, :8] = x[:, :8]
    out[:, 8:].copy_(x[:, 8:])
    return out
def mlx_filled(x):
    out = mx.zeros((8, 16))
    out[:, :] = x
    return out
class M(mnn.Module):
    def __init__(s):
        super().__init__(); s.a = mnn.Linear(4, 16); s.b = mnn.Linear(16, 3); s._c = mx.array(C)
    def __call__(s, x):
        h = s.a(x)
        return s.b(MLX)
class T(tnn.Module):
    def __init__(s):
        super().__init__(); s.a = tnn.Linear(4, 16); s.b = tnn.Linear(16, 3); s.c = torch.tensor(C)
    def forward(s, x):
        h = s.a(x)
        return s.b(TORCH)
def mlx_model(): return M()
def torch_model(): return T()
def batch(rng, size): return rng.standard_normal((size, 4)).astype("float32"), rng.integers(0, 3, size)
def mlx_loss(m, x, y):
    w = mx.array([1., 2., 3.3])[y]
    return (mnn.losses.cross_entropy(m(x), y) * w).sum() / w.sum()
def torch_loss(m, x, y): return F.cross_entropy(m(x), y, weight=torch.tensor([1., 2., 3.3]))
"""
BARE = "mx.tanh(h)", "torch.tanh(h)"
PAIRS = {
    "class weights": BARE,
    "attributes that are plain": ("h * s._c", "h * s.c"),
    "constants of the file": ("h * MC * 0.3", "h * TC * 0.3"),
    "integers over a number": (
        "h * mx.sin(mx.arange(16) / 16 * 3.1)",
        "h * torch.sin(torch.arange(16) / 16 * 3.1)",
    ),
    "integers cast": (
        "h * mx.cos(mx.arange(16).astype(mx.float32) * 0.1)",
        "h * torch.cos(torch.arange(16).float() * 0.1)",
    ),
    "powers": (
        "h * 10000.0 ** (-mx.arange(0, 16) / 16)",
        "h * 10000.0 ** (-torch.arange(0, 16, dtype=torch.float32) / 16)",
    ),
    "linspace": ("h * mx.exp(mx.linspace(0, 1, 16))", "h * torch.exp(torch.linspace(0, 1, 16))"),
    "float()": ("mnn.relu(h)", "F.relu(s.a(x.float()))"),
    "to(float32)": ("mnn.relu(h.astype(mx.float32))", "F.relu(h.to(torch.float32))"),
    "to('cpu', float32)": ("mnn.relu(h)", "F.relu(h.to('cpu', torch.float32))"),
    "type(float32)": ("mnn.relu(h)", "F.relu(h.type(torch.float32))"),
    "type_as a constant": ("mnn.relu(h)", "F.relu(h.type_as(TC))"),
    "imported by name": (
        "sigmoid(h.astype(float32)) * array([0.1], dtype=float32)",
        "torch.sigmoid(h) * 0.1",
    ),
    "compiled": ("act(h)", "torch_act(h)"),
    "a gradient of one's own": ("mx.sigmoid(h)", "Own.apply(h)"),
    "bfloat16 on purpose": (
        "h.astype(mx.bfloat16).astype(mx.float32)",
        "h.to(torch.bfloat16).float()",
    ),
    "filled in place": ("mlx_filled(h)", "filled(h)"),
    "a mask": (
        "mx.softmax(h + (mx.arange(16) >= 9) * mx.finfo(mx.float32).min, -1)",
        "(h + (torch.arange(16) >= 9).float() * torch.finfo(torch.float32).min).softmax(-1)",
    ),
    "a matrix": ("h @ mx.array(np.outer(C, C))", "h @ torch.from_numpy(np.outer(C, C))"),
    "kept": ("h * table(16)", "h * kept(16)"),
}
NOTES = {
    "mx.fft.fft (mine.py, line 44)": ("mx.real(mx.fft.fft(h))", "torch.fft.fft(h).real"),
    "mine.py, line 50, in PyTorch: KeyError: 'none'": ("mx.tanh(h)", "torch.tanh({}['none'])"),
    "mine.py, line 44, in MLX: AttributeError: ": ("mx.tanh(h.none)", "torch.tanh(h)"),
    "mine.py, line 44, in MLX: ZeroDivisionError: ": ("h / (1 // 0)", "torch.tanh(h)"),
}


def checked(folder, halves: tuple[str, str]):
    """The float64 checks of the pair with these expressions in its halves, and the note."""
    path = folder / "mine.py"
    path.write_text(TEXT.replace("MLX", halves[0]).replace("TORCH", halves[1]))
    study = Study(str(path), {}, Recipe(1e-3), 0)
    checks, _, note = check_float64(study.halves, study.examples(8, 5))
    return checks, note


@pytest.mark.parametrize("halves", PAIRS.values(), ids=PAIRS)
def test_float32_constants_become_float64(halves, tmp_path):
    checks, note = checked(tmp_path, halves)
    assert (len(checks) > 2, note) == (True, "")
    for check in checks:
        assert check.value < 1e-12, check


@pytest.mark.parametrize("note", NOTES)
def test_what_remains_is_one_sentence_with_its_line(note, tmp_path):
    checks, told = checked(tmp_path, NOTES[note])
    assert checks == []
    assert told.startswith(f"not checked in float64: {note}")
    assert "\n" not in told


def test_what_a_file_keeps_is_afterwards_as_it_was(tmp_path):
    import sys

    checked(tmp_path, PAIRS["kept"])
    own = sys.modules["own_mine"]
    assert not own.KEPT
    assert own.table(16).dtype == mx.float32
    assert own.kept(16).dtype == torch.float32


MLX_KINDS = {
    "[0.1]": lambda: mx.array([0.1]),
    "float32 of NumPy": lambda: mx.array(np.float32([0.1])),
    "float64 of NumPy": lambda: mx.array(np.array([0.1])),
    "dtype float32": lambda: mx.array([1], dtype=mx.float32),
    "zeros": lambda: mx.zeros(3),
    "ones of float32": lambda: mx.ones((3,), mx.float32),
    "full": lambda: mx.full((2,), 0.1),
    "arange": lambda: mx.arange(0.0, 1.0, 0.1),
    "linspace": lambda: mx.linspace(0, 1, 3),
    "integers divided": lambda: mx.array([1, 2]) / 3,
    "integers times a number": lambda: 0.1 * mx.array([1, 2]),
    "mean of integers": lambda: mx.array([1, 2]).mean(),
    "where of numbers": lambda: mx.where(mx.array([True]), 0.1, 0.2),
    "root of a number": lambda: mx.sqrt(2.0),
}
KEPT_KINDS = {
    "integers": (lambda: mx.array([1, 2]) + 1, mx.int32),
    "booleans": (lambda: mx.array([True]), mx.bool_),
    "arange of integers": (lambda: mx.arange(3), mx.int32),
    "float16": (lambda: mx.array([1.0], dtype=mx.float16) * 0.1, mx.float16),
    "bfloat16": (lambda: mx.zeros(3, mx.bfloat16) / mx.array([1]), mx.bfloat16),
    "where of integers": (lambda: mx.where(mx.array([True]), 1, 0), mx.int32),
}


@pytest.mark.parametrize("make", MLX_KINDS.values(), ids=MLX_KINDS)
def test_mlx_makes_float64(make):
    with float64.stage():
        assert make().dtype == mx.float64


@pytest.mark.parametrize("kind", KEPT_KINDS.values(), ids=KEPT_KINDS)
def test_mlx_keeps_other_types(kind):
    with float64.stage():
        assert kind[0]().dtype == kind[1]


def test_an_array_is_still_an_array():
    with float64.stage():
        x = mx.array([1.0])
        assert isinstance(x, mx.array) and isinstance(x, (mx.array, dict)) and not isinstance(1, mx.array)
        assert x.tolist() == [1.0]


def test_weights_are_drawn_as_in_float32():
    def made() -> list[np.ndarray]:
        torch.manual_seed(0)
        layers = torch.nn.Conv2d(3, 4, 3), torch.nn.LSTM(4, 5), torch.nn.Embedding(6, 4)
        found = [p.detach().numpy() for layer in layers for p in layer.parameters()]
        return [*found, (0.5 * torch.randn(3)).numpy(), torch.rand(2).numpy()]

    plain = made()
    with float64.stage():
        wide = made()
    for a, b in zip(plain, wide, strict=True):
        assert a.dtype == np.float32 and b.dtype == np.float64
        assert np.array_equal(a, b)


def test_an_optimizer_that_fails_leaves_the_mode_whole():
    with float64.stage():
        x = torch.nn.Parameter(torch.ones(2))
        optimizer = torch.optim.SGD([x], 0.1)
        with pytest.raises(ZeroDivisionError):
            optimizer.step(lambda: 1 / 0)
    assert torch.tensor([0.1]).dtype == torch.float32
