"""Work that changes sides: a product on each, and what share of it the hand-overs are.

With a GPU the sides are CPU and GPU in each framework; without one they are MLX and PyTorch on the CPU. The
product is timed alone on either side, alternating, and the hand-overs alone.
"""

from collections.abc import Callable
from dataclasses import asdict

import numpy as np

from twins.frameworks import MLX, TORCH
from twins.records.record_types import Timing
from twins.timing import comparison, harness
from twins.timing.harness import Variant
from twins.timing.statistics import AGAIN
from twins.transfer.transfers import synchronize, view

import mlx.core as mx  # isort: skip  (after twins.frameworks: the BLAS)
import torch  # isort: skip


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


def variants(n: int) -> dict[str, Variant]:
    """Products of `n` by `n` matrices on each side, alternating, the hand-overs, and two again for A/A."""
    make = _between_frameworks if TORCH.device == "cpu" else _between_devices
    calls, again = make(n), make(n)
    first = (next(name for name in again if name.startswith(each)) for each in comparison.FRAMEWORKS)
    calls |= {name + AGAIN: again[name] for name in first}
    return {name: Variant(call, synchronize) for name, call in calls.items()}


def timings(n: int, plan: harness.Plan) -> Timing:
    """The switching workload, timed."""
    runs = harness.measure("twins.transfer.device_switching:variants", {"n": n}, plan)
    return Timing("switching", {"n": n}, [asdict(run) for run in runs])
