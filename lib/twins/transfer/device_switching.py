"""Work that changes sides: a product on each, and what share of it the hand-overs are, over sizes.

With a GPU the sides are CPU and GPU in each framework; without one they are MLX and PyTorch on the CPU. The
product is timed alone on either side, alternating, and the hand-overs alone.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial

import numpy as np

from twins.frameworks import MLX, TORCH
from twins.records.record_types import Timing
from twins.timing import comparison, harness, saturation
from twins.timing.harness import Variant
from twins.timing.progress import tell
from twins.timing.statistics import AGAIN
from twins.transfer.transfers import synchronize, view

import mlx.core as mx  # isort: skip  (after twins.frameworks: the BLAS)
import torch  # isort: skip

LONGEST = 0.1  # seconds of a product: what takes longer is left out, in every profile alike
PROBE = 256  # the side at which that is estimated


def _matrix(n: int) -> np.ndarray:
    """A random matrix scaled so that products keep their size."""
    return (np.random.default_rng(0).standard_normal((n, n)) / np.sqrt(n)).astype(np.float32)


def _evaluated(x: mx.array) -> mx.array:
    mx.eval(x)
    return x


def _between_frameworks(n: int) -> dict[str, Callable]:
    """One product in MLX and one in PyTorch, both on the CPU."""
    ours, theirs = MLX.array(_matrix(n)), TORCH.array(_matrix(n))

    def product_mlx(x=ours):
        return _evaluated(ours @ x)

    def product_torch(x=theirs):
        return theirs @ x

    def copied():
        return product_torch(torch.from_numpy(np.array(product_mlx())))

    def shared():
        return product_torch(view(product_mlx()))

    return {
        "PyTorch twice": lambda: product_torch(product_torch()),
        "MLX twice": lambda: product_mlx(product_mlx()),
        "MLX then PyTorch, copied": copied,
        "MLX then PyTorch, shared": shared,
        "hand-over alone, copied": lambda: torch.from_numpy(np.array(ours)),
        "hand-over alone, shared": lambda: view(ours),
    }


def _between_devices(n: int) -> dict[str, Callable]:
    """One product on the CPU and one on the GPU, in each framework."""
    ours, cpu = MLX.array(_matrix(n)), torch.from_numpy(_matrix(n))
    gpu = cpu.to(TORCH.device)

    def mlx(*devices):
        x = ours
        for device in devices:
            x = mx.matmul(ours, x, stream=device)
        return _evaluated(x)

    return {
        "PyTorch twice on the CPU": lambda: cpu @ (cpu @ cpu),
        "PyTorch twice on the GPU": lambda: gpu @ (gpu @ gpu),
        "PyTorch CPU then GPU, copied": lambda: (gpu @ (cpu @ cpu).to(TORCH.device)).cpu(),
        "hand-over alone, copied": lambda: cpu.to(TORCH.device).cpu(),
        "MLX twice on the CPU": lambda: mlx(mx.cpu, mx.cpu),
        "MLX twice on the GPU": lambda: mlx(mx.gpu, mx.gpu),
        "MLX CPU then GPU, shared": lambda: mlx(mx.cpu, mx.gpu),
    }


def variants(sides: list[int]) -> dict[str, Variant]:
    """At each side of a matrix, named "side: work": products on each side, alternating, the hand-overs.

    The first work of each framework is there again for A/A.
    """
    made = {}
    for n in sides:
        make = partial(_between_frameworks if TORCH.device == "cpu" else _between_devices, n)
        calls, again = make(), make()
        first = (next(name for name in again if name.startswith(each)) for each in comparison.FRAMEWORKS)
        calls |= {name + AGAIN: again[name] for name in first}
        made |= {f"{n}: {name}": Variant(call, synchronize) for name, call in calls.items()}
    return made


def affordable(sides: Sequence[int]) -> list[int]:
    """The sides whose product takes at most LONGEST seconds where it is slowest; always the smallest."""
    found = [variant for name, variant in variants([PROBE]).items() if "twice" in name]
    each = max(map(saturation.median, found)) / 2
    return [n for n in sorted(sides) if n == min(sides) or each * (n / PROBE) ** 3 <= LONGEST]


def timings(sides: Sequence[int], plan: harness.Plan) -> Iterator[Timing]:
    """The switching workload at every affordable side, all in one process at a time; one record a side.

    Errors: ValueError for a side below 1, or for none.
    """
    if not sides or min(sides) < 1:
        raise ValueError(f"sides are {list(sides)}; allowed are one and more whole numbers from 1 on")
    chosen = affordable(sides)
    runs = harness.measure("twins.transfer.device_switching:variants", {"sides": chosen}, plan, tell)
    for n in chosen:
        yield Timing("switching", {"n": n}, [asdict(run.part(f"{n}: ")) for run in runs])
