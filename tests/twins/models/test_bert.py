"""BERT: the halves are equal, padding changes nothing, the gate passes them and catches planted defects."""

from dataclasses import asdict, replace
from functools import partial

import mlx.core as mx
import mlx.nn as mnn
import numpy as np
import pytest
from torch import nn as tnn

from twins.datasets import text_pairs
from twins.evidence import accuracy
from twins.frameworks import MLX, TORCH
from twins.machine import fresh_process
from twins.models import bert
from twins.parity import fairness_gate
from twins.parity.differences import Verdict, relative
from twins.timing import flops, loss_curves, study
from twins.timing.peers import bert_models
from twins.training import train

CONFIG = bert.tiny()
RECIPE = train.Recipe()


def correct(dtype: str = "float32", seed: int = 0):
    return train.halves(bert, CONFIG, RECIPE, seed, dtype)


def logits(half: train.Half, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return half.framework.numpy(half.model(*half.batch([ids, mask])))


def batches(seed: int = 0, steps: int = 20) -> list:
    rng = np.random.default_rng(seed)
    return [bert.example(CONFIG, rng, 8) for _ in range(steps)]


# --- the model -------------------------------------------------------------------------------------


def test_one_model_forward():
    ids, mask, labels = bert.example(CONFIG, np.random.default_rng(0), 5)
    made = [logits(half, ids, mask) for half in correct()]
    assert made[0].shape == (5, CONFIG.classes)
    assert labels.shape == (5,)
    assert not mask.all()
    assert relative(*made) < 1e-5


def test_padding_changes_nothing():
    ids, mask, _ = bert.example(CONFIG, np.random.default_rng(0), 5)
    short = mask.sum(axis=2).max()
    other = np.where(mask, ids, (ids + 1) % CONFIG.vocabulary)
    for half in correct():
        whole = logits(half, ids, mask)
        assert np.array_equal(whole, logits(half, other, mask))
        assert relative(logits(half, ids[:, :, :short], mask[:, :, :short]), whole) < 1e-6


def test_every_token_and_its_place_counts_and_the_two_texts_differ():
    ids, _, _ = bert.example(CONFIG, np.random.default_rng(0), 1)
    mask = np.ones_like(ids, bool)
    for half in correct():
        before = logits(half, ids, mask)
        for changed in (ids[:, ::-1], ids[:, :, ::-1], np.where(np.arange(16) == 15, ids ^ 1, ids)):
            assert not np.allclose(before, logits(half, np.ascontiguousarray(changed), mask), rtol=1e-6)


RELEASED = {"tiny": 4_385_920, "mini": 11_170_560, "small": 28_763_648, "base": 109_482_240}


@pytest.mark.parametrize(("size", "encoder"), RELEASED.items())
def test_published_sizes_have_as_many_weights_as_the_released_checkpoints(size, encoder):
    config = bert.published(size)
    head = (4 * config.width + 1) * config.classes
    assert bert.memory(config, 0) == 16 * (encoder + head)


def test_memory_counts_the_weights_there_are():
    weights = sum(p.numel() for p in bert.TorchBertPairs(CONFIG).parameters())
    assert bert.memory(CONFIG, 0) == 16 * weights


@pytest.mark.parametrize("framework", ["MLX", "PyTorch"])
def test_memory_is_estimated_within_a_factor_of_two(framework, monkeypatch):
    monkeypatch.setenv("TWINS_DEVICE", "cpu")  # where the resident set is all that training holds
    config, batch = bert.published("tiny", vocabulary=4096, context=128), 24
    arguments = {"model": "bert", "config": asdict(config), "batch": batch, "framework": framework}
    read = fresh_process.call("twins.timing.variants:memory", arguments | {"mode": "eager", "steps": 2})
    assert 1 / 2 < read["resident"] / bert.memory(config, batch) < 2


def test_operations_are_those_of_the_formula():
    c, batch = CONFIG, 3
    tokens = 2 * batch * c.context
    blocks = c.layers * (tokens * 12 * c.width**2 + 2 * tokens * c.context * c.width)
    rest = 2 * batch * c.width**2 + batch * 4 * c.width * c.classes
    counted = flops.count(*correct(), bert.example(c, np.random.default_rng(0), batch))
    assert counted == 3 * 2 * (blocks + rest)


def test_the_peers_do_the_same_work():
    example = bert.example(CONFIG, np.random.default_rng(0), 3)
    peers = [bert_models.peer(CONFIG, RECIPE, framework) for framework in (MLX, TORCH)]
    assert flops.count(*peers, example) == flops.count(*correct(), example)


def test_impossible_sizes_are_one_sentence():
    with pytest.raises(ValueError, match="bert: width 32 is not divisible by heads 3"):
        bert.tiny(heads=3)
    with pytest.raises(ValueError, match="bert: heads is 0; allowed is 1 or more"):
        bert.tiny(heads=0)
    with pytest.raises(ValueError, match="no published size is called 'huge'; there are tiny, mini"):
        bert.published("huge")


# --- the gate --------------------------------------------------------------------------------------


def failed(verdict: Verdict) -> set[str]:
    return {check.name for check in verdict.checks if not check.passed}


@pytest.mark.parametrize("seed", range(20))
def test_correct_twins_pass(seed):
    verdict = fairness_gate.gate("bert", partial(correct, seed=seed), batches(seed))
    assert verdict.failures() == []
    assert verdict.notes == ()


def test_correct_twins_pass_on_the_data_they_train_on():
    data = text_pairs.load("inference", 8)
    sizes = asdict(bert.tiny(vocabulary=data.vocabulary, context=8, layers=1))
    chosen = text_pairs.batches(data.train, 16, 20, seed=0)
    assert len({ids.shape for ids, _, _ in chosen}) > 1
    verdict = study.gate(study.Study("bert", sizes), chosen, torch_compiled=True)
    assert study.refusal(verdict) == ""


def zeroed_scale(dtype):
    mlx, torch_half = correct(dtype)
    norm = mlx.model.encoder.blocks[0].norm1
    norm.weight = mx.zeros_like(norm.weight)
    return mlx, torch_half


def transposed_weight(dtype):
    mlx, torch_half = correct(dtype)
    proj = mlx.model.encoder.blocks[1].proj
    proj.weight = proj.weight.T
    return mlx, torch_half


class Unmasked(bert.MlxBertPairs):
    def __call__(self, ids, mask):
        return super().__call__(ids, mx.ones_like(mask))


def missing_mask(dtype):
    mlx, torch_half = correct(dtype)
    unmasked = Unmasked(CONFIG)
    unmasked.update(mlx.model.parameters())
    return replace(mlx, model=unmasked), torch_half


def norm_eps(dtype):
    mlx, torch_half = correct(dtype)
    for module in torch_half.model.modules():
        if isinstance(module, tnn.LayerNorm):
            module.eps = 1e-5
    return mlx, torch_half


def types_left_out(dtype):
    mlx, torch_half = correct(dtype)
    torch_half.model.encoder.types.register_forward_hook(lambda module, inputs, output: 0 * output)
    return mlx, torch_half


@pytest.mark.parametrize(
    ("defect", "check"),
    [
        (zeroed_scale, "weights"),
        (transposed_weight, "weights"),
        (transposed_weight, "outputs"),
        (missing_mask, "outputs"),
        (types_left_out, "outputs"),
        (norm_eps, "gradients"),
    ],
)
def test_planted_defect_is_caught(defect, check):
    verdict = fairness_gate.gate("bert", defect, batches(steps=4))
    assert check in failed(verdict)
    assert any(check in sentence for sentence in verdict.failures())


def test_tanh_gelu_is_caught(monkeypatch):
    monkeypatch.setattr(mnn, "gelu", mnn.gelu_approx)
    assert "float64 gradients" in failed(fairness_gate.gate("bert", correct, batches(steps=4)))


# --- learning --------------------------------------------------------------------------------------


def test_both_halves_learn_exact_labels():
    data = text_pairs.load("inference", 8)
    sizes = asdict(bert.Config(data.vocabulary, 8, 64, 2, 2))
    twin = study.Study("bert", sizes, RECIPE)
    chosen, test = text_pairs.batches(data.train, 32, 200, 0), text_pairs.whole(data.test, 128, 600)
    known = data.name, data.digest, data.entropy
    ((_, score),) = loss_curves.classified(twin, known, {0: chosen}, test)
    assert score.total == 600
    assert score.majority < 240
    for name in ("MLX", "PyTorch"):
        low, _ = accuracy.interval(score.right[name], score.total)
        assert low > score.majority / score.total + 0.05, name
