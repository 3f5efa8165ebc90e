"""Which machine this is: its fingerprint, and the caveats of its figures.

The fingerprint names chip, memory and versions, never a host or a user. Two Macs of one model have the same
machine id; a random tag that each keeps in data/raw/machine-tag tells them apart.
"""

import os
import platform
import re
import secrets
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

import psutil

from twins import frameworks
from twins.datasets import download
from twins.frameworks import MLX, TORCH
from twins.machine import conditions, macos
from twins.records import bounds, writing
from twins.records.record_types import Machine

MATRIX_UNITS = 26  # the macOS from which MLX's wheels use an M5's matrix units (mlx#3821)
PACKAGES = ("mlx", "torch", "numpy", "coremltools")


def chip() -> str:
    """The processor's name as the system gives it, trademarks removed."""
    if macos.here():
        name = macos.sysctl("machdep.cpu.brand_string") or platform.processor() or platform.machine()
    else:
        text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
        found = re.search(r"^model name\s*: (.+)$", text, re.M)
        name = found[1] if found else platform.processor() or platform.machine()
    return " ".join(re.sub(r"\((R|TM)\)|CPU|@.*", " ", name).split())


def machine_id(chip: str, gpu: str, memory_gb: int, gpu_cores: int | None = None) -> str:
    """A folder name made of chip, GPU cores and memory; some chips of one name differ in GPU cores."""
    cores = f"{gpu_cores} core gpu" if gpu_cores else ""
    return re.sub(r"[^a-z0-9]+", "-", f"{chip} {cores} {gpu} {memory_gb}gb".lower()).strip("-")


def gpu_cores() -> int | None:
    """The cores of Apple silicon's GPU; None where there is none or the system does not say."""
    return macos.gpu_cores(macos.output("ioreg", "-rc", "AGXAccelerator")) if macos.here() else None


def mlx_wheel() -> str:
    """The tag of the wheel with MLX's back end, as pip installed it; empty where none is recorded."""
    for name in ("mlx-metal", "mlx-cuda-13", "mlx-cpu"):
        try:
            told = distribution(name).read_text("WHEEL") or ""
        except PackageNotFoundError:
            continue
        return next(iter(re.findall(r"^Tag: (\S+)", told, re.M)), "")
    return ""


def caveats(machine: Machine) -> list[str]:
    """What a reader must know before believing a figure of this machine; one sentence each."""
    built, runs = macos.wheel_system(machine.mlx_wheel), macos.product_version() if macos.here() else None
    found = of_frameworks()
    if built and runs and built[0] < MATRIX_UNITS <= runs[0]:
        found.append(
            f"MLX is the build for macOS {built[0]} ({machine.mlx_wheel}) on macOS {runs[0]}: it cannot use "
            "the matrix units of an M5's GPU; `make setup` in a new environment installs the right one."
        )
    return found


def of_frameworks() -> list[str]:
    """Those of the caveats that the frameworks and their devices give."""
    found = []
    if MLX.device == "cpu":
        found.append(
            "MLX's CPU back end is single-threaded outside BLAS and its kernels are scalar: "
            "**these are not Apple-silicon figures** and say nothing about MLX on a Mac."
        )
        if frameworks.compiler() is None:
            found.append(
                "No C++ compiler was found: mx.compile silently ran eager, and torch.compile cannot run."
            )
    lacking = frameworks.LACKING.items()
    found += [f"{device} is offered here but does not work: {why}." for device, why in lacking]
    if MLX.device == "mps":
        found.append(
            "torch.compile on MPS runs the reductions of LayerNorm and BatchNorm in one thread in 2.13 "
            "(https://github.com/pytorch/pytorch/issues/188412): compiled steps of PyTorch measure that too."
        )
    if set(MLX.available()) != set(TORCH.available()):
        lists = "; ".join(f"{each.name} has {', '.join(each.available())}" for each in frameworks.BOTH)
        found.append(f"The frameworks see different devices ({lists}); both ran on {MLX.device}.")
    return found


def tag() -> str:
    """Six random hexadecimal digits that tell this machine from others of its model, made once."""
    path = download.folder() / "machine-tag"
    if not path.exists():
        writing.write(path, secrets.token_hex(3))
    found = path.read_text().strip()
    if not re.fullmatch(r"[0-9a-f]{6}", found):
        raise ValueError(f"{path} holds {found!r:.40}, it must be six hexadecimal digits; delete it")
    return found


def boot() -> str:
    """When the system started, in UTC and down to the minute, such as 2026-01-31T12:00Z."""
    return datetime.fromtimestamp(psutil.boot_time(), UTC).strftime("%Y-%m-%dT%H:%MZ")


def fingerprint() -> Machine:
    """This machine, now."""
    memory_gb = round(psutil.virtual_memory().total / 2**30)
    name, card, cores = chip(), TORCH.gpu(), gpu_cores()
    compiler = frameworks.compiler()
    return Machine(
        id=machine_id(name, card, memory_gb, cores),
        chip=bounds.label(name),
        gpu=bounds.label(card),
        cores=os.cpu_count() or 1,
        memory_gb=memory_gb,
        system=bounds.label(conditions.system()),
        python=platform.python_version(),
        versions={package: version(package) for package in PACKAGES},
        device=frameworks.DEVICE_NAMES[MLX.device],
        blas=frameworks.BLAS,
        threads=frameworks.THREADS,
        compiler=bounds.label(Path(compiler).name) if compiler else "none",
        power=conditions.power(),
        gpu_cores=cores,
        mlx_wheel=mlx_wheel(),
        boot=boot(),
        host=tag(),
    )
