"""Probes do the work their names say, and grow until they have found the ceiling."""

import mlx.core as mx
import pytest
import torch
from records import product, timed

from twins.frameworks import MLX, TORCH
from twins.records.record_types import Timing
from twins.timing import harness
from twins.timing.ceilings import ceilings, probes
from twins.timing.statistics import AGAIN


@pytest.mark.parametrize(
    ("variants", "names"),
    [
        (probes.matmul_variants(8, "bfloat16"), {"MLX", "PyTorch", "PyTorch" + AGAIN}),
        (
            probes.synchronisation_variants(),
            {f"{f}, {w}" for f in ("MLX", "PyTorch") for w in ("empty", "one addition")}
            | {"PyTorch, empty" + AGAIN},
        ),
    ],
    ids=["matmul", "synchronisation"],
)
def test_every_probe_runs_in_both_and_again(variants, names):
    assert set(variants) == names
    for variant in variants.values():
        variant.call()
        variant.synchronize()


@pytest.fixture
def computed(monkeypatch) -> dict:
    """What variants hand over to be evaluated, by framework."""
    caught = {}
    for each in (MLX, TORCH):
        monkeypatch.setattr(each, "evaluate", lambda value, key=each.key: caught.update({key: value}))
    return caught


def test_the_product_is_a_product(computed):
    for variant in probes.matmul_variants(8, "float16").values():
        variant.call()
    assert (computed["mlx"].dtype, computed["torch"].dtype) == (mx.float16, torch.float16)
    ours, theirs = MLX.numpy(computed["mlx"]), TORCH.numpy(computed["torch"])
    assert ours.shape == theirs.shape == (8, 8)
    assert abs(ours - theirs).max() < 0.02


def test_the_sum_is_a_sum(computed):
    for variant in probes.addition_variants(5).values():
        variant.call()
    assert {key: value.tolist() for key, value in computed.items()} == {"mlx": [3.0] * 5, "torch": [3.0] * 5}
    assert (computed["mlx"].dtype, computed["torch"].dtype) == (mx.float32, torch.float32)


def addition(numbers: int, seconds: float) -> Timing:
    variants = {"MLX": seconds, "PyTorch": 2 * seconds, "PyTorch" + AGAIN: 2 * seconds}
    return timed("addition", {"numbers": numbers}, variants)


def test_a_longer_addition_moves_more_bytes():
    assert ceilings.bandwidth([addition(10**6, 1e-3)]) == pytest.approx(12e9)
    assert ceilings.bandwidth([timed("addition", {}, {"MLX": 1.0})]) == 12 * ceilings.ADDED


def ghost(subject, case, plan):
    """A machine with a start of 0.1 ms and a ceiling of 1 TFLOP/s and 1 TB/s; PyTorch is half as fast."""
    if "n" in case:
        seconds = 1e-4 + 2e-12 * case["n"] ** 3
        return product(case["n"], case["dtype"], seconds, 2 * seconds)
    numbers = case.get("numbers", ceilings.ADDED)
    return addition(numbers, 1e-4 + 12e-12 * numbers)


@pytest.mark.parametrize(
    ("subject", "first", "ceiling"),
    [("matmul", {"n": 256, "dtype": "float16"}, 1e12), ("addition", {}, 1e12)],
)
def test_a_probe_grows_until_two_sizes_agree(monkeypatch, subject, first, ceiling):
    monkeypatch.setattr(probes, "_probe", ghost)
    monkeypatch.setattr(probes, "fits", lambda case: True)
    made = list(probes._grown(subject, [first], harness.Plan(1, 1), grow=True))
    assert len(made) > 2 and probes.settled(made) and not probes.settled(made[:-1])
    assert 0.9 * ceiling < probes._rate(made[-1]) < ceiling
    assert len(list(probes._grown(subject, [first], harness.Plan(1, 1), grow=False))) == 1


def test_memory_ends_the_growth_and_a_slow_framework_too(monkeypatch):
    monkeypatch.setattr(probes, "_probe", ghost)
    monkeypatch.setattr(probes, "fits", lambda case: case["n"] <= 512)
    made = list(probes._grown("matmul", [{"n": 256, "dtype": "float32"}], harness.Plan(1, 1), grow=True))
    assert [record.case["n"] for record in made] == [256, 512]
    assert probes.settled([product(64, "bfloat16", 0.2, 1e-4)])  # MLX's half types on a CPU
    assert not probes.fits({"n": 10**7, "dtype": "float32"}) and probes.fits({"n": 64, "dtype": "float32"})


def test_a_share_above_the_ceiling_is_the_ceilings_fault():
    assert ceilings.over([0.4, 1.0]) == "No share is above the ceiling."
    assert ceilings.over([]) == "There is no share to compare with the ceiling."
    assert ceilings.over([0.4, 1.5]).startswith("The highest share is 150 % of the ceiling. No step")
