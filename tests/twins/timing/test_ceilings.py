"""Ceilings out of probes, and the tables of them."""

import numpy as np
import pandas as pd
import pytest
from msgspec.structs import replace
from records import MACHINE, product, timed

from twins.records.record_types import Timing, Work
from twins.timing.ceilings import ceilings
from twins.timing.statistics import AGAIN

HERE = replace(MACHINE, blas="libx.so")


def rows(frame: pd.DataFrame) -> list[tuple]:
    return list(frame.itertuples(index=False, name=None))


STREAM = {
    "MLX, copy": 2.0,
    "MLX, add in place": 1.0,
    "PyTorch, copy": 1.0,
    "PyTorch, triad": 0.5,
    "PyTorch, add in place": 2.0,
    "NumPy, copy": 0.8,
    "MLX, add in place" + AGAIN: 1e-9,
    "PyTorch, add in place" + AGAIN: 1e-9,
}


def stream(numbers: int = 10**9, pages: int = 0, **more: float) -> Timing:
    return timed("stream", {"numbers": numbers, "new_pages": {"MLX, copy": pages}}, STREAM | more)


def test_probe_table():
    waits = {
        "MLX, empty": 1e-6,
        "PyTorch, empty": 2e-6,
        "MLX, one addition": 9e-6,
        "PyTorch, one addition": 3e-6,
        "PyTorch, empty" + AGAIN: 2e-6,
    }
    probes = [product(1000, "float32", mlx=0.2, torch=0.1), stream(), timed("synchronisation", {}, waits)]
    vectors = "STREAM of 1,000,000,000 numbers"
    assert rows(ceilings.probe_table(probes)) == [
        ("1000 × 1000 float32 product, GFLOP/s", 10.0, 20.0, "", "PyTorch 2.00× as fast [2.00–2.00]"),
        (f"{vectors}, copy, GB/s", 4.0, 8.0, 10.0, "no difference shown"),  # its error is larger
        (f"{vectors}, add in place, GB/s", 12.0, 6.0, "", "no difference shown"),
        (f"{vectors}, triad, GB/s", "", 24.0, "", ""),
        ("synchronisation, empty, µs", 1.0, 2.0, "", "MLX 2.00× as fast [2.00–2.00]"),
        ("synchronisation, one addition, µs", 9.0, 3.0, "", "PyTorch 3.00× as fast [3.00–3.00]"),
    ]
    assert "NumPy" not in ceilings.probe_table(probes[::2])


def test_the_best_kernel_is_the_ceiling_and_an_addition_that_allocates_is_none():
    old = timed("addition", {}, {"MLX": 1e-9, "PyTorch": 1e-9, "PyTorch" + AGAIN: 1e-9})
    assert ceilings.bandwidth([old]) == 0
    assert (
        ceilings.bandwidth([old, stream()]) == 12e9 / 0.5
    )  # PyTorch's triad; what is timed for A/A is left out
    assert ceilings.bandwidth([stream(**{"NumPy, copy": 0.25})]) == 8e9 / 0.25
    assert ceilings.memory_reading([old]) == (
        "The ceiling for memory is not known: the former probe allocated its result and read too little. "
        "Run `make report-01`."
    )
    assert ceilings.memory_reading([old, stream(pages=2)]) == (
        "Memory moves at most 24 GB/s; NumPy's copy reaches 42 % of that. "
        "No timed call touches more than 2 new pages of memory."
    )


def test_an_older_addition_is_still_read():
    table = ceilings.probe_table(
        [timed("addition", {}, {"MLX": 0.5, "PyTorch": 1.0, "PyTorch" + AGAIN: 1.0})]
    )
    assert rows(table) == [("addition with allocation, GB/s", 0.403, 0.201, "MLX 2.00× as fast [2.00–2.00]")]
    moved = 3 * 4 * ceilings.NUMBERS  # two vectors read and one written, in one second
    assert float(f"{moved / 1e9:.3g}") == 0.201


