"""Bounds by hand, traffic against an independent count, and published shares from their sizes."""

import mlx.core as mx
import mlx.nn as mnn
import numpy as np
import pytest
import records
import torch

from twins.evidence import roofline
from twins.evidence.published import published_benchmarks
from twins.evidence.published.published_benchmarks import Benchmark, Chip, Workload
from twins.frameworks import MLX
from twins.models import transformer_lm as lm
from twins.records import store
from twins.records.record_types import Timing, Traffic, Work
from twins.timing import memory_traffic
from twins.timing.ceilings import ceilings
from twins.timing.study import Study
from twins.training import train
from twins.training.train import Half

ROOF = roofline.Roof("chip", flops=1e12, bandwidth=1e11)  # ridge at 10 FLOP per byte
LOAD = roofline.Load("transformer_lm", {"batch": 4}, flops=2 * 10**9, compulsory=10**8, unfused=10**9)


def chip(name="X1", gb=100.0, tflops=1.0, unsourced=False, cores=10) -> Chip:
    return Chip(name, None, None, None, cores, gb, tflops, None, None, None, None, "", unsourced, "why")


def row(**more) -> Benchmark:
    values = {"source_id": "s", "url": "http://x", "date_from": "", "date_to": "", "chip": "X1"}
    values |= {
        "gpu_cores": None,
        "memory_gb": None,
        "workload": "w",
        "task": "train",
        "metric": "time",
        "topic": "other training",
    }
    values |= {"unit": "s", "pytorch_low": 4.0, "pytorch_high": 4.0, "mlx_low": 2.0, "mlx_high": 2.0}
    return Benchmark(
        **values
        | {"pytorch_backend": "mps", "framework_versions": "", "notes": "", "benchmark": "", "same_as": ""}
        | more
    )


def workload(**more) -> Workload:
    values = {"training_batches": 10, "forward_batches": 5, "examples": 4, "multiply_adds": 10**9}
    values |= {"parameters": 1000, "gathered": 400, "updated": True}
    return Workload("s", "w", "short", **values | more, known="computed", url="http://x", note="")


# --- the bound ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flops", "moved", "seconds", "side"),
    [
        (1e12, 1e10, 1.0, "arithmetic"),
        (1e12, 2e11, 2.0, "memory"),
        (1e12, 1e11, 1.0, "arithmetic"),  # at the ridge
    ],
)
def test_bound_is_the_larger_of_the_two(flops, moved, seconds, side):
    assert roofline.bound(flops, moved, ROOF) == (seconds, side)


def test_roofs_are_of_chips_with_both_figures():
    found = roofline.roofs([chip(), chip("X2", gb=None), chip("X3", tflops=None), chip("X4", unsourced=True)])
    assert [(roof.name, roof.flops, roof.bandwidth) for roof in found] == [
        ("X1", 1e12, 1e11),
        ("X4 *", 1e12, 1e11),
    ]


def test_unknown_chip_is_refused_with_what_there_is():
    with pytest.raises(ValueError, match=r"chips: 'M0' has no roof in apple_chips.csv; there are X1"):
        roofline.roofs([chip()], ["M0"])


def test_every_published_chip_has_the_bound_by_hand():
    table = roofline.chip_table([LOAD], published_benchmarks.chips())
    first = table.iloc[0]
    assert first["chip"] == "M1"
    seconds = max(2e9 / 2.617e12, 1e8 / 68e9)
    assert first["GPT, batch 4, ms"] == f"{1e3 * seconds:.3g}, memory"
    inferred = roofline.inferred(published_benchmarks.chips())
    assert list(inferred["chip"]) == [n for n in table["chip"] if n.endswith(roofline.MARK)]
    assert inferred["what was inferred"].str.len().min() > 0
    marked = {name.removesuffix(roofline.MARK) for name in table["chip"] if name.endswith(roofline.MARK)}
    unsourced = {c.chip for c in published_benchmarks.chips() if c.unsourced and c.fp32_tflops}
    assert marked == unsourced != set()


def test_loads_join_what_was_counted_of_the_same_step():
    works = [Work("a", {"batch": 1}, 10), Work("a", {"batch": 2}, 20)]
    moved = [Traffic("a", {"batch": 2}, 5, 8), Traffic("b", {"batch": 2}, 5, 8)]
    joined = roofline.loads([*moved, *works])
    assert [(load.label, load.flops, load.intensity) for load in joined] == [("a, batch 2", 20, 4.0)]
    assert roofline.loads([]) == []


