"""Probes do the work their names say, and grow until they have found the ceiling."""

import resource

import mlx.core as mx
import pytest
import torch
from records import product, timed

from twins.frameworks import MLX, TORCH
from twins.machine import fresh_process
from twins.records.record_types import Timing
from twins.timing import harness
from twins.timing.ceilings import ceilings, probes
from twins.timing.statistics import AGAIN


@pytest.mark.parametrize(
    ("variants", "names"),
    [
        (probes.matmul_variants(8, "bfloat16"), {"MLX", "PyTorch", "MLX" + AGAIN, "PyTorch" + AGAIN}),
        (
            probes.synchronisation_variants(),
            {f"{f}, {w}" for f in ("MLX", "PyTorch") for w in ("empty", "one addition")}
            | {"MLX, empty" + AGAIN, "PyTorch, empty" + AGAIN},
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


def test_each_kernel_of_stream_writes_its_result_into_memory_that_exists(monkeypatch):
    """Every call gives what McCalpin's kernel gives of a = 1 and b = 0, three times over."""
    seen, evaluate = {}, mx.eval
    monkeypatch.setattr(mx, "eval", lambda *x: (seen.update(mlx=x), evaluate(*x)))
    for name, variant in probes.stream_variants(5).items():
        results = [variant.call() for _ in range(3)]
        values = seen["mlx"][0][0].tolist() if name.startswith("MLX") else results[-1]
        if name != "NumPy, copy":
            assert list(values) == [1.0] * 5, name
    names = set(probes.stream_variants(5))
    assert {"MLX, copy", "PyTorch, copy", "PyTorch, add", "PyTorch, triad", "NumPy, copy"} < names
    assert {f"{f}, add in place{again}" for f in ("MLX", "PyTorch") for again in ("", AGAIN)} < names


@pytest.mark.skipif(MLX.device != "cpu", reason="counts the pages of a CPU's memory")
def test_no_kernel_of_stream_touches_new_pages_and_a_plain_sum_does():
    numbers = 2**22  # 16 MB, above what malloc keeps
    pages = fresh_process.call("twins.timing.ceilings.probes:new_pages", {"numbers": numbers})
    assert max(pages.values()) < 64 and len(pages) == len(probes.stream_variants(5))
    x = torch.ones(2**24)
    _ = x + x
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    _ = x + x
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before > 1000


def stream(numbers: int, seconds: float) -> Timing:
    """PyTorch adds in `seconds`, all else takes twice as long."""
    variants = {"MLX, add in place": 2 * seconds, "PyTorch, add": seconds, "NumPy, copy": 2 * seconds}
    return timed("stream", {"numbers": numbers, "new_pages": {}}, variants)


def test_a_longer_vector_moves_more_bytes():
    assert ceilings.bandwidth([stream(10**6, 1e-3)]) == pytest.approx(12e9)


def ghost(subject, case, plan):
    """A machine with a start of 0.1 ms and a ceiling of 1 TFLOP/s and 1 TB/s; PyTorch is half as fast."""
    assert set(case) in ({"n", "dtype"}, {"numbers"})  # what the function that makes variants takes
    if "n" in case:
        seconds = 1e-4 + 2e-12 * case["n"] ** 3
        return product(case["n"], case["dtype"], seconds, 2 * seconds)
    return stream(case["numbers"], 1e-4 + 12e-12 * case["numbers"])


@pytest.mark.parametrize(
    ("subject", "first", "ceiling"),
    [("matmul", {"n": 256, "dtype": "float16"}, 1e12), ("stream", {"numbers": 2**24}, 1e12)],
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
