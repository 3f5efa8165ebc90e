"""Joules of a call, where the machine lets them be read without root: Apple silicon, and NVIDIA through NVML.

On Apple silicon the counters are the system's own model of CPU, GPU, memory and Neural Engine, not a meter,
and poor for windows of milliseconds; NVML counts the card alone. Idle power is in both.
https://ml.energy/zeus and https://github.com/ml-energy/zeus-apple-silicon
"""

import importlib.util
import time
from collections.abc import Callable, Iterable, Iterator

import pandas as pd

from twins.frameworks import TORCH
from twins.machine import fresh_process, macos
from twins.records.record_types import Energy
from twins.timing.harness import Variant
from twins.timing.progress import tell

SECONDS = 3.0  # of calls in a window: much longer than the estimators need
APPLE_PARTS = ("cpu_total_mj", "gpu_mj", "gpu_sram_mj", "dram_mj", "ane_mj")


def fault() -> str:
    """Why energy cannot be read here, in one sentence; empty when it can."""
    apple = macos.here()
    if not apple and TORCH.device != "cuda":
        return "Energy is not readable here: that needs Apple silicon or an NVIDIA GPU (or root)."
    needed = ["zeus", *(["zeus_apple_silicon"] if apple else [])]
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if not missing:
        return ""
    return f"Energy is not read: {' and '.join(missing)} is not installed (pip install -e '.[energy]')."


def source() -> str:
    """What is read, in words."""
    if TORCH.device == "cuda":
        return "NVML's counter of the card, through zeus; idle power is in it"
    return "the system's estimate of CPU, GPU, memory and Neural Engine, through zeus; idle power is in it"


def _window(work: Callable[[], None]) -> float:
    """Joules while `work` runs."""
    from zeus.monitor import ZeusMonitor

    monitor = ZeusMonitor()
    monitor.begin_window("work", sync_execution=False)
    work()
    found = monitor.end_window("work", sync_execution=False)
    if found.soc_energy is not None:
        return sum(getattr(found.soc_energy, part) or 0 for part in APPLE_PARTS) / 1e3
    return found.total_energy


def per_call(
    variant: Variant, seconds: float = SECONDS, window: Callable[[Callable], float] = _window
) -> float:
    """Joules of one call of a variant, averaged over `seconds` of calls, preparation included."""
    calls = 0

    def work() -> None:
        nonlocal calls
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            variant.prepare()
            variant.call()
            variant.synchronize()
            calls += 1

    return window(work) / calls


def measured(variants: str, arguments: dict, only: str) -> float:
    """The work of one fresh process: joules per call of one variant."""
    variant = fresh_process.find(variants)(**arguments)[only]
    variant.call()
    variant.synchronize()
    return per_call(variant)


def records(subject: str, variants: str, arguments: dict, names: list[str], case: dict) -> Iterator[Energy]:
    """Joules per call of each named variant, in a process of its own each; nothing where none can be read."""
    for name in [] if fault() else names:
        found = fresh_process.call(
            "twins.timing.energy:measured", {"variants": variants, "arguments": arguments, "only": name}
        )
        tell(f"{name}: energy")
        yield Energy(subject, case, name, found, source())


def table(records: Iterable[Energy]) -> pd.DataFrame:
    """Joules of one call of each variant."""
    rows = [(r.subject, r.arm, r.joules) for r in records]
    return pd.DataFrame(rows, columns=["what", "variant", "joules"])
