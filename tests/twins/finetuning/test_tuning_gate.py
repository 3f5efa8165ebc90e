"""The gate of fine-tuning: correct halves pass, and what people get wrong with adapters is refused."""

from dataclasses import replace

import numpy as np
import pytest

from twins.datasets import completions
from twins.finetuning import bases, merging, tuning, tuning_gate
from twins.finetuning.adapters import Adapters
from twins.finetuning.tuning import Tuning
from twins.inference import checkpoint_folder
from twins.training import train

import mlx.core as mx  # isort: skip  (after twins: the BLAS)
import mlx.nn as mnn  # isort: skip
import torch  # isort: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny Llama with random weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint_folder, "MADE", tmp_path_factory.mktemp("bases"))
        return str(checkpoint_folder.made(checkpoint_folder.llama(64, 2, 2, 1, 128, 64)))


def batches(made: Tuning, count: int = 6) -> list:
    return made.examples(2, count, 16)


def lora(folder: str, **more) -> Tuning:
    return Tuning(folder, adapters=Adapters(rank=4, alpha=8.0), **more)


@pytest.mark.parametrize("seed", range(20))
def test_lora_passes(folder, seed):
    made = lora(folder, seed=seed)
    assert [check for check in tuning_gate.gate(made, batches(made, 20)).checks if not check["passed"]] == []


@pytest.mark.parametrize("method", ["full", "dora"])
def test_other_methods_pass(folder, method):
    made = lora(folder, method=method)
    assert [check for check in tuning_gate.gate(made, batches(made)).checks if not check["passed"]] == []


@pytest.mark.parametrize("base", bases.BASES)
def test_quantized_bases_pass(folder, base):
    made = lora(folder, method="qlora", base=base)
    assert [check for check in tuning_gate.gate(made, batches(made)).checks if not check["passed"]] == []


def test_checkpointing_changes_nothing(folder):
    plain, again = (lora(folder, checkpointed=each) for each in (False, True))
    kept = tuning_gate.gate(again, batches(again))
    assert kept.passed
    for name, losses in tuning_gate.gate(plain, batches(plain)).losses.items():
        assert np.allclose(kept.losses[name], losses, rtol=0, atol=1e-5)


def adapters_of(model) -> list:
    return [module for _, module in model.named_modules() if hasattr(module, "lora_a")]


def scaled_by_alpha(ours, theirs):
    for module in adapters_of(ours.model):
        module.scale = 8.0


def dropout_in_mlx(ours, theirs):
    for module in adapters_of(ours.model):
        module.dropout = mnn.Dropout(0.1)


def dropout_in_torch(ours, theirs):
    for module in theirs.model.modules():
        if hasattr(module, "lora_dropout"):
            module.lora_dropout["default"] = torch.nn.Dropout(0.1)


def base_trained_in_mlx(ours, theirs):
    ours.model.model.norm.unfreeze()


def base_trained_in_torch(ours, theirs):
    for name, weight in theirs.model.named_parameters():
        if name.endswith("model.norm.weight"):
            weight.requires_grad_(True)


def base_trained_in_both(ours, theirs):
    base_trained_in_mlx(ours, theirs)
    base_trained_in_torch(ours, theirs)


def loss_on_prompts(ours, theirs):
    ours.layout = lambda ids, targets: (ids, np.where(targets == completions.IGNORED, ids, targets))


def b_in_mlx(ours, theirs):
    for module in adapters_of(ours.model):
        module.lora_b = mx.full(module.lora_b.shape, 0.01)


def b_in_both(ours, theirs):
    b_in_mlx(ours, theirs)
    with torch.no_grad():
        for name, weight in theirs.model.named_parameters():
            if "lora_B" in name:
                weight.fill_(0.01)


MISTAKES = {
    scaled_by_alpha: "gradients",
    dropout_in_mlx: "gradients",
    dropout_in_torch: "gradients",
    base_trained_in_mlx: "trained",
    base_trained_in_torch: "trained",
    base_trained_in_both: "base, MLX",
    loss_on_prompts: "loss",
    b_in_mlx: "weights",
    b_in_both: "start, MLX",
}


@pytest.mark.parametrize("plant", MISTAKES, ids=lambda plant: plant.__name__)
def test_a_mistake_is_refused(folder, plant):
    made = lora(folder)

    def halves(dtype):
        ours, theirs = made.halves(dtype)
        plant(ours, theirs)
        return ours, theirs

    verdict = tuning_gate.judge(made, halves, batches(made))
    assert MISTAKES[plant] in {check.name for check in verdict.checks if not check.passed}


def test_adapters_at_other_layers_are_refused(folder):
    made = lora(folder)
    other = replace(made, adapters=replace(made.adapters, places=("self_attn.q_proj", "self_attn.k_proj")))

    def halves(dtype):
        (ours, _), (_, theirs) = other.halves(dtype), made.halves(dtype)
        return ours, theirs

    failed = {
        check.name for check in tuning_gate.judge(made, halves, batches(made)).checks if not check.passed
    }
    assert "names" in failed


def test_merged_weights_compute_the_same(folder):
    for method in ("lora", "dora"):
        made = lora(folder, method=method)
        for half in made.halves():
            train.fit(half, batches(made))
            assert merging.apart(half, made.example(2)[0]) < 1e-5


def test_examples_leave_prompts_unlearnt():
    ids, targets = tuning.example(np.random.default_rng(0), 50, 3, 16)
    assert ids.shape == targets.shape == (3, 16)
    assert (targets[:, :8] == completions.IGNORED).all() and (targets[:, 8:] >= 0).all()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"method": "prefix"}, "fine-tuning by 'prefix'; allowed are full, lora, dora, qlora"),
        ({"method": "qlora"}, "fine-tuning by 'qlora' with base ''"),
        ({"base": "equal 4-bit"}, "fine-tuning by 'lora' with base 'equal 4-bit'"),
        ({"method": "qlora", "base": "3-bit"}, "a base of '3-bit'; allowed are equal 8-bit"),
    ],
)
def test_what_cannot_be_made_is_one_sentence(folder, given, sentence):
    with pytest.raises(ValueError, match=sentence):
        Tuning(folder, **given)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"rank": 0}, "adapters of rank 0 and alpha 16.0; allowed is above 0"),
        ({"places": ("attn.q",)}, "adapters at attn.q; allowed are self_attn.q_proj"),
        ({"places": ()}, "adapters at none; allowed are"),
        ({"blocks": 0}, "adapters on the last 0 blocks"),
    ],
)
def test_adapters_that_cannot_be_made(given, sentence):
    with pytest.raises(ValueError, match=sentence):
        Adapters(**given)
