"""Which machine this is, and what it can do at best: the ceilings every utilisation is a share of.

The fingerprint names chip, memory and versions, never a host or a user. Probes are timed like
everything else (timing.py): a matrix product for FLOP/s, an addition of long vectors for bytes/s as
in STREAM (McCalpin 1995, https://www.cs.virginia.edu/stream/), and an empty synchronisation.
"""

import os
import platform
import re
import subprocess
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import psutil

from twins import conditions, frameworks
from twins.frameworks import BOTH, MLX, TORCH
from twins.results import Machine
from twins.timing import AGAIN, Arm

PACKAGES = ("mlx", "torch", "numpy", "coremltools")
ADDED = 2**24  # numbers per vector of the bandwidth probe: 64 MB in float32, beyond any cache


def chip() -> str:
    """The processor's name as the system gives it, trademarks removed."""
    if sys.platform == "darwin":
        told = ["sysctl", "-n", "machdep.cpu.brand_string"]
        name = subprocess.run(told, capture_output=True, text=True, check=True).stdout
    else:
        text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
        found = re.search(r"^model name\s*: (.+)$", text, re.M)
        name = found[1] if found else platform.processor() or platform.machine()
    return " ".join(re.sub(r"\((R|TM)\)|CPU|@.*", " ", name).split())


def machine_id(chip: str, gpu: str, memory_gb: int) -> str:
    """A folder name made of chip and memory."""
    return re.sub(r"[^a-z0-9]+", "-", f"{chip} {gpu} {memory_gb}gb".lower()).strip("-")


def fingerprint() -> Machine:
    """This machine, now."""
    memory_gb = round(psutil.virtual_memory().total / 2**30)
    name, card = chip(), TORCH.gpu()
    compiler = frameworks.compiler()
    return Machine(
        id=machine_id(name, card, memory_gb),
        chip=name,
        gpu=card,
        cores=os.cpu_count() or 1,
        memory_gb=memory_gb,
        system=conditions.system(),
        python=platform.python_version(),
        versions={package: version(package) for package in PACKAGES},
        device=frameworks.DEVICE_NAMES[MLX.device],
        blas=frameworks.BLAS,
        threads=frameworks.THREADS,
        compiler=Path(compiler).name if compiler else "none",
        power=conditions.power(),
    )


def _arm(framework, compute) -> Arm:
    return Arm(lambda: framework.evaluate(compute()), framework.synchronize)


def matmul_arms(n: int, dtype: str) -> dict[str, Arm]:
    """A square product in both frameworks, and torch's again for A/A."""
    numbers = np.random.default_rng(0).standard_normal((n, n)).astype(np.float32)
    arms = {}
    for name, framework in {"MLX": MLX, "PyTorch": TORCH, "PyTorch" + AGAIN: TORCH}.items():
        x = framework.array(numbers, dtype)
        arms[name] = _arm(framework, partial(lambda x: x @ x, x))
    return arms


def addition_arms() -> dict[str, Arm]:
    """A sum of two long float32 vectors in both frameworks, and torch's again for A/A."""
    arms = {}
    for name, framework in {"MLX": MLX, "PyTorch": TORCH, "PyTorch" + AGAIN: TORCH}.items():
        x, y = (framework.array(np.full(ADDED, value, np.float32)) for value in (1.0, 2.0))
        arms[name] = _arm(framework, partial(lambda x, y: x + y, x, y))
    return arms


def synchronisation_arms() -> dict[str, Arm]:
    """Waiting for nothing, and for the smallest operation there is, in both frameworks."""
    arms = {f"{each.name}, empty": Arm(lambda: None, each.synchronize) for each in BOTH}
    for each in BOTH:
        one = each.array(np.ones(1, np.float32))
        arms[f"{each.name}, one addition"] = _arm(each, partial(lambda x: x + x, one))
    return arms | {"PyTorch, empty" + AGAIN: Arm(lambda: None, TORCH.synchronize)}
