"""Mistakes of which a page must name the cause, made by changing the text of a reader's file."""

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

C, H = 16, 2

class MlxBlock(mnn.Module):
    def __init__(self):
        super().__init__()
        self.n1, self.n2 = mnn.LayerNorm(C, eps=1e-5), mnn.LayerNorm(C, eps=1e-5)
        self.heads = H
        self.q, self.k, self.v, self.o = (mnn.Linear(C, C) for _ in range(4))
        self.up, self.down = mnn.Linear(C, 2 * C), mnn.Linear(2 * C, C)

    def __call__(self, x, mask):
        y = self.n1(x)
        sizes = *x.shape[:2], self.heads, -1
        q, k, v = (f(y).reshape(sizes).transpose(0, 2, 1, 3) for f in (self.q, self.k, self.v))
        s = mx.where(mask[:, None, None], q @ k.transpose(0, 1, 3, 2) / math.sqrt(C // 2), -1e9)
        x = x + self.o((mx.softmax(s, axis=-1) @ v).transpose(0, 2, 1, 3).reshape(x.shape))
        return x + self.down(mnn.relu(self.up(self.n2(x))))

class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = mnn.Embedding(20, C)
        self.blocks = [MlxBlock() for _ in range(2)]
        self.head = mnn.Linear(C, 5)

    def __call__(self, ids, mask):
        x = self.tokens(ids)
        for block in self.blocks:
            x = block(x, mask)
        return self.head(x[:, 0])

class TorchBlock(tnn.Module):
    def __init__(self):
        super().__init__()
        self.n1, self.n2 = tnn.LayerNorm(C, eps=1e-5), tnn.LayerNorm(C, eps=1e-5)
        self.heads = H
        self.q, self.k, self.v, self.o = (tnn.Linear(C, C) for _ in range(4))
        self.up, self.down = tnn.Linear(C, 2 * C), tnn.Linear(2 * C, C)

    def forward(self, x, mask):
        y = self.n1(x)
        q, k, v = (f(y).view(*x.shape[:2], self.heads, -1).transpose(1, 2) for f in (self.q, self.k, self.v))
        s = torch.where(mask[:, None, None], q @ k.mT / math.sqrt(C // 2), -1e9)
        x = x + self.o((s.softmax(-1) @ v).transpose(1, 2).reshape(x.shape))
        return x + self.down(F.relu(self.up(self.n2(x))))

class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = tnn.Embedding(20, C)
        self.blocks = tnn.ModuleList(TorchBlock() for _ in range(2))
        self.head = tnn.Linear(C, 5)

    def forward(self, ids, mask):
        x = self.tokens(ids)
        for block in self.blocks:
            x = block(x, mask)
        return self.head(x[:, 0])

def mlx_model():
    return Mlx()

def torch_model():
    return Torch()

def batch(rng, size):
    mask = np.arange(6) < rng.integers(2, 7, (size, 1))
    return rng.integers(0, 20, (size, 6), dtype="int32"), mask, rng.integers(0, 5, size, dtype="int32")

def mlx_loss(model, ids, mask, y):
    return mnn.losses.cross_entropy(model(ids, mask), y, reduction="mean")

def torch_loss(model, ids, mask, y):
    return F.cross_entropy(model(ids, mask), y)
"""
TORCH_NORMS = "self.n1, self.n2 = tnn.LayerNorm(C, eps=1e-5), tnn.LayerNorm(C, eps=1e-5)"
TORCH_LOOP = (
    "for block in self.blocks:\n            x = block(x, mask)\n        return self.head(x[:, 0])\n\ndef"
)
CAUSES = {
    "eps": (
        (TORCH_NORMS, TORCH_NORMS.replace("1e-5", "1e-6", 1)),
        "its `eps` is 1e-05 in MLX and 1e-06 in PyTorch",
    ),
    "heads": (
        (
            "self.heads = H\n        self.q, self.k, self.v, self.o = (tnn",
            "self.heads = 4\n        self.q, self.k, self.v, self.o = (tnn",
        ),
        "`blocks.0`'s `heads` is 2 in MLX and 4 in PyTorch",
    ),
    "no scale": (
        ("k.mT / math.sqrt(C // 2)", "k.mT"),
        "both compute attention; its scores are divided by the root of 8 in MLX and not scaled in PyTorch",
    ),
    "queries for keys": (
        ("(self.q, self.k, self.v))\n        s = torch", "(self.k, self.q, self.v))\n        s = torch"),
        "both compute attention; its queries are the output of `blocks.0.q` in MLX and",
    ),
    "a residual around the norm": (
        ("x = x + self.o((s", "x = y + self.o((s"),
        "MLX computes the output of `blocks.0.o` plus the output of `tokens`, PyTorch the output "
        "of `blocks.0.o` plus the output of `blocks.0.n1`",
    ),
    "no residual": (
        ("return x + self.down(F", "return self.down(F"),
        "MLX computes the output of `blocks.0.down` plus the input of `blocks.0.n2`, PyTorch the output of",
    ),
    "a function more": (
        ("self.down(F.relu(", "self.down(torch.tanh(F.relu("),
        ("self.n2(x))))\n\nclass Torch(", "self.n2(x)))))\n\nclass Torch("),
        "MLX computes ReLU of the output of `blocks.0.up`, PyTorch tanh of ReLU of the output of",
    ),
    "a block left out": (
        (TORCH_LOOP, TORCH_LOOP.replace("self.blocks:", "self.blocks[:1]:")),
        "before it, `blocks.1` (MlxBlock) is called 1 time in MLX and 0 times in PyTorch; without",
    ),
    "a map that crosses": (
        ("C, H = 16, 2", "C, H = 16, 2\nNAMES = {'blocks.0.q': 'blocks.0.k', 'blocks.0.k': 'blocks.0.q'}"),
        "the map of names gives weights to the wrong layers: with no map at all the outputs agree",
    ),
    "a loss without weights": (
        (
            "return F.cross_entropy(model(ids, mask), y)",
            "return F.cross_entropy(model(ids, mask).detach(), y)",
        ),
        "the graph is cut (detach, item, no_grad), or every weight is frozen",
    ),
    "a loss that is smoothed": (
        ("model(ids, mask), y)\n", "model(ids, mask), y, label_smoothing=0.1)\n"),
        "the loss's `label_smoothing` is 0 in MLX and 0.1 in PyTorch",
    ),
    "a doubled loss": (
        ("return F.cross_entropy(model(ids, mask), y)", "return 4 * F.cross_entropy(model(ids, mask), y)"),
        "PyTorch multiplies by the factor 4",
    ),
    "a padding index": (
        ("tnn.Embedding(20, C)", "tnn.Embedding(20, C, padding_idx=0)"),
        "rows [0] of `tokens.weight` get no gradient in PyTorch, as with padding_idx",
    ),
    "weights tied": (
        (
            "return Torch()",
            "made = Torch()\n    made.blocks[1].up.weight = made.blocks[0].up.weight\n    return made",
        ),
        "in PyTorch it is one weight with `blocks.0.up.weight`; arrays that start equal in MLX are two",
    ),
    "another optimizer": (
        (
            "def mlx_model",
            "def torch_optimizer(_, model):\n    return torch.optim.Adam(model.parameters(), lr=1e-3)\n\n"
            "def mlx_model",
        ),
        "MLX's half has AdamW and PyTorch's Adam",
    ),
    "an error of one's own": (
        (
            "y = self.n1(x)\n        q, k, v = (f(y).view",
            "y = self.n1(x) / (1 // 0)\n        q, k, v = (f(y).view",
        ),
        "",
    ),
}


@pytest.fixture
def written(tmp_path):
    """A function that writes the pair with some text replaced and gives its study."""

    def write(*changes: tuple[str, str]) -> Study:
        text = PAIR
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "mine.py").write_text(text)
        return Study(str(tmp_path / "mine.py"), {})

    return write


def test_the_pair_as_it_is_is_left_alone(written):
    own = written()
    assert diagnosis.diagnose(own.halves, own.example(8)) is None


@pytest.mark.parametrize("case", CAUSES.values(), ids=CAUSES)
def test_a_cause_is_named(written, case):
    own = written(*case[:-1])
    found = diagnosis.diagnose(own.halves, own.example(8))
    assert (found.cause or "").startswith(case[-1])
    assert bool(found.cause) == bool(case[-1])
    assert "\n" not in str(found)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            ("C, H = 16, 2", "C, H = 16, 2 / 0"),
            "mine.py cannot be imported: ZeroDivisionError: division by zero",
        ),
        (
            ("return Torch()", "return Torch(1)"),
            "mine.py: torch_model() fails with TypeError: Torch.__init__() ta",
        ),
        (("rng.integers(2, 7", "rng.integers(7, 2"), "mine.py: batch() fails with ValueError: low >= high"),
        (
            ("mask = np", "size = 3; mask = np"),
            "mine.py: batch(rng, 8) gives arrays of shapes (3, 6), (3, 6), (3,)",
        ),
        (
            ("C, H = 16, 2", "C, H, NAMES = 16, 2, ['q']"),
            "mine.py: NAMES is ['q']; it must be a dict from PyTor",
        ),
        (
            ("C, H = 16, 2", "C, H = 16, 2\nNAMES = {'blocks.0.q': 'blocks.0.k'}"),
            "the name map gives two weights of the PyTorch half, 'blocks.0.k",
        ),
        (
            ("def mlx_model", "def mlx_optimizer(recipe):\n    return 3\n\ndef mlx_model"),
            "mine.py: mlx_optimizer() gives builtins's int; it must give an mlx.optimizers.Optimizer",
        ),
    ],
)
def test_a_wrong_file_is_one_sentence(written, change, sentence):
    with pytest.raises((ValueError, TypeError)) as raised:
        own = written(change)
        own.apart()
        own.example(8)
    assert str(raised.value).startswith(sentence)
    assert "\n" not in str(raised.value)
