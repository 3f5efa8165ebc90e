"""Loss curves of a twin, each run in a process of its own."""

from dataclasses import asdict

import msgspec
import numpy as np
import pytest
from msgspec import structs

from twins.machine import kept_processes
from twins.models import transformer_lm as lm
from twins.parity import noise
from twins.records.record_types import Fit
from twins.timing import loss_curves
from twins.timing.study import Study
from twins.training import train
from twins.training.train import Recipe

TINY = Study("transformer_lm", asdict(lm.tiny()))
KNOWN = ("random", "digest", 4.0)


@pytest.fixture(autouse=True, scope="module")
def ended():
    """No process is left for the next file."""
    yield
    kept_processes.end()


def examples(count: int) -> list:
    rng = np.random.default_rng(0)
    return [lm.example(lm.tiny(), rng, 4) for _ in range(count)]


def test_a_fit_holds_every_loss_and_the_floor(capsys):
    (made,) = loss_curves.fits(TINY, KNOWN, {0: examples(5)}, examples(2))
    assert set(made.losses) == set(made.held_out) == {"MLX", "PyTorch", "floor"}
    assert {len(losses) for losses in made.losses.values()} == {5}
    assert np.allclose(made.losses["MLX"], made.losses["PyTorch"], atol=1e-4)
    assert np.allclose(made.losses["floor"], made.losses["PyTorch"], atol=1e-4)
    assert made.case == TINY.config | {"batch": 4, "steps": 5, "seed": 0}
    assert (made.dataset, made.digest, made.entropy) == KNOWN
    assert msgspec.convert(structs.asdict(made), Fit) == made
    assert capsys.readouterr().out.count("5 steps, held-out loss") == 3


def test_every_seed_has_weights_and_batches_of_its_own_and_learns_what_this_process_learns():
    runs = {0: examples(2), 3: examples(3)}
    first, second = loss_curves.fits(TINY, KNOWN, runs, examples(1))
    assert [(fit.case["seed"], fit.case["steps"]) for fit in (first, second)] == [(0, 2), (3, 3)]
    assert first.losses["PyTorch"][0] != second.losses["PyTorch"][0]
    for fit, (seed, data) in zip((first, second), runs.items(), strict=True):
        ours, theirs = Study(TINY.model, TINY.config, seed=seed).halves()
        floor = Study(TINY.model, TINY.config, seed=seed).halves()[1]
        assert np.allclose(fit.losses["MLX"], train.fit(ours, data), rtol=1e-6)
        assert np.allclose(fit.losses["PyTorch"], train.fit(theirs, data), rtol=1e-6)
        assert np.allclose(fit.losses["floor"], train.fit(floor, noise.permuted(data)), rtol=1e-6)
        assert np.isclose(fit.held_out["MLX"], train.evaluate(ours, examples(1)), rtol=1e-6)


@pytest.mark.parametrize("steps", [3, 1])  # after one step only the held-out loss can show it
def test_training_that_explodes_is_said(steps):
    wild = Study("transformer_lm", TINY.config, Recipe(learning_rate=1e30))
    with pytest.raises(FloatingPointError) as raised:
        loss_curves.fits(wild, KNOWN, {0: examples(steps)}, examples(1))
    assert str(raised.value) == "transformer_lm: MLX's loss is not finite at step 1; lower learning_rate"
