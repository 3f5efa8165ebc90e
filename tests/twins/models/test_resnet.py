"""The ResNet twin: equal in training and evaluation, through the gate 20 times, planted defects caught."""

from dataclasses import asdict
from functools import partial

import mlx.core as mx
import mlx.nn as mnn
import numpy as np
import pytest
import torch

from twins.machine import fresh_process
from twins.models import resnet, weights
from twins.parity import fairness_gate
from twins.parity.differences import Verdict, relative
from twins.timing import flops
from twins.training import train

STEPS = 20
TINY = resnet.tiny()
CONFIGS = {
    "identity shortcuts": TINY,
    "projections": resnet.tiny(projection=True),
    "ImageNet stem": resnet.tiny(stem="imagenet", size=32, projection=True),
    "odd maps": resnet.tiny(size=13, stages=3),
}


def batches(config=TINY, seed: int = 0, steps: int = STEPS, size: int = 8):
    rng = np.random.default_rng(seed)
    return [resnet.example(config, rng, size) for _ in range(steps)]


def correct(dtype: str, config=TINY, seed: int = 0):
    return train.halves(resnet, config, train.Recipe(), seed, dtype)


def failed(verdict: Verdict) -> set[str]:
    return {check.name for check in verdict.checks if not check.passed}


# --- the same network ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("name", CONFIGS)
def test_outputs_are_equal(name, mode):
    config = CONFIGS[name]
    halves = correct("float32", config)
    for half in halves:
        half.model.train()
        half.model(*half.batch(batches(config)[0])[:-1])  # moves the running statistics
        half.model.train(mode == "train")
    made = [half.framework.numpy(half.model(*half.batch(batches(config)[1])[:-1])) for half in halves]
    assert made[0].shape == (8, config.classes)
    assert relative(*made) < 1e-5


def test_evaluation_uses_what_training_has_gathered():
    for half in correct("float32"):
        images = half.batch(batches()[0])[:-1]
        outputs = []
        for mode in (False, True, False):
            half.model.train(mode)
            outputs.append(half.framework.numpy(half.model(*images)))
        assert relative(outputs[0], outputs[2]) > 1e-2


def test_running_statistics_are_the_ones_of_the_definition():
    """Momentum 0.1 of the batch's mean and unbiased variance, from 0 and 1; both halves hold the same."""
    halves = correct("float32")
    images = batches()[0][0]
    for half in halves:
        half.model(*half.batch((images,)))
    stem = halves[0].framework.numpy(halves[0].model.stem(mx.array(images))).astype(np.float64)
    mean, variance = stem.mean((0, 1, 2)), stem.var((0, 1, 2), ddof=1)
    held = weights.mlx_weights(halves[0].model), weights.torch_weights(halves[1].model)
    for found in held:
        assert relative(found["norm.running_mean"], 0.1 * mean) < 1e-5
        assert relative(found["norm.running_var"], 0.9 + 0.1 * variance) < 1e-5


def test_images_reach_each_half_in_its_own_layout():
    images, labels = batches()[0]
    ours, theirs = (half.arranged((images, labels)) for half in correct("float32"))
    assert ours[0] is images
    assert theirs[0].shape == (8, 3, 8, 8)
    assert np.array_equal(theirs[0].transpose(0, 2, 3, 1), images)
    assert theirs[0].flags["C_CONTIGUOUS"]
    assert theirs[1] is labels


@pytest.mark.parametrize(("config", "count"), [(resnet.resnet20(), 269_722), (resnet.resnet18(), 11_689_512)])
def test_published_sizes(config, count):
    made = resnet.TorchResNet(config)
    assert sum(parameter.numel() for parameter in made.parameters()) == count


