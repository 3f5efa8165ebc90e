"""Two counts that share no code agree exactly, and with a formula where there is one."""

from itertools import pairwise

import mlx.core as mx
import mlx.nn as mnn
import numpy as np
import pytest
from torch import nn as tnn

from twins.frameworks import MLX, TORCH
from twins.models import transformer_lm as lm
from twins.timing import flops
from twins.training import train
from twins.training.train import Half

CHANNELS_FIRST = {3: (0, 2, 1), 4: (0, 3, 1, 2), 5: (0, 4, 1, 2, 3)}


def square(model, x):
    return (model(x) ** 2).mean()


def torch_square(model, x):
    """The same from MLX's layout; turning axes is no counted operation."""
    return square(model, x.permute(CHANNELS_FIRST[x.ndim]) if x.ndim > 2 else x)


def counts(mlx: mnn.Module, torch: tnn.Module, shape: tuple[int, ...]) -> tuple[int, int]:
    """MLX's count and torch's of one training step's forward and backward."""
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    ours, theirs = Half(MLX, mlx, square, None, None), Half(TORCH, torch, torch_square, None, None)
    theirs.model.to(TORCH.device)
    return flops.count_mlx(ours, *ours.batch([x])), flops.count_torch(theirs, *theirs.batch([x]))


# --- formulas --------------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [True, False])
def test_one_linear_layer(bias):
    """B x I @ I x O forward, and the weight's gradient; nothing asks for the input's."""
    B, I, O = 7, 5, 3  # noqa: E741
    counted = counts(mnn.Linear(I, O, bias=bias), tnn.Linear(I, O, bias=bias), (B, I))
    assert counted == (2 * 2 * B * I * O,) * 2


def test_a_stack_of_linear_layers():
    """Every layer but the first also needs its input's gradient: 2, 3 and 3 products."""
    sizes, B = (5, 8, 6, 3), 7
    pairs = list(pairwise(sizes))
    ours = mnn.Sequential(*(mnn.Linear(*pair) for pair in pairs))
    theirs = tnn.Sequential(*(tnn.Linear(*pair) for pair in pairs))
    known = sum(2 * B * i * o * (3 if n else 2) for n, (i, o) in enumerate(pairs))
    assert counts(ours, theirs, (B, 5)) == (known, known)


def test_one_convolution():
    """Every output meets every tap and channel once forward, and once for the weight's gradient."""
    known = 2 * 2 * (2 * 6 * 4 * 8) * (3 * 5 * 3)  # outputs (2, 6, 4, 8); taps 3 x 5, 3 channels
    assert counts(mnn.Conv2d(3, 8, (3, 5)), tnn.Conv2d(3, 8, (3, 5)), (2, 8, 8, 3)) == (known, known)


def by_hand(c: lm.Config, batch: int) -> int:
    """transformer_lm: forward once and backward twice, for products and the full score matrices."""
    tokens = batch * c.context
    weights = c.layers * 12 * c.width**2 + c.width * c.vocabulary
    scores = c.layers * 2 * tokens * c.context * c.width
    return 3 * 2 * (tokens * weights + scores)


# --- agreement -------------------------------------------------------------------------------------


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    ("batch", "sizes"),
    [
        (1, {}),
        (3, {"layers": 1, "heads": 4}),
        (2, {"vocabulary": 100, "context": 24, "width": 48, "layers": 3, "heads": 3}),
        (5, {"context": 1}),
    ],
)
def test_the_language_model(tied, batch, sizes):
    config = lm.tiny(tied=tied, **sizes)
    halves = train.halves(lm, config, train.Recipe())
    example = lm.example(config, np.random.default_rng(0), batch)
    counted = flops.count(*halves, example)
    assert counted == by_hand(config, batch)


@pytest.mark.parametrize("kernel", [1, 3, (3, 5)])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding": 1},
        {"stride": 2},
        {"stride": 2, "padding": 1},
        {"stride": (3, 2), "padding": (1, 0)},
        {"padding": 2, "dilation": 2},
    ],
)
def test_a_convolution_after_another(kernel, options):
    """The second also needs its input's gradient: a transposed convolution."""
    ours = mnn.Sequential(mnn.Conv2d(3, 4, 3, padding=1), mnn.Conv2d(4, 6, kernel, **options))
    theirs = tnn.Sequential(tnn.Conv2d(3, 4, 3, padding=1), tnn.Conv2d(4, 6, kernel, **options))
    mlx, torch = counts(ours, theirs, (2, 9, 11, 3))
    assert mlx == torch > 0


@pytest.mark.parametrize(("kind", "shape"), [("Conv1d", (2, 11, 3)), ("Conv3d", (2, 7, 6, 5, 3))])
def test_convolutions_in_one_and_three_dimensions(kind, shape):
    layers = [(3, 4, 3, 2, 1), (4, 6, 3, 1, 1)]
    ours = mnn.Sequential(*(getattr(mnn, kind)(*layer) for layer in layers))
    theirs = tnn.Sequential(*(getattr(tnn, kind)(*layer) for layer in layers))
    mlx, torch = counts(ours, theirs, shape)
    assert mlx == torch > 0


class MlxNet(mnn.Module):
    def __init__(self, classes: int = 10):
        super().__init__()
        self.stem = mnn.Conv2d(3, 8, 3, stride=1, padding=1)
        self.norm = mnn.BatchNorm(8)
        self.down = mnn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.out = mnn.Linear(16, classes)

    def __call__(self, x):
        x = mnn.relu(self.norm(self.stem(x)))
        return self.out(mnn.relu(self.down(x)).mean((1, 2)))


class TorchNet(tnn.Module):
    def __init__(self, classes: int = 10):
        super().__init__()
        self.stem = tnn.Conv2d(3, 8, 3, stride=1, padding=1)
        self.norm = tnn.BatchNorm2d(8)
        self.down = tnn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.out = tnn.Linear(16, classes)

    def forward(self, x):
        x = tnn.functional.relu(self.norm(self.stem(x)))
        return self.out(tnn.functional.relu(self.down(x)).mean((2, 3)))


def test_a_small_network():
    B, classes = 4, 10
    stem = 2 * (B * 16 * 16 * 8) * (9 * 3)
    down = 2 * (B * 8 * 8 * 16) * (9 * 8)
    out = 2 * B * 16 * classes
    assert counts(MlxNet(), TorchNet(), (B, 16, 16, 3)) == (2 * stem + 3 * down + 3 * out,) * 2


def test_counting_leaves_the_model_usable():
    """BatchNorm's statistics become tracers while MLX is traced; they come back as numbers."""
    model = MlxNet()
    before = MLX.numpy(model.norm.running_mean)
    counts(model, TorchNet(), (4, 16, 16, 3))
    assert np.array_equal(MLX.numpy(model.norm.running_mean), before)
    assert model(mx.ones((1, 16, 16, 3))).shape == (1, 10)


def test_different_work_is_refused_with_both_counts():
    halves = train.halves(lm, lm.tiny(), train.Recipe())
    other = train.halves(lm, lm.tiny(layers=1), train.Recipe())[1]
    example = lm.example(lm.tiny(), np.random.default_rng(0), 2)
    ours, theirs = (by_hand(lm.tiny(layers=layers), 2) for layers in (2, 1))
    with pytest.raises(ArithmeticError) as raised:
        flops.count(halves[0], other, example)
    assert str(raised.value) == (
        f"a step is {ours:,} operations in MLX's graph and {theirs:,} by torch's counter"
    )