def test_largest_takes_each_twin_once():
    loads = [roofline.Load(t, {"batch": b}, 1, 1, 1) for t, b in (("a", 8), ("a", 16), ("b", 2), ("a", 4))]
    assert [load.label for load in roofline.largest(loads)] == ["a, batch 16", "b, batch 2"]


# --- published times -----------------------------------------------------------------------------------


def test_least_bytes_by_hand():
    step = 600 * 9 + 400 * 8  # words: a gathered weight is not read by the backward pass
    assert roofline.least_bytes(workload()) == 4 * (10 * step + 5 * 600)
    assert roofline.least_bytes(workload(updated=False)) == 4 * (10 * (3 * 600 + 400) + 5 * 600)


def test_share_of_published_times_by_hand():
    table = roofline.published_shares([workload()], [row(), row(workload="other")], [chip()])
    flops = 2 * 4 * 10**9 * (3 * 10 + 5)
    assert list(table["framework"]) == ["MLX", "PyTorch"]
    assert list(table[roofline.SHARE]) == pytest.approx([100 * flops / 1e12 / s for s in (2, 4)])


def test_fewer_cores_lower_the_peak_and_are_marked():
    table = roofline.published_shares([workload()], [row(gpu_cores=5)], [chip(cores=10)])
    assert set(table["chip"]) == {"X1, 5 cores *"}
    assert table["minimum s"].iloc[0] == 2 * 4 * 10**9 * 35 / 0.5e12


def test_a_side_or_chip_that_is_not_stated_has_no_share():
    one_sided = row(mlx_low=None, mlx_high=None)
    assert list(roofline.published_shares([workload()], [one_sided], [chip()])["framework"]) == ["PyTorch"]
    assert roofline.published_shares([workload()], [row(chip="not stated")], [chip()]).empty


def test_no_published_time_beats_its_bound():
    table = roofline.published_shares(
        published_benchmarks.workloads(), published_benchmarks.benchmarks(), published_benchmarks.chips()
    )
    assert len(table) > 20
    assert table[roofline.SHARE].between(0.1, 99).all()


# --- this machine ----------------------------------------------------------------------------------------


def test_measured_steps_are_held_against_the_probed_bound():
    table = roofline.here_table([LOAD], [records.step(4, mlx=0.008, torch=0.004)], ROOF)
    assert list(table["minimum ms"]) == [2.0, 2.0]
    assert list(table[roofline.SHARE]) == pytest.approx([25, 50])
    fast = roofline.here_table([LOAD], [records.step(4, mlx=0.008, torch=0.0019)], ROOF)
    assert list(fast[roofline.SHARE]) == [pytest.approx(25), ceilings.TOO_LOW]
    assert roofline.reached(fast, "steps") == (
        "Steps took 4.00× the theoretical minimum, 4.00× at the median (1 run)."
    )
    assert ceilings.over(fast, share=roofline.SHARE).startswith("1 of 2 shares exceed 105 % of the ceiling")
    assert roofline.here_table([LOAD], [records.step(8, 1.0, 1.0)], ROOF).empty
    assert roofline.here_table([LOAD], [records.step(4, 1.0, 1.0)], None).empty


def test_the_roof_here_needs_both_probes():
    products = [records.product(1000, "float32", mlx=2e-3, torch=1e-3)]
    streams = [records.timed("stream", {"numbers": 10**6}, {"MLX, copy": 0.1, "PyTorch, add": 0.2})]
    roof = roofline.here(records.MACHINE, products, streams)
    assert (roof.flops, roof.bandwidth) == (2e12, pytest.approx(8e6 / 0.1))
    additions = [records.timed("addition", {}, {"MLX": 0.1, "PyTorch": 0.2, "PyTorch again": 0.2})]
    assert roofline.here(records.MACHINE, products, additions) is None
    assert roofline.here(records.MACHINE, products, []) is None


# --- traffic -----------------------------------------------------------------------------------------------


def half_of(model: mnn.Module, loss) -> Half:
    return Half(MLX, model, loss, train.mlx_optimizer(train.Recipe()), 1.0)


