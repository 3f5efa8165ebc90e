"""Every planted defect is told by its place and its cause; a correct pair is left alone."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import mlx.core as mx
import mlx.nn as mnn
import numpy as np
import pytest
import torch
from torch import nn as tnn
from torch.nn import functional as F

from twins.frameworks import MLX, TORCH
from twins.models import transformer_lm as lm
from twins.models import weights
from twins.parity import diagnosis
from twins.parity.diagnosis import calls, expressions
from twins.training import train
from twins.training.train import Half, Recipe

CONFIG = lm.tiny()


def halves_of(mlx: mnn.Module, torch_model: tnn.Module, mlx_loss, torch_loss, names=None, layout=None):
    """Halves with equal weights, drawn by torch, and AdamW."""
    names, torch_model = names or {}, torch_model.to(TORCH.device)
    weights.copy_to_mlx(torch_model, mlx, names)
    ours = Half(MLX, mlx, mlx_loss, train.mlx_optimizer(Recipe()), 1.0, names=names)
    theirs = Half(TORCH, torch_model, torch_loss, train.torch_optimizer(Recipe(), torch_model), 1.0, layout)
    return ours, replace(theirs, names=names)


# --- a language model ------------------------------------------------------------------------------


def language(dtype: str = "float32") -> tuple[Half, Half]:
    return train.halves(lm, CONFIG, Recipe(), 0, dtype)


TEXT = lm.example(CONFIG, np.random.default_rng(0), 4)


def changed(change: Callable[[Half, Half], None]):
    """The language model with something changed after the weights are equal."""

    def make(dtype: str = "float32"):
        halves = language(dtype)
        change(*halves)
        return halves

    return make


def zeroed(mlx, _):
    mlx.model.blocks[1].norm2.weight = mx.zeros_like(mlx.model.blocks[1].norm2.weight)


def transposed(mlx, _):
    mlx.model.blocks[0].proj.weight = mlx.model.blocks[0].proj.weight.T


def shape_transposed(mlx, _):
    mlx.model.blocks[0].up.weight = mlx.model.blocks[0].up.weight.T


def no_bias(_, torch_half):
    torch_half.model.blocks[0].proj = tnn.Linear(CONFIG.width, CONFIG.width, bias=False)


def other_eps(_, torch_half):
    torch_half.model.blocks[1].norm1.eps = 1e-6


def frozen(mlx, _):
    mlx.model.blocks[1].down.freeze()


def frozen_torch(_, torch_half):
    torch_half.model.blocks[1].down.requires_grad_(False)


def frozen_both(mlx, torch_half):
    frozen(mlx, torch_half)
    frozen_torch(mlx, torch_half)


def no_bias_correction(mlx, _):
    mlx.optimizer.bias_correction = False


def other_decay(mlx, _):
    mlx.optimizer.weight_decay = 0.01


def other_betas(_, torch_half):
    torch_half.optimizer.param_groups[0]["betas"] = (0.9, 0.95)


def two_settings(mlx, _):
    mlx.optimizer.weight_decay = 0.01
    mlx.optimizer.bias_correction = False


def no_clip(mlx, _):
    mlx.clip = None


def no_step(_, torch_half):
    torch_half.optimizer.step = lambda: None


def some_not_held(_, torch_half):
    held = list(torch_half.model.parameters())[1:]
    torch_half.optimizer = torch.optim.AdamW(held, lr=1e-3, weight_decay=0.1, fused=True)


def summed(mlx, _):
    mlx.loss = lambda model, ids, y: mnn.losses.cross_entropy(model(ids), y, reduction="sum")


def unreduced(mlx, _):
    mlx.loss = lambda model, ids, y: mnn.losses.cross_entropy(model(ids), y)


def smoothed(mlx, _):
    mlx.loss = lambda model, ids, y: mnn.losses.cross_entropy(
        model(ids), y, label_smoothing=0.1, reduction="mean"
    )


def scaled_logits(mlx, torch_half):
    whole = type(mlx.model).__call__
    mlx.model.__class__ = type("Scaled", (lm.MlxTransformerLM,), {"__call__": lambda s, x: 2 * whole(s, x)})


def stopped(mlx, _):
    inner = mlx.loss
    mlx.loss = lambda model, ids, y: inner(lambda x: mx.stop_gradient(model(x)), ids, y)


CHANGES = [
    (zeroed, "`blocks.1.norm2.weight`", "it is all zeros in MLX"),
    (transposed, "`blocks.0.proj.weight`", "it is transposed: the layouts of the weight are swapped"),
    (shape_transposed, "`blocks.0.up.weight`", "the axes are swapped: one half keeps this weight in another"),
    (no_bias, "`blocks.0.proj`", "a bias is missing in PyTorch's half"),
    (other_eps, "`blocks.1.norm1`", "its `eps` is 1e-05 in MLX and 1e-06 in PyTorch"),
    (frozen, "`blocks.1.down.bias`", "`blocks.1.down.bias` is trained in PyTorch and frozen in MLX"),
    (frozen_torch, "`blocks.1.down.bias`", "`blocks.1.down.bias` is frozen in PyTorch and trained in MLX"),
    (no_bias_correction, "the optimizer", "bias correction is off in MLX (its default) and on in PyTorch"),
    (other_decay, "the optimizer", "weight_decay is 0.01 in MLX and 0.1 in PyTorch"),
    (other_betas, "the optimizer", "betas is (0.9, 0.999) in MLX and (0.9, 0.95) in PyTorch"),
    (
        two_settings,
        "the optimizer",
        "bias correction is off in MLX (its default) and on in PyTorch; weight_decay",
    ),
    (no_clip, "the optimizer", "gradients are not clipped in MLX and clipped at 1.0 in PyTorch"),
    (no_step, "the optimizer", "the optimizer's step is missing, or it holds other weights"),
    (some_not_held, "`tokens.weight`", "in PyTorch it is frozen, or the optimizer does not hold it"),
    (summed, "the loss", 'the loss\'s `reduction` is "sum" in MLX and "mean" in PyTorch'),
    (unreduced, "the loss", "it lacks a reduction to the mean"),
    (scaled_logits, "the whole model", "MLX multiplies by the factor 2"),
    (stopped, "`norm.bias`", "MLX cuts the graph (detach, stop_gradient) where PyTorch does not"),
]


@pytest.mark.parametrize(("change", "where", "cause"), CHANGES, ids=[c[0].__name__ for c in CHANGES])
def test_a_changed_half_is_told(change, where, cause):
    found = diagnosis.diagnose(changed(change), TEXT)
    assert found.where == where
    assert found.cause.startswith(cause)
    assert str(found).startswith("First departure: ")


def test_what_is_frozen_on_both_sides_is_meant():
    assert diagnosis.diagnose(changed(frozen_both), TEXT) is None


def test_a_correct_pair_is_left_alone():
    assert diagnosis.diagnose(language, TEXT) is None
    assert diagnosis.refused(language, [TEXT]) is None


def test_label_smoothing_is_told():
    found = diagnosis.diagnose(changed(smoothed), TEXT)
    assert found.where == "the loss"
    assert "of outputs that agree" in found.departs
    assert found.cause == "the loss's `label_smoothing` is 0.1 in MLX and 0 in PyTorch"


def test_a_diagnosis_without_a_cause_says_so():
    assert str(diagnosis.Diagnosis("x", "`x` departs", "")).endswith(
        "No single change on one side that was tried explains it."
    )


def test_tanh_gelu_is_told(monkeypatch):
    monkeypatch.setattr(mnn, "gelu", mnn.gelu_approx)
    found = diagnosis.diagnose(language, TEXT)
    assert found.where == "`blocks.0.down`"
    assert found.cause == "MLX computes the tanh approximation of GELU where PyTorch computes exact GELU"


def test_a_missing_causal_mask_is_told(monkeypatch):
    attention = F.scaled_dot_product_attention
    monkeypatch.setattr(
        F, "scaled_dot_product_attention", lambda q, k, v, is_causal, scale: attention(q, k, v, scale=scale)
    )
    found = diagnosis.diagnose(language, TEXT)
    assert found.where == "`blocks.0.proj`"
    assert found.cause == "both compute attention; its mask is causal in MLX and none in PyTorch"


# --- a convolutional net ---------------------------------------------------------------------------


class MlxConvolutional(mnn.Module):
    def __init__(self, size: int = 6):
        super().__init__()
        self.conv = mnn.Conv2d(3, 4, 3, padding=1)
        self.norm = mnn.BatchNorm(4, eps=1e-5, momentum=0.1)
        self.act = mnn.ReLU()
        self.head = mnn.Linear(4 * size * size, 5)

    def __call__(self, x):
        x = self.act(self.norm(self.conv(x)))
        return self.head(x.transpose(0, 3, 1, 2).flatten(1))  # (B, H, W, C) -> (B, C H W), as torch has it


class TorchConvolutional(tnn.Module):
    def __init__(self, size: int = 6):
        super().__init__()
        self.conv = tnn.Conv2d(3, 4, 3, padding=1)
        self.norm = tnn.BatchNorm2d(4, eps=1e-5, momentum=0.1)
        self.act = tnn.ReLU()
        self.head = tnn.Linear(4 * size * size, 5)

    def forward(self, x):
        return self.head(self.act(self.norm(self.conv(x))).flatten(1))


def mlx_classes(model, x, y):
    return mnn.losses.cross_entropy(model(x), y, reduction="mean")


def torch_classes(model, x, y):
    return F.cross_entropy(model(x), y)


def channels_first(images, labels):
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)), labels


def images(channels: int = 3, size: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((8, size, size, channels)).astype("float32"), np.arange(8, dtype="int32") % 5


def vision(dtype="float32", mlx=MlxConvolutional, torch_model=TorchConvolutional, layout=channels_first):
    torch.manual_seed(0)
    return halves_of(mlx(), torch_model(), mlx_classes, torch_classes, layout=layout)


class Flattened(MlxConvolutional):
    def __call__(self, x):
        return self.head(self.act(self.norm(self.conv(x))).flatten(1))


class Approximate(MlxConvolutional):
    def __init__(self):
        super().__init__()
        self.act = mnn.GELU(approx="tanh")


class Exact(TorchConvolutional):
    def __init__(self):
        super().__init__()
        self.act = tnn.GELU()


class TurnedKernel(mnn.Conv2d):
    def __call__(self, x):
        weight = self.weight.swapaxes(1, 2)
        return mx.conv2d(x, weight, self.stride, self.padding) + self.bias


class WithoutBias(mnn.Conv2d):
    def __call__(self, x):
        return mx.conv2d(x, self.weight, self.stride, self.padding)


class BiasedNorm(mnn.BatchNorm):
    """Keeps the variance divided by n, as MLX did before 0.32.1."""

    def __call__(self, x):
        before, count = self.running_var, x.size // x.shape[-1]
        made = super().__call__(x)
        kept = (1 - self.momentum) * before
        self.running_var = kept + (self.running_var - kept) * (count - 1) / count
        return made


def with_layer(name: str, layer: Callable):
    """MLX's half with one layer of another kind."""

    class Changed(MlxConvolutional):
        def __init__(self):
            super().__init__()
            self[name] = layer()

    return partial(vision, mlx=Changed)


