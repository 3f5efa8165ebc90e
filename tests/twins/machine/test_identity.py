"""The fingerprint says what the machine is and not whose; probes do the work their names say."""

import os
import platform
import re
from importlib.metadata import version

import msgspec
import psutil
import pytest
from mac.machines import MACS, install
from msgspec import structs

from twins import frameworks
from twins.frameworks import MLX
from twins.machine import identity, macos
from twins.records.record_types import Machine


def test_the_fingerprint_is_this_machine():
    here = identity.fingerprint()
    assert here.cores == os.cpu_count()
    assert here.memory_gb == round(psutil.virtual_memory().total / 2**30)
    assert here.python == platform.python_version()
    assert here.versions == {name: version(name) for name in ("mlx", "torch", "numpy", "coremltools")}
    assert (here.blas, here.threads) == (frameworks.BLAS, frameworks.THREADS)
    assert here.device == {"cpu": "CPU", "mps": "Apple GPU", "cuda": "CUDA"}[MLX.device]
    assert os.sep not in here.compiler
    assert msgspec.convert(structs.asdict(here), Machine) == here


def test_two_readings_give_one_id():
    first, second = identity.fingerprint(), identity.fingerprint()
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
    assert identity.machine_id(*parts) == name


def test_the_chip_has_no_trademark_and_no_clock():
    assert not re.search(r"\((R|TM)\)|@|  ", identity.chip())
    assert identity.chip()


def test_a_processor_without_a_model_name_still_has_one(monkeypatch):
    """As on Linux on Variant, where /proc/cpuinfo names none."""
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(identity.Path, "read_text", lambda path: "processor\t: 0\nFeatures\t: fp asimd\n")
    monkeypatch.setattr(identity.platform, "processor", lambda: "")
    assert identity.chip() == platform.machine()


def on_a_mac(monkeypatch, folder, name):
    """Let this process take the machine for a Mac, by what its tools print."""
    monkeypatch.setenv("PATH", f"{install(name, folder)}:/usr/bin:/bin")
    monkeypatch.setattr(macos, "here", lambda: True)


@pytest.mark.parametrize("name", ["m1", "m3-max-30", "m3-max-40", "m4-mini", "m5"])
def test_a_macs_fingerprint_names_chip_gpu_cores_and_macos(monkeypatch, tmp_path, name):
    on_a_mac(monkeypatch, tmp_path, name)
    mac, here = MACS[name], identity.fingerprint()
    assert (here.chip, here.gpu_cores) == (mac.chip, mac.gpu)
    assert here.system.startswith(f"macOS {mac.macos} (")
    slug = mac.chip.lower().replace(" ", "-")
    assert here.id == f"{slug}-{mac.gpu}-core-gpu-{here.memory_gb}gb"
    assert f"with {mac.gpu} GPU cores" in str(here)
    assert msgspec.convert(structs.asdict(here), Machine) == here


def test_macs_that_differ_in_gpu_cores_alone_are_different_machines(monkeypatch, tmp_path):
    ids = []
    for name in ("m3-max-30", "m3-max-40"):
        on_a_mac(monkeypatch, tmp_path / name, name)
        ids.append(identity.fingerprint().id)
    assert len(set(ids)) == 2


def test_a_mac_without_readable_cores_keeps_the_id_of_chip_and_memory(monkeypatch, tmp_path):
    on_a_mac(monkeypatch, tmp_path, "m1")
    (tmp_path / "ioreg").write_text("#!/bin/sh\n")  # as on a hosted Mac, whose GPU is not Apple's driver
    here = identity.fingerprint()
    assert (here.gpu_cores, here.id) == (None, f"apple-m1-{here.memory_gb}gb")


@pytest.mark.parametrize(
    ("wheel", "name", "told"),
    [
        ("py3-none-macosx_15_0_arm64", "m5", True),
        ("py3-none-macosx_26_0_arm64", "m5", False),
        ("py3-none-macosx_14_0_arm64", "m3-max-30", False),  # macOS 15.1, where no wheel uses them
        ("py3-none-macosx_15_0_arm64", "m3-max-40", True),  # whether it is an M5 is for the reader
        ("py3-none-macosx_14_0_arm64", "m1", False),
        ("", "m5", False),
    ],
)
def test_an_mlx_that_is_built_for_an_older_macos_is_told(monkeypatch, tmp_path, wheel, name, told):
    on_a_mac(monkeypatch, tmp_path, name)
    here = structs.replace(identity.fingerprint(), mlx_wheel=wheel)
    found = [sentence for sentence in identity.caveats(here) if sentence.startswith("MLX is the build")]
    assert [wheel in sentence for sentence in found] == [True] * told


def test_the_wheel_of_mlx_is_read_from_what_pip_installed(monkeypatch, tmp_path):
    info = tmp_path / "mlx_metal-0.32.4.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mlx-metal\nVersion: 0.32.4\n")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\nTag: py3-none-macosx_26_0_arm64\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert identity.mlx_wheel() == "py3-none-macosx_26_0_arm64"
