"""The calculated memory of a step against what the frameworks' own allocators say."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from twins.finetuning import footprints, live_mlx, memory_model, what_fits
from twins.finetuning.memory_model import Step
from twins.frameworks import BOTH, MLX, TORCH
from twins.inference import checkpoint_folder
from twins.records.record_types import Footprint

import mlx.core as mx  # isort: skip  (after twins: the BLAS)
import mlx.nn as mnn  # isort: skip
from mlx.utils import tree_flatten  # isort: skip

APART = 0.15  # the most that a calculated peak may be from the measured one
SMALL = checkpoint_folder.llama(64, 2, 2, 1, 128, 64)


@pytest.mark.parametrize("framework", BOTH, ids=lambda each: each.name)
def test_calculated_peaks_are_those_that_are_measured(framework):
    found = footprints.points(6)  # the page measures twice as many
    asked = [asdict(point) for point in found]
    read = memory_model.measured(asked, framework.name)
    for point, each in zip(found, read, strict=True):
        apart = memory_model.needed(point, framework) / each["bytes"] - 1
        assert abs(apart) < APART, (point.method, point.dtype, point.batch, point.length, apart)


@pytest.mark.parametrize(("method", "tied"), [("full", False), ("full", True), ("lora", False)])
def test_recomputing_blocks_gives_the_gradients_of_a_step(method, tied):
    half = memory_model.mlx_half(Step(SMALL | {"tie_word_embeddings": tied}, method, "float32", 2, 16))
    ids, targets = (mx.random.randint(0, 128, (2, 16)) for _ in range(2))
    loss, wanted = mnn.value_and_grad(half.model, half.loss)(half.model, ids, targets)
    again, found = memory_model._recomputing(half.model, ids, targets)
    wanted, found = dict(tree_flatten(wanted)), dict(tree_flatten(found))
    assert found.keys() == wanted.keys() and np.isclose(again.item(), loss.item())
    assert all(np.allclose(found[name], wanted[name], atol=1e-6) for name in wanted)


@pytest.mark.parametrize("framework", BOTH, ids=lambda each: each.name)
def test_more_blocks_are_added_as_they_are_counted(framework):
    step = Step(SMALL, "lora", "float32", 2, 32)
    few, more = (memory_model.needed(step.blocks(count), framework) for count in (5, 9))
    assert more - few == 4 * (memory_model.needed(step.blocks(6), framework) - few)
    held = 4 * memory_model.parameters(step.blocks(9).config)
    assert more > held


def test_fewer_bits_need_less_and_checkpoints_do():
    step = Step(what_fits.SHAPES[0].config, "lora", "bfloat16", 1, 64)
    for framework in BOTH:
        plain = memory_model.needed(step, framework)
        assert memory_model.needed(replace(step, method="qlora", bits=4), framework) < plain
        assert memory_model.needed(replace(step, checkpointed=True), framework) < plain


def test_a_graph_is_ordered_as_it_is_needed_and_freed_when_it_has_run():
    def chain(x):
        for _ in range(6):
            x = mx.sin(x)
        return [x]

    found = live_mlx.graph(chain, [mx.zeros((256,))])
    assert [entry["name"] for entry in live_mlx.ordered(found)] == ["Sin"] * 6
    assert live_mlx.peak(found, kept={0}) == 2 * 1024  # each writes over the one before
    wide = live_mlx.graph(lambda x: [mx.matmul(x, x) + mx.matmul(x, 2 * x)], [mx.zeros((16, 16))])
    at_once = live_mlx.peak(wide, kept={0}, task=live_mlx.Task(1, 0.0))
    assert 3 * 1024 < at_once <= 5 * 1024


# --- public models ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("SmolLM2 135M", 0.1345),
        ("SmolLM2 360M", 0.3618),
        ("TinyLlama 1.1B", 1.1001),
        ("SmolLM2 1.7B", 1.7114),
        ("Llama 3.2 3B", 3.2127),
        ("Llama 3.1 8B", 8.0303),
        ("Llama 2 13B", 13.0159),
        ("Code Llama 34B", 33.7440),
        ("Llama 3.1 70B", 70.5537),
    ],
)
def test_public_models_have_as_many_weights_as_they_say(name, billions):
    shape = next(each for each in what_fits.SHAPES if each.name == name)
    assert memory_model.parameters(shape.config) / 1e9 == pytest.approx(billions, abs=6e-5)


def footprint(shape: str, size: float, framework: str, heading: str = "full, float32") -> Footprint:
    return Footprint(shape, {"heading": heading}, framework, int(size * 2**30), None, what_fits.NOT_MEASURED)


def test_the_largest_that_fits():
    found = [footprint("small", 5, "MLX"), footprint("large", 10, "MLX"), footprint("small", 6, "PyTorch")]
    assert what_fits.largest(found, what_fits.working_set(8), "full, float32", "MLX") == "small"
    assert what_fits.largest(found, what_fits.working_set(8), "full, float32", "PyTorch") == "none"
    assert what_fits.largest(found, what_fits.working_set(16), "full, float32", "MLX") == "large"
    table = what_fits.table(found).set_index("memory, GB")
    assert table.loc["8", "full, float32"] == "MLX: small; PyTorch: none"
    assert table.loc["64", "QLoRA, 4 bits"] == "none"


def test_a_try_ends_where_memory_does(monkeypatch):
    monkeypatch.setattr(what_fits, "SHAPES", what_fits.SHAPES[:2])
    monkeypatch.setattr(footprints, "SHAPES", what_fits.SHAPES[:2])
    monkeypatch.setattr(footprints.kept_processes, "call", lambda *_: [{"bytes": 7, "source": "read"}])
    monkeypatch.setattr(footprints.memory_model, "needed", lambda step, *_, **__: 10**15)
    found = list(footprints.tried(["full, bfloat16"], 1, 8, 60.0))
    assert [(each.framework, each.measured) for each in found] == [("MLX", None), ("PyTorch", None)]
    assert "is estimated to need" in found[0].source
    monkeypatch.setattr(footprints.memory_model, "needed", lambda step, *_, **__: 1)
    found = list(footprints.tried(["full, bfloat16"], 1, 8, 60.0))
    assert [each.measured for each in found] == [7] * 4
    assert list(footprints.tried(["full, bfloat16"], 1, 8, 0.0)) == []
    late = footprints.tried(["full, bfloat16"], 1, 8, 1e-9)
    assert [each.source for each in late] == ["no time was left for it"] * 2


def test_both_frameworks_are_calculated_for_an_apple_gpu():
    step = Step(SMALL, "lora", "bfloat16", 1, 32, checkpointed=True)
    for framework in (MLX, TORCH):
        assert memory_model.needed(step, framework, apple=True) > 0
