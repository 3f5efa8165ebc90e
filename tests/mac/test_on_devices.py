"""The tests that touch a device, once more on a pretended Mac, in processes of their own.

EXCUSED are those that cannot pass there, by the pretence's fault and not the code's. The long ones are marked
`oracle`: an operation of the pretended device takes several times as long.
"""

import subprocess
import sys

import pretended
import pytest

from twins.results import ROOT

SHORT = (
    "tiny",
    "frameworks",
    "flops",
    "handover",
    "energy",
    "float64",
    "half_types",
    "convolutions",
    "study",
)
SHORT += ("inference", "shipped")
LONG = ("parity", "train", "own", "half_gate")
FRESH = "starts a Python with a clean environment, which is not on the pretended Mac"
EXCUSED = {"test_frameworks.py::test_an_absent_device_is_refused_with_what_is_there": FRESH}
FILES = [f"test_{name}" for name in SHORT] + ["coreml/test_verify"]
FILES += [pytest.param(f"test_{name}", marks=pytest.mark.oracle) for name in LONG]


@pytest.mark.parametrize("name", FILES)
def test_a_device_test_passes_on_a_mac(name, tmp_path):
    left_out = [f"--deselect=tests/{test}" for test in EXCUSED]
    command = [sys.executable, "-m", "pytest", f"tests/{name}.py", "-q", "-o", "addopts=", *left_out]
    given = pretended.environment("m3-max-40", tmp_path)
    done = subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