WRONG_IMAGES = [
    (
        with_layer(
            "conv", lambda: mnn.Conv2d(3, 4, 3, padding=0)
        ),  # which `head` refuses, and is not the cause
        "`conv`",
        "its `padding` is (0, 0) in MLX and (1, 1) in PyTorch",
    ),
    (
        with_layer("conv", lambda: mnn.Conv2d(3, 4, 3, padding=2, dilation=2)),
        "`conv`",
        "its `dilation` is 2 in MLX and (1, 1) in PyTorch; its `padding` is (2, 2) in MLX and (1, 1) in",
    ),
    (
        with_layer("conv", lambda: TurnedKernel(3, 4, 3, padding=1)),
        "`conv`",
        "MLX's output is that of the `weight` with its last two axes swapped: its layouts are swapped",
    ),
    (
        with_layer("conv", lambda: WithoutBias(3, 4, 3, padding=1)),
        "`conv`",
        "the difference is `conv.bias` at every position: MLX does not add this bias",
    ),
    (
        with_layer("norm", lambda: mnn.BatchNorm(4, eps=1e-3, momentum=0.1)),
        "`norm`",
        "its `eps` is 0.001 in MLX and 1e-05 in PyTorch",
    ),
    (
        with_layer("norm", lambda: mnn.BatchNorm(4, eps=1e-5, momentum=0.9)),
        "`norm.running_mean`",
        "the newest batch weighs 0.9 in MLX and 0.1 in PyTorch: the momentum is taken the other way round",
    ),
    (
        with_layer("norm", lambda: mnn.BatchNorm(4, eps=1e-5, momentum=0.2)),
        "`norm.running_mean`",
        "the newest batch weighs 0.2 in MLX and 0.1 in PyTorch: the momentum differs",
    ),
    (
        with_layer("norm", lambda: BiasedNorm(4, eps=1e-5, momentum=0.1)),
        "`norm.running_var`",
        "MLX keeps the biased variance (divided by n), the other half the unbiased (by n - 1)",
    ),
    (
        partial(vision, mlx=Flattened),
        "`head`",
        "both hold the same numbers in another order: axes are flattened in another order",
    ),
    (
        partial(vision, mlx=Approximate, torch_model=Exact),
        "`act`",
        "MLX computes the tanh approximation of GELU of the output of `norm`, PyTorch exact GELU of the out",
    ),
    (
        partial(vision, mlx=Approximate),
        "`act`",
        "MLX computes the tanh approximation of GELU of the output of `norm`, PyTorch ReLU of the output",
    ),
    (
        with_layer("act", lambda: mnn.Dropout(0.5)),
        "`act`",
        "it changes from pass to pass in MLX: dropout, or another random step, is on",
    ),
]


