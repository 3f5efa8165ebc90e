"""The ViT twin: equal in training and evaluation, through the gate 20 times, planted defects caught."""

from dataclasses import asdict
from functools import partial

import mlx.core as mx
import mlx.nn as mnn
import numpy as np
import pytest

from twins.machine import fresh_process
from twins.models import vit
from twins.parity import fairness_gate
from twins.parity.differences import Verdict, relative
from twins.timing import flops
from twins.training import train

STEPS = 20
TINY = vit.tiny()


def batches(config=TINY, seed: int = 0, size: int = 8):
    rng = np.random.default_rng(seed)
    return [vit.example(config, rng, size) for _ in range(STEPS)]


def correct(dtype: str, config=TINY, seed: int = 0):
    return train.halves(vit, config, train.Recipe(), seed, dtype)


def failed(verdict: Verdict) -> set[str]:
    return {check.name for check in verdict.checks if not check.passed}


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("changes", [{}, {"channels": 1, "patch": 2}, {"size": 12, "heads": 4}])
def test_outputs_are_equal(changes, mode):
    config = vit.tiny(**changes)
    made = []
    for half in correct("float32", config):
        half.model.train(mode == "train")
        made.append(half.framework.numpy(half.model(*half.batch(batches(config)[0])[:-1])))
    assert made[0].shape == (8, config.classes)
    assert relative(*made) < 1e-5


def test_patches_are_squares_of_the_image_in_rows():
    """A patch of ones in one place reaches one token of both halves, the same."""
    config = vit.tiny()
    images = np.zeros((1, 8, 8, 3), np.float32)
    images[0, 0:4, 4:8] = 1  # upper right
    ours, theirs = correct("float32", config)
    (x,), (y,) = (half.batch((images,)) for half in (ours, theirs))
    tokens = np.array(ours.model.patches(x).flatten(1, 2))
    assert relative(tokens, theirs.framework.numpy(theirs.model.patches(y).flatten(2).transpose(1, 2))) < 1e-5
    bias = np.array(ours.model.patches.bias)
    assert [not np.allclose(token, bias, atol=1e-6) for token in tokens[0]] == [False, True, False, False]


def test_published_size():
    made = vit.TorchViT(vit.vit_tiny())
    assert sum(parameter.numel() for parameter in made.parameters()) == 5_717_416


def by_hand(c: vit.Config, batch: int) -> int:
    """Forward once and backward twice, the patches without the image's gradient."""
    tokens = batch * c.tokens
    block = tokens * 12 * c.width**2 + 2 * tokens * c.tokens * c.width
    patches = batch * (c.tokens - 1) * c.width * c.patch**2 * c.channels
    return 2 * (3 * (c.layers * block + batch * c.width * c.classes) + 2 * patches)


@pytest.mark.parametrize("changes", [{}, {"patch": 2, "layers": 1}, {"size": 12, "heads": 4, "channels": 1}])
def test_operations_are_counted_alike(changes):
    config = vit.tiny(**changes)
    assert flops.count(*correct("float32", config), batches(config)[0]) == by_hand(config, 8)


@pytest.mark.parametrize("framework", ["MLX", "PyTorch"])
def test_the_estimate_of_memory_is_within_a_factor_of_two(framework, monkeypatch):
    monkeypatch.setenv("TWINS_DEVICE", "cpu")  # where the resident set is all that training holds
    config = vit.Config(size=32, patch=4, channels=3, classes=10, width=128, layers=3, heads=4)
    sizes = {"model": "vit", "config": asdict(config), "batch": 16}
    read = fresh_process.call(
        "twins.timing.variants:memory", sizes | {"framework": framework, "mode": "eager", "steps": 2}
    )
    assert 1 / 2 < read["resident"] / vit.memory(config, 16) < 2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"patch": 0}, "vit: patch is 0; allowed is 1 or more"),
        ({"heads": 3}, "vit: width 32 is not divisible by heads 3; allowed with heads 3 are its multiples"),
        ({"size": 10}, "vit: size 10 is not divisible by patch 4; allowed with patch 4 are its multiples"),
    ],
)
def test_what_cannot_be_built_is_one_sentence(changes, sentence):
    with pytest.raises(ValueError) as raised:
        vit.tiny(**changes)
    assert str(raised.value) == sentence


@pytest.mark.parametrize("seed", range(20))
def test_correct_twins_pass(seed):
    verdict = fairness_gate.gate("vit", partial(correct, seed=seed), batches(seed=seed))
    assert verdict.failures() == []
    assert verdict.notes == ()
    assert "statistics" not in {check.name for check in verdict.checks}  # it keeps none


def zeroed_token(dtype):
    mlx, torch_half = correct(dtype)
    mlx.model.token = mx.zeros_like(mlx.model.token)
    return mlx, torch_half


def swapped_layout(dtype):
    mlx, torch_half = correct(dtype)
    torch_half.layout = lambda images, *labels: (images.transpose(0, 3, 2, 1), *labels)
    return mlx, torch_half


@pytest.mark.parametrize(("defect", "check"), [(zeroed_token, "weights"), (swapped_layout, "outputs")])
def test_planted_defect_is_caught(defect, check):
    assert check in failed(fairness_gate.gate("vit", defect, batches()))


def test_tanh_gelu_is_caught(monkeypatch):
    monkeypatch.setattr(mnn, "gelu", mnn.gelu_approx)
    assert {"gradients", "float64 gradients"} <= failed(fairness_gate.gate("vit", correct, batches()))
