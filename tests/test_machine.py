"""The fingerprint says what the machine is and not whose; probes do the work their names say."""

import json
import os
import platform
import re
from dataclasses import asdict
from importlib.metadata import version

import psutil
import pytest

from twins import frameworks, machine
from twins.frameworks import MLX
from twins.results import Machine


def test_the_fingerprint_is_this_machine():
    here = machine.fingerprint()
    assert here.cores == os.cpu_count()
    assert here.memory_gb == round(psutil.virtual_memory().total / 2**30)
    assert here.python == platform.python_version()
    assert here.versions == {name: version(name) for name in ("mlx", "torch", "numpy", "coremltools")}
    assert (here.blas, here.threads) == (frameworks.BLAS, frameworks.THREADS)
    assert here.device == {"cpu": "CPU", "mps": "Apple GPU", "cuda": "CUDA"}[MLX.device]
    assert os.sep not in here.compiler
    assert Machine(**json.loads(json.dumps(asdict(here)))) == here


def test_two_readings_give_one_id():
    first, second = machine.fingerprint(), machine.fingerprint()
    assert first.id == second.id
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", first.id)
    assert first.id.endswith(f"-{first.memory_gb}gb")


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("Apple M3 Max", "", 64), "apple-m3-max-64gb"),
        (("Apple M3 Max", "", 64, 30), "apple-m3-max-30-core-gpu-64gb"),
        (("Apple M3 Max", "", 64, 40), "apple-m3-max-40-core-gpu-64gb"),
        (("Intel Xeon Platinum 8175M", "", 8), "intel-xeon-platinum-8175m-8gb"),
        (("AMD EPYC 7763", "NVIDIA H100 80GB HBM3", 128), "amd-epyc-7763-nvidia-h100-80gb-hbm3-128gb"),
    ],
)
def test_machine_id(parts, name):
    assert machine.machine_id(*parts) == name


def test_the_chip_has_no_trademark_and_no_clock():
    assert not re.search(r"\((R|TM)\)|@|  ", machine.chip())
    assert machine.chip()


def test_a_processor_without_a_model_name_still_has_one(monkeypatch):
    """As on Linux on Arm, where /proc/cpuinfo names none."""
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(machine.Path, "read_text", lambda path: "processor\t: 0\nFeatures\t: fp asimd\n")
    monkeypatch.setattr(machine.platform, "processor", lambda: "")
    assert machine.chip() == platform.machine()