def test_compulsory_bytes_of_a_dense_model_by_hand():
    """Nine words a weight (four reads and writes of two moments among them), and the batch."""
    B, I, O = 7, 5, 3  # noqa: E741
    half = half_of(mnn.Linear(I, O), lambda model, x: (model(x) ** 2).mean())
    assert memory_traffic.compulsory(half, [mx.ones((B, I))]) == 4 * (9 * (I * O + O) + B * I)


@pytest.mark.parametrize("tied", [True, False])
def test_compulsory_bytes_of_the_language_model_are_counted_again_by_torch(tied):
    """A tied table is read by the head; an untied one is only gathered from, eight words instead of nine."""
    config = lm.tiny(tied=tied)
    study = Study("transformer_lm", {name: getattr(config, name) for name in config.__dataclass_fields__})
    _, torch_half = study.halves()
    optimizer, batch = torch_half.optimizer, torch_half.batch(study.example(3))
    torch_half.loss(torch_half.model, *batch).backward()
    optimizer.step()
    weights = dict(torch_half.model.named_parameters())
    moments = sum(
        v.numel() for s in optimizer.state.values() for v in s.values() if torch.is_tensor(v) and v.ndim
    )
    dense = sum(w.numel() for name, w in weights.items() if tied or name != "tokens.weight")
    words = dense + 2 * moments + 4 * sum(w.numel() for w in weights.values())  # the second read of the dense
    assert memory_traffic.traffic(study, 3).compulsory == 4 * words + sum(4 * x.numel() for x in batch)


def test_unfused_bytes_of_one_sum_by_hand():
    """x + broadcast(b) reads both at their own sizes and writes the sum; the views move nothing."""
    x, b = mx.ones((8, 4)), mx.ones((4,))
    graph = memory_traffic.flops.primitives(lambda x, b: [(x + b).T.reshape(4, 8)], x, b)
    assert memory_traffic._moved(graph) == 4 * (32 + 4 + 32)


def test_a_gather_reads_the_rows_it_picks():
    table, rows = mx.ones((100, 4)), mx.array([1, 2], mx.int32)
    graph = memory_traffic.flops.primitives(lambda table, rows: [table[rows]], table, rows)
    assert memory_traffic._moved(graph) == 4 * (2 * 4 + 2 + 2 * 4)


def test_a_step_moves_more_unfused_and_more_with_the_batch():
    config = lm.tiny()
    study = Study("transformer_lm", {name: getattr(config, name) for name in config.__dataclass_fields__})
    small, large = memory_traffic.traffic(study, 1), memory_traffic.traffic(study, 4)
    assert small.compulsory < small.unfused < large.unfused
    assert large.compulsory - small.compulsory == 3 * 2 * config.context * 4  # ids and labels


def test_counting_leaves_the_model_usable():
    config = lm.tiny()
    half, _ = train.halves(lm, config, train.Recipe())
    batch = half.batch(lm.example(config, np.random.default_rng(0), 2))
    before = MLX.numpy(half.model.tokens.weight)
    memory_traffic.unfused(half, batch)
    memory_traffic.gathered(half, batch)
    assert np.array_equal(MLX.numpy(half.model.tokens.weight), before)
    assert np.isfinite(float(train.step(half)(*batch)))


def test_without_records_the_tiny_models_are_counted(tmp_path):
    own = published_benchmarks.FOLDER.parents[1] / "notebooks" / "your_model.py"
    found = memory_traffic.sizes(store.Found([], []), "chip-8gb", str(own))
    assert [study.name for study, _ in found] == list(memory_traffic.MODELS)


def test_with_records_their_sizes_are_counted():
    config = lm.tiny()
    case = {name: getattr(config, name) for name in config.__dataclass_fields__} | {"batch": 3}
    own = published_benchmarks.FOLDER.parents[1] / "notebooks" / "your_model.py"
    step = records.step(8, 1.0, 1.0)
    pair = Timing(step.subject, {"twin": "your_model", "batch": 8}, step.runs)
    found = [(Work("transformer_lm", case, 5), "02_transformer_lm"), (pair, "12_your_model")]
    kept = [
        store.Record(1, type(body).__name__.lower(), "chip-8gb", "CPU", {}, notebook, "quick", "r", body)
        for body, notebook in found
    ]
    sizes = memory_traffic.sizes(store.Found(kept, []), "chip-8gb", str(own))
    assert [(study.name, batch) for study, batch in sizes] == [("transformer_lm", 3), ("your_model", 8)]
    assert memory_traffic.sizes(store.Found(kept, []), "other", str(own))[0][1] == 4