@pytest.mark.parametrize(
    ("make", "where", "cause"), WRONG_IMAGES, ids=[case[2][:40] for case in WRONG_IMAGES]
)
def test_a_wrong_convolutional_net_is_told(make, where, cause):
    found = diagnosis.diagnose(make, images())
    assert found.where == where
    assert found.cause.startswith(cause)


@pytest.mark.parametrize(
    ("ours", "theirs", "cause"),
    [
        (
            lambda: mnn.GroupNorm(2, 4, eps=1e-5),
            lambda: tnn.GroupNorm(2, 4, eps=1e-5),
            "its `pytorch_compatible` is False in MLX (the default), which groups other channels",
        ),
        (
            lambda: mnn.RMSNorm(4, eps=1e-2),
            lambda: ChannelsLast(4),
            "its `eps` is 0.01 in MLX and None in PyTorch",
        ),
    ],
)
def test_defaults_that_differ_are_told(ours, theirs, cause):
    def other(kind, layer):
        made = kind()
        made.norm = layer()
        return made

    mlx = partial(other, MlxConvolutional, ours)
    found = diagnosis.diagnose(
        partial(vision, mlx=mlx, torch_model=partial(other, TorchConvolutional, theirs)), images()
    )
    assert (found.where, found.cause) == ("`norm`", cause)


