"""Your model, in place of this small text classifier; then run 12_your_model.ipynb.

The page needs mlx_model, torch_model, batch, mlx_loss and torch_loss, and NAMES
where weight names differ. Models are called with all arrays of a batch but the
last, losses with the model and all of them.
"""

import mlx.core as mx
import mlx.nn as mnn
import torch
from torch import nn as tnn
from torch.nn import functional as F

VOCABULARY, LENGTH, WIDTH, CLASSES = 2000, 32, 96, 8


class MlxTextClassifier(mnn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = mnn.Embedding(VOCABULARY, WIDTH)
        self.context = mnn.Conv1d(WIDTH, WIDTH, kernel_size=5, padding=2)
        self.value = mnn.Linear(WIDTH, 2 * WIDTH)
        self.gate = mnn.Linear(WIDTH, 2 * WIDTH)
        self.norm = mnn.LayerNorm(2 * WIDTH, eps=1e-5)
        self.head = mnn.Sequential(mnn.GELU(), mnn.Linear(2 * WIDTH, CLASSES))

    def __call__(self, ids):
        x = self.tokens(ids)  # (B, T) -> (B, T, C)
        x = x + mnn.gelu(self.context(x))
        x = self.norm(mx.sigmoid(self.gate(x)) * self.value(x))
        return self.head(x.mean(axis=1))  # (B, T, 2C) -> (B, classes)


class TorchTextClassifier(tnn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = tnn.Embedding(VOCABULARY, WIDTH)
        self.context = tnn.Conv1d(WIDTH, WIDTH, kernel_size=5, padding=2)
        self.value = tnn.Linear(WIDTH, 2 * WIDTH)
        self.gate = tnn.Linear(WIDTH, 2 * WIDTH)
        self.norm = tnn.LayerNorm(2 * WIDTH, eps=1e-5)
        self.head = tnn.Sequential(tnn.GELU(), tnn.Linear(2 * WIDTH, CLASSES))

    def forward(self, ids):
        x = self.tokens(ids)  # (B, T) -> (B, T, C)
        y = self.context(x.transpose(1, 2))  # torch's convolution takes (B, C, T)
        x = x + F.gelu(y).transpose(1, 2)
        x = self.norm(torch.sigmoid(self.gate(x)) * self.value(x))
        return self.head(x.mean(dim=1))  # (B, T, 2C) -> (B, classes)


def mlx_model():
    return MlxTextClassifier()


def torch_model():
    return TorchTextClassifier()


# PyTorch's name of a weight or of a module -> MLX's, where they differ.
# Here: MLX's Sequential keeps its modules in a list that it calls `layers`.
NAMES = {"head": "head.layers"}


def batch(rng, size):
    """`size` examples as NumPy arrays: the inputs, and the target last."""
    ids = rng.integers(0, VOCABULARY, (size, LENGTH), dtype="int32")
    return ids, rng.integers(0, CLASSES, size, dtype="int32")


def mlx_loss(model, ids, labels):
    return mnn.losses.cross_entropy(model(ids), labels, reduction="mean")


def torch_loss(model, ids, labels):
    return F.cross_entropy(model(ids), labels, reduction="mean")
