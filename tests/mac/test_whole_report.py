"""The smoke report from end to end on pretended Macs, from a copy of the project in a folder with a space.

With the Command Line Tools alone and few open files: what most Macs have.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import machines
import pretended
import pytest

from twins.frameworks import DEVICE_NAMES
from twins.records import store
from twins.records.store import ROOT
from twins.series import notebook_files

NEEDED = ["lib", "notebooks", "data", "tests/mac"]
NEEDED += ["constraints.txt", "pyproject.toml", "Makefile", "CITATION.cff"]
FEW = 256  # open files, macOS's default of a shell


def clone(folder: Path) -> Path:
    """A copy of what the report is made of."""
    for name in NEEDED:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    return folder


def report(machine: str, folder: Path, **more: str) -> Path:
    """Make the smoke report on a machine; the folder of what was made."""
    root = clone(folder / "a clone")
    (root / "build" / "tmp").mkdir(parents=True)
    command = ["sh", "-c", f'ulimit -n {FEW} && exec "$@"', "sh"]
    command += [sys.executable, "-m", "twins.series.runner", "--profile", "smoke"]
    given = pretended.environment(machine, folder, library=root / "lib", **more)
    given["TMPDIR"] = str(root / "build" / "tmp")
    done = subprocess.run(command, cwd=root, env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return root / "build" / "smoke"


def outputs(path: Path) -> str:
    """All that a page shows."""
    cells = [cell for cell in notebook_files.read(path).cells if cell.cell_type == "code"]
    assert [o for cell in cells for o in cell.outputs if o.output_type == "error"] == [], path.name
    return "".join(str(output) for cell in cells for output in cell.outputs)


def check(machine: str, made: Path, device: str) -> None:
    """Every page is there without an error cell, and its records are that machine's."""
    mac = machines.MACS[machine]
    sources = sorted(path.name for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    assert sorted(path.name for path in (made / "notebooks").glob("*.ipynb")) == sources
    shown = {name[:2]: outputs(made / "notebooks" / name) for name in sources}
    assert f"{mac.chip} with {mac.gpu} GPU cores" in shown["01"]
    assert ("XCTest comes with Xcode alone" in shown["09"]) == (mac.xcode == "Command Line Tools")
    found = store.read(made / "results")
    assert found.problems == []
    assert {record.device for record in found.records} == {device}
    told = [record.body for record in found.records if type(record.body).__name__ == "Machine"]
    assert {(body.chip, body.gpu_cores) for body in told} == {(mac.chip, mac.gpu)}


@pytest.mark.parametrize(
    "machine",
    [
        "m3-max-40-tools-alone",
        pytest.param("m1", marks=pytest.mark.oracle),  # macOS 14 and Xcode: as long again
        pytest.param("m5", marks=pytest.mark.oracle),
    ],
)
def test_the_report_on_a_mac(machine, tmp_path):
    check(machine, report(machine, tmp_path), DEVICE_NAMES["mps"])