class ChannelsLast(tnn.RMSNorm):
    """Over channels first, as a convolution of torch gives them."""

    def forward(self, x):
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


def test_a_correct_convolutional_net_is_left_alone():
    assert diagnosis.diagnose(vision, images()) is None


def test_a_batch_in_the_wrong_layout_is_told():
    make = partial(vision, layout=None)
    found = diagnosis.refused(make, [images()])
    assert found.where == "`conv`"
    assert "`conv` of PyTorch's half, given (8, 6, 6, 3), refuses the batch (Given groups=1" in found.departs
    assert found.cause == (
        "its 3 channels are on another axis: it takes channels-first and is given channels-last"
    )
    assert diagnosis.diagnose(make, images()) == found


class MlxSquare(MlxConvolutional):
    def __init__(self):
        super().__init__(size=3)


class TorchSquare(TorchConvolutional):
    def __init__(self):
        super().__init__(size=3)


def test_a_wrong_layout_that_fits_is_told():
    """Three channels of three by three: nothing refuses them."""
    found = diagnosis.diagnose(
        partial(vision, mlx=MlxSquare, torch_model=TorchSquare, layout=None), images(size=3)
    )
    assert found.where == "`conv`"
    assert found.cause.endswith("channels-last (MLX) and channels-first (PyTorch) are confused")