def test_each_type_has_its_own_ceiling():
    probes = [product(100, "float32", 2e-6, 4e-6), product(100, "bfloat16", 1e-6, 2e-6), stream()]
    assert ceilings.peaks(probes) == {"float32": pytest.approx(1e12), "bfloat16": pytest.approx(2e12)}
    seconds = {
        f"{f} {dtype}": 1e-3 for dtype in ("float32", "bfloat16", "float16") for f in ("MLX", "PyTorch")
    }
    record = timed("training step by type", {"batch": 4}, seconds | {"MLX float32" + AGAIN: 1.0})
    table = ceilings.utilisation([record], [Work("lm", {"batch": 4}, 10**8)], ceilings.peaks(probes))
    told = dict(zip(table["step"], table[["ceiling", ceilings.SHARE]].itertuples(index=False), strict=True))
    assert tuple(told["MLX float32"]) == ("1000 GFLOP/s in float32", pytest.approx(10))
    assert tuple(told["PyTorch bfloat16"]) == ("2000 GFLOP/s in bfloat16", pytest.approx(5))
    assert told["MLX float16"].ceiling == "not measured" and np.isnan(told["MLX float16"][1])
    assert "MLX float32" + AGAIN not in told


@pytest.mark.parametrize(
    ("reached", "share"), [(1.0, 25), (4.2, 105), (4.21, ceilings.TOO_LOW), (40.0, ceilings.TOO_LOW)]
)
def test_a_share_above_105_percent_is_no_share(reached, share):
    assert ceilings.percent(reached, 4.0) == (share if isinstance(share, str) else pytest.approx(share))
    assert ceilings.percent(reached, 0.0) is None


def test_a_share_above_the_ceiling_is_the_ceilings_fault():
    def table(*shares, ceiling="4 GFLOP/s in float32"):
        return pd.DataFrame({ceilings.SHARE: shares, "ceiling": ceiling})

    assert ceilings.over(table(40.0, 105.0, None)) == "No share is above 105 % of its ceiling."
    assert ceilings.over(table(), pd.DataFrame()) == "No share is known."
    memory = table(ceilings.TOO_LOW, 3.0, ceiling=ceilings.named(24e9))
    assert ceilings.over(table(40.0, ceilings.TOO_LOW), memory) == (
        "2 of 4 shares exceed 105 % of the ceiling and are not printed: the probe of 4 GFLOP/s in float32 "
        "and that of 24 GB/s of memory read too little, or data lay in a cache. Run `make report-01`, then "
        "this page again."
    )


def test_the_blas_is_told_at_1024_or_the_largest_below():
    probes = [product(n, "float32", mlx=1.0, torch=n / 1024) for n in (512, 1024, 2048)]
    probes += [product(1024, "float16", mlx=1.0, torch=9.0)]
    start = "Float32 product of {0} × {0}: {1}. MLX's BLAS: libx.so."
    assert ceilings.product_reading(probes, HERE) == start.format(1024, "no difference shown")
    assert ceilings.product_reading(probes[:1], HERE) == start.format(
        512, "PyTorch 2.00× as fast [2.00–2.00]"
    )
    assert ceilings.product_reading(probes[2:3], HERE) == start.format(2048, "MLX 2.00× as fast [2.00–2.00]")
    assert ceilings.product_reading(probes[3:], HERE) == "No float32 product was timed."


def test_on_a_gpu_the_cpus_blas_computes_no_product():
    told = ceilings.product_reading([product(8, "float32", 1.0, 1.0)], replace(HERE, device="Apple GPU"))
    assert told.endswith("Computed by Apple GPU, not by the CPU's BLAS.")


def test_a_probe_that_grew_is_named_with_its_size():
    table = ceilings.probe_table([stream(), stream(2 * 10**9)])
    assert (
        table["probe, unit"].str.contains("1,000,000,000").sum()
        == table["probe, unit"].str.contains("2,000,000,000").sum()
    )
    assert list(table["PyTorch"])[1::3] == [6.0, 12.0]
