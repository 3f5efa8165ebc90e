"""Records made by hand, whose every figure is known."""

from dataclasses import asdict
from math import inf, log, sqrt

from twins.machine.conditions import Conditions
from twins.records.record_types import Fit, Machine, Memory, Timing
from twins.timing.sessions import Sessions, quantile
from twins.timing.statistics import AGAIN, Run, Samples

QUIET = Conditions(2, 0.5, 0.1, 0, 0.3, 1.0, 0, "mains")
MACHINE = Machine(
    id="chip-8gb",
    chip="Chip",
    gpu="",
    cores=2,
    memory_gb=8,
    system="System 1 (x86_64)",
    python="3.11.0",
    versions={"mlx": "0.32.4", "torch": "2.13.0"},
    device="CPU",
    blas="libtorch_cpu.so",
    threads=1,
    compiler="g++",
    power="mains",
)


def timed(
    subject: str, case: dict, seconds: dict[str, float], spread: float = 0.0, conditions=QUIET
) -> Timing:
    """Three processes of five calls by variant: the median is `seconds`, the rest within `spread` of it.

    CPU time is twice the wall time and the first call ten times it.
    """
    factors = (1 - spread, 1 - spread / 2, 1, 1 + spread / 2, 1 + spread)
    variants = {
        name: Samples(10 * s, [s * f for f in factors], [2 * s * f for f in factors])
        for name, s in seconds.items()
    }
    return Timing(subject, case, [asdict(Run(variants, conditions))] * 3)


def over(value: float, factor: float, count: int = 3) -> Sessions:
    """Sessions whose printed interval goes from value / factor to value * factor."""
    return Sessions(log(value), count, log(factor) / quantile(0.975, inf) / sqrt(1 + 1 / count), inf)


def step(batch: int, mlx: float, torch: float, modes=("eager",), again: float = 1.0, **more) -> Timing:
    """A training-step record; compiled steps take half the time of eager ones."""
    seconds = {}
    for mode in modes:
        factor = 0.5 if mode == "compiled" else 1.0
        seconds |= {f"MLX {mode}": factor * mlx, f"PyTorch {mode}": factor * torch}
    seconds[f"PyTorch {modes[0]}{AGAIN}"] = again * torch
    return timed("training step", {"twin": "transformer_lm", "batch": batch}, seconds, **more)


def product(n: int, dtype: str, mlx: float, torch: float) -> Timing:
    """A matrix-product record."""
    seconds = {"MLX": mlx, "PyTorch": torch, "PyTorch" + AGAIN: torch}
    return timed("matmul", {"n": n, "dtype": dtype}, seconds)


def parts(mlx: tuple[float, ...], torch: tuple[float, ...]) -> Timing:
    """Seconds of data, forward, forward and backward, optimizer."""
    names = ("data", "forward", "forward and backward", "optimizer")
    seconds = {f"MLX {n}": s for n, s in zip(names, mlx, strict=True)}
    seconds |= {f"PyTorch {n}": s for n, s in zip(names, torch, strict=True)}
    return timed("parts", {"batch": 4}, seconds | {"PyTorch forward" + AGAIN: torch[1]})


def fit(entropy: float | None = None, apart: float = 0.0) -> Fit:
    """Three steps, the halves `apart` at the last and torch's floor 0.001."""
    losses = {"MLX": [3.0, 2.0, 1.0 + apart], "PyTorch": [3.0, 2.0, 1.0], "floor": [3.0, 2.0, 1.001]}
    held_out = {"MLX": 1.2 + apart, "PyTorch": 1.2, "floor": 1.201}
    case = {"batch": 4, "steps": 3}
    return Fit("transformer_lm", case, "stdlib", "digest", entropy, losses, held_out)


def memory(**megabytes: int) -> list[Memory]:
    """Memory records by variant, written as MLX_eager=200."""
    return [
        Memory("transformer_lm", {}, variant.replace("_", " "), size * 2**20, None, "nothing")
        for variant, size in megabytes.items()
    ]