def by_hand(c: resnet.Config, batch: int) -> int:
    """Forward once and backward twice, the first convolution without its input's gradient."""
    kernel, stride, pool = resnet.STEMS[c.stem]
    side = -(-c.size // stride)
    stem = side**2 * c.width * kernel**2 * c.channels
    total, side = 2 * stem, -(-side // pool)
    for inputs, outputs, stride in c.plan():
        side = -(-side // stride)
        total += 3 * side**2 * outputs * 9 * (inputs + outputs)
        total += 3 * side**2 * outputs * inputs if c.projection and stride > 1 else 0
    return 2 * batch * (total + 3 * outputs * c.classes)


@pytest.mark.parametrize("name", CONFIGS)
def test_operations_are_counted_alike(name):
    config = CONFIGS[name]
    assert flops.count(*correct("float32", config), batches(config)[0]) == by_hand(config, 8)


def test_the_estimate_of_memory_is_within_a_factor_of_two_of_the_half_that_needs_more(monkeypatch):
    """By MLX's own count: its resident set also holds freed windows, which its allocator keeps."""
    monkeypatch.setenv("TWINS_DEVICE", "cpu")
    config = resnet.Config(size=32, channels=3, classes=10, width=32, stages=2, blocks=2)
    sizes = {"model": "resnet", "config": asdict(config), "batch": 16, "mode": "eager", "steps": 2}
    read = [
        fresh_process.call("twins.timing.variants:memory", sizes | {"framework": f})
        for f in ("MLX", "PyTorch")
    ]
    needed = max(each["allocator"] or each["resident"] for each in read)
    assert 1 / 2 < needed / resnet.memory(config, 16) < 2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"stages": 0}, "resnet: stages is 0; allowed is 1 or more"),
        ({"stem": "vgg"}, "resnet: no stem is called 'vgg'; known: cifar, imagenet"),
        (
            {"size": 4, "stages": 3},
            "resnet: images of 4 x 4 end as maps of a single number after 3 stages with the cifar stem; "
            "sizes allowed are above 4",
        ),
    ],
)
def test_what_cannot_be_built_is_one_sentence(changes, sentence):
    with pytest.raises(ValueError) as raised:
        resnet.tiny(**changes)
    assert str(raised.value) == sentence


# --- the gate --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_correct_twins_pass(seed):
    verdict = fairness_gate.gate("resnet", partial(correct, seed=seed), batches(seed=seed))
    assert verdict.failures() == []
    assert verdict.notes == ()
    assert {"statistics", "evaluation", "float64 statistics"} <= {check.name for check in verdict.checks}


def test_a_network_large_enough_to_switch_relus_passes():
    config = resnet.resnet20(size=16, channels=1)
    verdict = fairness_gate.gate("resnet", partial(correct, config=config), batches(config, steps=2, size=32))
    assert verdict.failures() == []


def other_momentum(dtype):
    mlx, torch_half = correct(dtype)
    for module in mlx.model.modules():
        if isinstance(module, mnn.BatchNorm):
            module.momentum = 1 - module.momentum
    return mlx, torch_half


def zeroed_scale(dtype):
    mlx, torch_half = correct(dtype)
    mlx.model.blocks[0].norm1.weight = mx.zeros_like(mlx.model.blocks[0].norm1.weight)
    return mlx, torch_half


def transposed_weights(dtype):
    mlx, torch_half = correct(dtype)
    mlx.model.blocks[1].conv2.weight = mlx.model.blocks[1].conv2.weight.transpose(0, 2, 1, 3)
    return mlx, torch_half


def swapped_layout(dtype):
    mlx, torch_half = correct(dtype)
    torch_half.layout = lambda images, *labels: (images.transpose(0, 3, 2, 1), *labels)
    return mlx, torch_half


def norm_eps(dtype):
    mlx, torch_half = correct(dtype)
    for module in torch_half.model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 1e-4
    return mlx, torch_half


@pytest.mark.parametrize(
    ("defect", "checks"),
    [
        (other_momentum, {"statistics", "evaluation", "float64 statistics"}),
        (zeroed_scale, {"weights", "outputs"}),
        (transposed_weights, {"weights", "outputs"}),
        (swapped_layout, {"outputs"}),
        (norm_eps, {"outputs", "float64 gradients"}),
    ],
)
def test_planted_defect_is_caught(defect, checks):
    verdict = fairness_gate.gate("resnet", defect, batches())
    assert checks <= failed(verdict)


def test_biased_running_variance_is_caught(monkeypatch):
    """As MLX had it before 0.32.1: training is the same, evaluation is not."""
    own = mnn.BatchNorm._calc_stats
    monkeypatch.setattr(mnn.BatchNorm, "_calc_stats", lambda norm, x, ddof=0: own(norm, x))
    caught = failed(fairness_gate.gate("resnet", correct, batches()))
    assert {"statistics", "evaluation", "float64 statistics", "float64 evaluation"} == caught
