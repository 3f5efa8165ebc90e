"""Ceilings out of probes, and the tables of them."""

import pandas as pd
from msgspec.structs import replace
from records import MACHINE, product, timed

from twins.timing.ceilings import ceilings
from twins.timing.statistics import AGAIN

HERE = replace(MACHINE, blas="libx.so")


def rows(frame: pd.DataFrame) -> list[tuple]:
    return list(frame.itertuples(index=False, name=None))


def test_probe_table():
    twice = {"MLX": 0.5, "PyTorch": 1.0, "PyTorch" + AGAIN: 1.0}
    waits = {
        "MLX, empty": 1e-6,
        "PyTorch, empty": 2e-6,
        "MLX, one addition": 9e-6,
        "PyTorch, one addition": 3e-6,
        "PyTorch, empty" + AGAIN: 2e-6,
    }
    probes = [product(1000, "float32", mlx=0.2, torch=0.1), timed("addition", {}, twice)]
    assert rows(ceilings.probe_table([*probes, timed("synchronisation", {}, waits)])) == [
        ("1000 × 1000 float32 product", "GFLOP/s", 10.0, 20.0, "0.500 [0.500, 0.500]"),
        ("addition", "GB/s", 0.403, 0.201, "2.000 [2.000, 2.000]"),
        ("synchronisation, empty", "µs", 1.0, 2.0, "2.000 [2.000, 2.000]"),
        ("synchronisation, one addition", "µs", 9.0, 3.0, "0.333 [0.333, 0.333]"),
    ]
    moved = 3 * 4 * ceilings.ADDED  # two vectors read and one written, in one second
    assert float(f"{moved / 1e9:.3g}") == 0.201


def test_the_blas_is_told_at_1024_or_the_largest_below():
    probes = [product(n, "float32", mlx=1.0, torch=n / 1024) for n in (512, 1024, 2048)]
    probes += [product(1024, "float16", mlx=1.0, torch=9.0)]
    start = "Float32 product of {0} × {0}: PyTorch's time over MLX's is {1}. MLX's BLAS: libx.so."
    assert ceilings.product_reading(probes, HERE) == start.format(1024, "1.000 [1.000, 1.000]")
    assert ceilings.product_reading(probes[:1], HERE) == start.format(512, "0.500 [0.500, 0.500]")
    assert ceilings.product_reading(probes[2:3], HERE) == start.format(2048, "2.000 [2.000, 2.000]")
    assert ceilings.product_reading(probes[3:], HERE) == "No float32 product was timed."


def test_on_a_gpu_the_cpus_blas_computes_no_product():
    told = ceilings.product_reading([product(8, "float32", 1.0, 1.0)], replace(HERE, device="Apple GPU"))
    assert told.endswith("Computed by Apple GPU, not by the CPU's BLAS.")


def test_a_probe_that_grew_is_named_with_its_size():
    variants = {"MLX": 0.5, "PyTorch": 1.0, "PyTorch" + AGAIN: 1.0}
    grown = [timed("addition", {}, variants), timed("addition", {"numbers": 2 * ceilings.ADDED}, variants)]
    table = ceilings.probe_table(grown)
    assert list(table["probe"]) == ["addition", "addition of 33,554,432 numbers"]
    assert list(table["PyTorch"]) == [0.201, 0.403]
