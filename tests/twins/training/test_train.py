"""Both training steps do the same arithmetic, the same way every time, compiled or not."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import mlx.core as mx
import mlx.nn as mnn
import mlx.optimizers as mlx_optimizers
import numpy as np
import pytest
import torch
from torch import nn as tnn

from twins.frameworks import BOTH, MLX, TORCH
from twins.models import transformer_lm as lm
from twins.models import weights
from twins.timing import flops
from twins.training import accumulation, train
from twins.training.train import Half, Recipe

CONFIG = lm.tiny()
RECIPE = Recipe(learning_rate=2e-3, beta1=0.8, beta2=0.95, eps=1e-7, weight_decay=0.03, clip=0.5)
both = pytest.mark.parametrize("index", [0, 1], ids=["mlx", "torch"])


def batches(count: int = 4, size: int = 4) -> list:
    rng = np.random.default_rng(0)
    return [lm.example(CONFIG, rng, size) for _ in range(count)]


def half(index: int, recipe: Recipe = RECIPE) -> Half:
    return train.halves(lm, CONFIG, recipe)[index]


def numbers(trained: Half) -> dict[str, np.ndarray]:
    read = weights.mlx_weights if trained.framework is MLX else weights.torch_weights
    return read(trained.model)


def torch_modules() -> list[str]:
    return sorted(name for name in sys.modules if name.startswith("torch."))


def imported_by_halves() -> list[str]:
    """The modules of torch that the first halves of a process import."""
    before = torch_modules()
    train.halves(lm, CONFIG, RECIPE)
    return [name for name in torch_modules() if name not in before]


def test_first_halves_import_nothing_more_of_torch():
    """Or every copy of a kept process would import it again."""
    code = f"import json, {__name__} as own; print(json.dumps(own.imported_by_halves()))"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []


# --- the optimizer ---------------------------------------------------------------------------------


def test_every_argument_is_equal_on_both_sides():
    ours = train.mlx_optimizer(RECIPE)
    theirs = train.torch_optimizer(RECIPE, tnn.Linear(2, 2)).param_groups[0]
    assert ours.learning_rate.item() == pytest.approx(theirs["lr"], rel=1e-7) == pytest.approx(2e-3)
    assert tuple(ours.betas) == theirs["betas"] == (0.8, 0.95)
    assert ours.eps == theirs["eps"] == 1e-7
    assert ours.weight_decay == theirs["weight_decay"] == 0.03
    assert ours.bias_correction
    assert (theirs["amsgrad"], theirs["maximize"], theirs["fused"]) == (False, False, True)


def test_no_argument_of_a_recipe_is_forgotten():
    """Each changed alone changes what training gives, in both frameworks."""
    for index in (0, 1):
        known = train.fit(half(index), batches())
        for name, value in vars(RECIPE).items():
            # clipping at 0.5 acts in every step; eps counts beside the root of the second moment
            changed = replace(RECIPE, **{name: value * (1e4 if name == "eps" else 0.5)})
            assert train.fit(half(index, changed), batches()) != known, (index, name)


@both
def test_without_clip_nothing_is_clipped(index):
    loose = train.fit(half(index, replace(RECIPE, clip=1e9)), batches())
    assert train.fit(half(index, replace(RECIPE, clip=None)), batches()) == pytest.approx(loose, abs=1e-6)


# --- training --------------------------------------------------------------------------------------


@both
def test_training_is_the_same_every_time(index):
    first, second = half(index), half(index)
    losses = train.fit(first, batches())
    assert losses == train.fit(second, batches())
    assert all(np.array_equal(value, numbers(second)[name]) for name, value in numbers(first).items())
    assert all(isinstance(loss, float) for loss in losses)
    assert len(set(losses)) == 4


@both
def test_training_learns(index):
    losses = train.fit(half(index), batches(1) * 30)
    assert losses[0] == pytest.approx(np.log(CONFIG.vocabulary), abs=0.1)
    assert losses[-1] < losses[0] - 1


def test_both_learn_the_same():
    losses = [train.fit(half(index), batches(10)) for index in (0, 1)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)


def test_compiled_is_eager_in_mlx():
    eager, compiled = half(0), half(0)
    known = train.fit(eager, batches(6))
    assert train.fit(compiled, batches(6), compiled=True) == pytest.approx(known, abs=1e-6)
    for name, value in numbers(eager).items():
        # one rounding apart in a gradient may be a whole step of Adam apart where the gradient is noise
        assert np.median(abs(value - numbers(compiled)[name])) < 1e-6, name


def test_other_seeds_and_types_give_other_halves():
    known, other = (train.halves(lm, CONFIG, RECIPE, seed)[0] for seed in (0, 1))
    assert not np.array_equal(numbers(known)["tokens.weight"], numbers(other)["tokens.weight"])
    ours, theirs = train.halves(lm, CONFIG, RECIPE, dtype="bfloat16")
    assert ours.model.norm.weight.dtype == mx.bfloat16
    assert theirs.model.norm.weight.dtype == torch.bfloat16


# --- schedules and gradients gathered over parts of a batch ------------------------------------------


def scheduled(shift: int = 0, dtype: str = "float32") -> tuple[Half, Half]:
    """Both halves with a learning rate that rises linearly over 4 steps and then decays."""
    rise, fall = (mlx_optimizers.linear_schedule(1e-4, 1e-3, 4), mlx_optimizers.exponential_decay(1e-3, 0.8))
    made = SimpleNamespace(**vars(lm))
    made.mlx_optimizer = lambda r: mlx_optimizers.AdamW(
        mlx_optimizers.join_schedules([rise, fall], [4]), weight_decay=0.1, bias_correction=True
    )
    made.torch_optimizer = lambda r, model: torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    made.torch_schedule = lambda r, optimizer: torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda t: (0.1 + 0.225 * (t + shift)) if t + shift < 4 else 0.8 ** (t + shift - 4)
    )
    return train.halves(made, CONFIG, RECIPE, dtype=dtype)


def test_scheduled_halves_learn_the_same_and_an_early_one_does_not():
    losses = [train.fit(half, batches(10)) for half in scheduled()]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    assert train.fit(scheduled(1)[1], batches(10)) != pytest.approx(losses[1], abs=1e-4)


def test_scheduled_halves_agree_in_float64():
    losses = [train.fit(half, batches(10)) for half in scheduled(dtype="float64")]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


def test_a_scheduled_step_compiles_in_mlx():
    eager, compiled = (train.fit(scheduled()[0], batches(10), how) for how in (False, True))
    assert compiled == pytest.approx(eager, abs=1e-5)


def test_torchs_schedule_is_stepped_by_every_step_and_by_the_optimizer_alone():
    one = scheduled()[1]
    train.fit(one, batches(3))
    assert one.schedule.last_epoch == 3
    train.parts(one, one.batch(batches()[0]))["optimizer"]()
    assert one.schedule.last_epoch == 4


@pytest.mark.parametrize(("index", "compiled"), [(0, False), (0, True), (1, False)])
def test_parts_of_a_batch_make_the_update_of_the_whole(index, compiled):
    """Where nothing is normalised over a batch, the mean over equal parts is the mean over all."""
    whole, parts = half(index), replace(half(index), accumulate=2)
    known = train.fit(whole, batches(6), compiled)
    assert train.fit(parts, batches(6), compiled) == pytest.approx(known, abs=1e-5)


@both
def test_a_step_in_parts_gives_the_gradients_of_its_parts(index):
    one = replace(half(index), accumulate=2)
    batch = one.batch(batches()[0])
    each = []
    for part in accumulation.split(batch, 2):
        made = train.gradients(replace(one, accumulate=1), *part)[1]
        each.append({name: np.copy(one.framework.numpy(value)) for name, value in made.items()})
    found = train.gradients(one, *batch)[1]
    for name, value in found.items():
        mean = (each[0][name] + each[1][name]) / 2
        assert np.allclose(one.framework.numpy(value), mean, rtol=1e-4, atol=1e-8), name


def test_only_arrays_with_the_batchs_rows_are_split():
    x, classes, y = np.arange(12).reshape(6, 2), np.arange(3), np.arange(6)
    first, second = accumulation.split((x, classes, y), 2)
    assert [array.tolist() for array in second] == [[[6, 7], [8, 9], [10, 11]], [0, 1, 2], [3, 4, 5]]
    assert first[1] is classes


def test_parts_of_a_batch_are_counted_as_the_whole():
    halves = train.halves(lm, CONFIG, RECIPE)
    whole = flops.count(*halves, batches()[0])
    assert flops.count(*(replace(each, accumulate=2) for each in halves), batches()[0]) == whole


@both
def test_a_batch_that_does_not_divide_is_one_sentence(index):
    with pytest.raises(ValueError, match="ACCUMULATE is 3, and a batch of 4 examples cannot"):
        train.fit(replace(half(index), accumulate=3), batches(1))


# --- evaluation ------------------------------------------------------------------------------------


class MlxDropped(mnn.Module):
    def __init__(self):
        super().__init__()
        self.out = mnn.Linear(4, 4)
        self.dropout = mnn.Dropout(0.5)

    def __call__(self, x):
        return self.dropout(self.out(x))


class TorchDropped(tnn.Module):
    def __init__(self):
        super().__init__()
        self.out = tnn.Linear(4, 4)
        self.dropout = tnn.Dropout(0.5)

    def forward(self, x):
        return self.dropout(self.out(x))


def mean_square(model, x):
    return (model(x) ** 2).mean()


def dropped(index: int) -> Half:
    framework, model = BOTH[index], (MlxDropped, TorchDropped)[index]()
    return Half(framework, model.to(TORCH.device) if index else model, mean_square, None, None)


@both
def test_evaluation_drops_nothing_and_goes_back_to_training(index):
    one, x = dropped(index), np.ones((8, 4), np.float32)
    layer = numbers(one)
    known = np.mean((x @ layer["out.weight"].T + layer["out.bias"]) ** 2)
    assert train.evaluate(one, [(x,)] * 3) == pytest.approx(known, rel=1e-5)
    assert one.model.training
    seen = {float(one.framework.numpy(one.loss(one.model, *one.batch([x])))) for _ in range(8)}
    assert len(seen) > 1  # in training, dropout is on


@both
def test_evaluation_changes_nothing(index):
    one = half(index)
    train.fit(one, batches(2))
    before = numbers(one)
    gradients = [p.grad.clone() for p in one.model.parameters()] if index else []
    loss = train.evaluate(one, batches(3))
    assert loss == train.evaluate(one, batches(3))
    each = [train.evaluate(one, [batch]) for batch in batches(3)]
    assert loss == pytest.approx(np.mean(each), abs=1e-6)
    assert all(np.array_equal(value, before[name]) for name, value in numbers(one).items())
    if index:
        assert all(torch.equal(p.grad, g) for p, g in zip(one.model.parameters(), gradients, strict=True))


def test_a_batch_counts_by_its_examples():
    rows = next(iter(batches()))
    cut = [tuple(array[:3] for array in rows), tuple(array[3:] for array in rows)]
    for one in (half(0), half(1)):
        assert train.evaluate(one, cut) == pytest.approx(train.evaluate(one, [rows]), rel=1e-5)


def test_right_counts_the_largest_logits_at_their_labels():
    x = np.eye(4, 3, dtype=np.float32)  # the last row is zero, so its largest logit is the bias's
    labels = np.array([0, 1, 0, 2], np.int32)
    linear = {"weight": np.eye(3, dtype=np.float32), "bias": np.array([0, 0, 0.5], np.float32)}
    ours, theirs = mnn.Linear(3, 3), tnn.Linear(3, 3).to(TORCH.device)
    weights.load_mlx(ours, linear)
    weights.load_torch(theirs, linear)
    for framework, model in ((MLX, ours), (TORCH, theirs)):
        one = Half(framework, model, None, None, None)
        assert train.right(one, [(x[:3], labels[:3]), (x[3:], labels[3:])]) == 3
        assert train.right(one, [(x[2:3], labels[2:3])]) == 0
        assert model.training


def test_both_evaluate_the_same():
    assert train.evaluate(half(0), batches()) == pytest.approx(train.evaluate(half(1), batches()), abs=1e-5)


# --- parts and gradients ---------------------------------------------------------------------------


@both
def test_each_part_runs_alone_and_only_the_optimizer_moves_weights(index):
    one = half(index)
    parts = train.parts(one, one.batch(batches()[0]))
    assert list(parts) == ["forward", "forward and backward", "optimizer"]
    start = numbers(one)
    for name in ("forward", "forward and backward"):
        parts[name]()
        parts[name]()
        assert all(np.array_equal(value, start[k]) for k, value in numbers(one).items()), name
    moved = numbers(one)
    parts["optimizer"]()
    assert all(not np.array_equal(value, moved[k]) for k, value in numbers(one).items())
    again = numbers(one)
    parts["optimizer"]()
    assert any(not np.array_equal(value, again[k]) for k, value in numbers(one).items())


def test_gradients_have_the_parameters_names():
    ours, theirs = train.halves(lm, CONFIG, RECIPE)
    found = [train.gradients(each, *each.batch(batches()[0]))[1] for each in (ours, theirs)]
    assert found[0].keys() == found[1].keys() == weights.mlx_weights(ours.model).keys()


# --- names -----------------------------------------------------------------------------------------


def test_models_are_found_by_name():
    assert train.named("transformer_lm") is lm


@pytest.mark.parametrize("name", ["gpt5", "", "__init__", "transformer_lm.py"])
def test_an_unknown_model_is_named_with_those_there_are(name):
    with pytest.raises(ValueError) as raised:
        train.named(name)
    sentence = str(raised.value)
    assert sentence.startswith(f"no model named {name!r} in twins.models; there are ")
    assert "transformer_lm" in sentence
    assert "__init__" not in sentence.partition("there are")[2]