def test_outputs_of_two_shapes_are_told():
    class Fewer(MlxConvolutional):
        def __call__(self, x):
            return super().__call__(x)[:, :4]

    found = diagnosis.diagnose(partial(vision, mlx=Fewer), (images()[0], images()[1] % 4))
    assert found.where == "the whole model"
    assert "departs in shape, (8, 4) in MLX and (8, 5) in PyTorch" in found.departs


# --- masks, types and names ------------------------------------------------------------------------


class MlxPooled(mnn.Module):
    def __init__(self, masked: bool = True):
        super().__init__()
        self.masked = masked
        self.tokens = mnn.Embedding(20, 8)
        self.head = mnn.Linear(8, 5)

    def __call__(self, ids, mask):
        kept = mask[..., None].astype(mx.float32) if self.masked else mx.ones((*ids.shape, 1))
        return self.head((self.tokens(ids) * kept).sum(1) / kept.sum(1))


class TorchPooled(tnn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = tnn.Embedding(20, 8)
        self.head = tnn.Linear(8, 5)

    def forward(self, ids, mask):
        kept = mask[..., None].float()
        return self.head((self.tokens(ids) * kept).sum(1) / kept.sum(1))


def pooled(dtype="float32", masked=True):
    torch.manual_seed(0)
    return halves_of(
        MlxPooled(masked),
        TorchPooled(),
        lambda model, ids, mask, y: mnn.losses.cross_entropy(model(ids, mask), y, reduction="mean"),
        lambda model, ids, mask, y: F.cross_entropy(model(ids, mask), y),
    )


def test_a_missing_padding_mask_is_told():
    rng = np.random.default_rng(0)
    lengths = np.array([3, 6, 2, 5])
    mask = np.arange(6) < lengths[:, None]
    batch = rng.integers(0, 20, (4, 6), dtype="int32"), mask, np.arange(4, dtype="int32")
    assert diagnosis.diagnose(pooled, batch) is None
    found = diagnosis.diagnose(partial(pooled, masked=False), batch)
    assert found.where == "`head`"
    assert (
        found.cause == "MLX does not use array 1 of the batch, a mask: its padding mask is missing or ignored"
    )


class MlxNamed(mnn.Module):
    def __init__(self, lower=False):
        super().__init__()
        self.lower = lower
        self.net = mnn.Sequential(mnn.Linear(4, 8), mnn.Tanh(), mnn.Linear(8, 5))

    def __call__(self, x):
        return self.net(x).astype(mx.float16 if self.lower else mx.float32)


class TorchNamed(tnn.Module):
    def __init__(self):
        super().__init__()
        self.body = tnn.Sequential(tnn.Linear(4, 8), tnn.Tanh(), tnn.Linear(8, 5))

    def forward(self, x):
        return self.body(x)


NAMES = {"body": "net.layers"}
VECTORS = np.random.default_rng(0).standard_normal((6, 4)).astype("float32"), np.arange(6, dtype="int32") % 5


def renamed(dtype="float32", lower=False):
    torch.manual_seed(0)
    return halves_of(MlxNamed(lower), TorchNamed(), mlx_classes, torch_classes, NAMES)


def test_modules_are_matched_through_the_map():
    traces = [calls.record(half, VECTORS) for half in renamed()]
    matched = [(pair.mlx.path, pair.torch.path) for pair in calls.pairs(*traces)]
    linear = [(f"net.layers.{i}", f"body.{i}") for i in range(3)]
    assert matched == [*linear, ("", "")]  # MLX's `net` holds a list, torch's `body` is one
    assert diagnosis.diagnose(renamed, VECTORS) is None


def test_names_that_differ_are_proposed():
    def make(dtype="float32"):
        mlx, theirs = renamed()
        return replace(mlx, names={}), replace(theirs, names={})

    found = diagnosis.diagnose(make, VECTORS)
    assert found.where == "`net.layers.0.weight`"
    assert found.cause == (
        'they look like the same weights under two names: NAMES = {"body.0.weight": "net.layers.0.weight", '
        '"body.0.bias": "net.layers.0.bias", "body.2.weight": "net.layers.2.weight"} and 1 more like these'
    )


def test_a_map_that_lacks_a_weight_is_told():
    def make(dtype="float32"):
        mlx, theirs = renamed()
        partly = {"body.0": "net.layers.0", "body.2.weight": "net.layers.2.weight"}
        return replace(mlx, names=partly), replace(theirs, names=partly)

    found = diagnosis.diagnose(make, VECTORS)
    assert found.cause.endswith('NAMES = {"body.2.bias": "net.layers.2.bias"}')


def test_lower_types_are_told():
    found = diagnosis.diagnose(partial(renamed, lower=True), VECTORS)
    assert (found.where, found.cause) == ("the whole model", "MLX computes in float16 and PyTorch in float32")

    def make(dtype="float32"):
        mlx, theirs = renamed()
        mlx.model.set_dtype(mx.bfloat16)
        return mlx, theirs

    found = diagnosis.diagnose(make, VECTORS)
    assert found.departs == "`net.layers.0.weight` is bfloat16 in MLX and float32 in PyTorch"


# --- what recording leaves behind ------------------------------------------------------------------


def test_recording_leaves_no_trace():
    before = MlxConvolutional.__call__, mnn.Conv2d.__call__, vars(Flattened).get("__call__")
    mlx, theirs = vision()
    calls.record(mlx, images())
    calls.record(theirs, images())
    assert before == (MlxConvolutional.__call__, mnn.Conv2d.__call__, vars(Flattened).get("__call__"))
    assert "forward" not in vars(theirs.model.conv)


@pytest.mark.parametrize("name", [name for name in expressions.FUNCTIONS if name])
def test_every_function_is_told_from_the_others(name):
    x = 4 * np.random.default_rng(0).standard_normal((8, 64)).astype("float32")
    made = expressions.FUNCTIONS[name](torch.from_numpy(x)).numpy()
    assert expressions.recognised({"x": x}, made) == f"{name} of x"


def test_products_and_sums_are_told():
    x, y = np.random.default_rng(0).standard_normal((2, 8, 64)).astype("float32")
    silu = x / (1 + np.exp(-x))
    assert expressions.recognised({"x": x, "y": y}, silu * y) == "SiLU of x times y"
    assert expressions.recognised({"x": x, "y": y}, y + np.tanh(x)) == "tanh of x plus y"
    assert expressions.recognised({"x": x, "y": y}, np.cos(x)) == ""
