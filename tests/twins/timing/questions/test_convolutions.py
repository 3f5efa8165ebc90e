"""Single layers: both frameworks compute the same, operations are those of the formula, records are whole."""

from dataclasses import asdict

import numpy as np
import pytest

from twins.frameworks import MLX, TORCH
from twins.parity.differences import relative
from twins.timing import comparison, harness, statistics
from twins.timing.harness import Plan
from twins.timing.questions import convolutions
from twins.timing.questions.convolutions import BOTH_WAYS, FORWARD, KINDS, Layer
from twins.timing.statistics import AGAIN

SMALL = {
    kind: Layer(kind, channels=3, size=5, batch=2, kernel=3 if kind == "convolution" else 0) for kind in KINDS
}


@pytest.mark.parametrize("kind", KINDS)
def test_both_halves_of_a_layer_give_the_same(kind):
    layer = SMALL[kind]
    ours, theirs = (make(layer) for make in KINDS[kind])
    if kind == "convolution":
        ours.weight = MLX.array(theirs.weight.detach().numpy().transpose(0, 2, 3, 1))
    x = np.random.default_rng(0).standard_normal((2, 5, 5, 3), dtype=np.float32)
    made = ours(MLX.array(x)), theirs(TORCH.array(x.transpose(0, 3, 1, 2)).cpu())
    assert relative(MLX.numpy(made[0]), TORCH.numpy(made[1]).transpose(0, 2, 3, 1)) < 1e-6


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_both_ways_in_mlx_leaves_weights_and_gathers_statistics(kind, compiled):
    layer = KINDS[kind][0](SMALL[kind])
    before = {name: MLX.numpy(value) for name, value in layer.parameters().items()}
    x = MLX.array(np.random.default_rng(0).standard_normal((2, 5, 5, 3), dtype=np.float32))
    call = convolutions.mlx_call(layer, x, compiled, BOTH_WAYS)
    for _ in range(3):
        call()
    after = {name: MLX.numpy(value) for name, value in layer.parameters().items()}
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == ({"running_mean", "running_var"} if kind == "BatchNorm" else set())


def test_operations_of_a_convolution():
    layer = Layer("convolution", channels=4, size=5, batch=2, kernel=3)
    once = 2 * (2 * 5 * 5 * 4) * (3 * 3 * 4)
    assert (layer.flops(FORWARD), layer.flops(BOTH_WAYS)) == (once, 3 * once)
    assert SMALL["ReLU"].flops(BOTH_WAYS) == 0


def test_sweep_holds_every_kernel_and_batch_once():
    layers = convolutions.sweep([3, 1], [4, 8], [1, 64], size=6, batch=16)
    assert len(layers) == len(set(layers))
    found = {(c.kernel, c.channels, c.batch) for c in layers if c.kind == "convolution"}
    assert found == {(3, c, b) for c in (4, 8) for b in (1, 16, 64)} | {(1, c, 16) for c in (4, 8)}
    assert {(c.kind, c.channels, c.batch) for c in layers if c.kind != "convolution"} == {
        (kind, c, 16) for kind in ("BatchNorm", "ReLU") for c in (4, 8)
    }


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ({"kind": "pooling"}, "no layer is called 'pooling'; known: convolution, BatchNorm, ReLU"),
        ({"kernel": 4}, "a convolution's kernel is 4; to keep the size of a map it must be odd"),
    ],
)
def test_an_impossible_layer_is_one_sentence(case, sentence):
    with pytest.raises(ValueError) as raised:
        Layer(**{"kind": "convolution", "channels": 3, "size": 5, "batch": 2, "kernel": 3} | case)
    assert str(raised.value) == sentence


def test_records_are_one_a_layer_and_work(monkeypatch):
    def here(variants, arguments, plan, tell=None, **_):
        return [statistics.run_from(harness.timed(variants, arguments, asdict(plan), 0))]

    monkeypatch.setattr(harness, "measure", here)
    layers = [SMALL["convolution"], SMALL["ReLU"]]
    made = list(convolutions.times(layers, ["eager"], Plan(processes=1, rounds=1, block=2, warmup=0)))
    assert [record.case for record in made] == [
        asdict(layer) | {"work": work, "flops": layer.flops(work)}
        for layer in layers
        for work in (FORWARD, BOTH_WAYS)
    ]
    variants = [f"{each} eager{again}" for again in ("", AGAIN) for each in ("MLX", "PyTorch")]
    assert [statistics.variant_names(comparison.runs(record)) for record in made] == [variants] * 4
    assert all(
        len(samples.wall) == 1 for record in made for samples in comparison.runs(record)[0].arms.values()
    )
