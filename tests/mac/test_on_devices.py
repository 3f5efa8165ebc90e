"""The tests that touch a device, once more on a pretended Mac, in processes of their own.

EXCUSED are those that cannot pass there, by the pretence's fault and not the code's. The long ones are marked
`oracle`: an operation of the pretended device takes several times as long.
"""

import subprocess
import sys

import pretended
import pytest

from twins.records.store import ROOT

SHORT = (
    "coreml_runtime/test_verify",
    "twins/test_frameworks",
    "twins/models/test_tiny",
    "twins/parity/test_float64_constants",
    "twins/parity/test_float64_stand_ins",
    "twins/parity/test_indices",
    "twins/parity/test_noise",
    "twins/timing/questions/test_convolutions",
    "twins/timing/test_energy",
    "twins/timing/test_flops",
    "twins/timing/test_half_types",
    "twins/transfer/test_transfers",
    "twins/inference/test_inference",
)
LONG = (
    "twins/timing/test_study",
    "twins/timing/questions/test_float32_as_shipped",
    "twins/parity/test_fairness_gate",
    "twins/parity/test_reported_pairs",
    "twins/parity/test_half_precision",
    "twins/training/test_train",
    "twins/models/test_user_model",
)
FRESH = "starts a Python with a clean environment, which is not on the pretended Mac"
EXCUSED = {"twins/test_frameworks.py::test_an_absent_device_is_refused_with_what_is_there": FRESH}
FILES = [*SHORT, *(pytest.param(name, marks=pytest.mark.oracle) for name in LONG)]


@pytest.mark.parametrize("name", FILES)
def test_a_device_test_passes_on_a_mac(name, tmp_path):
    left_out = [f"--deselect=tests/{test}" for test in EXCUSED]
    command = [sys.executable, "-m", "pytest", f"tests/{name}.py", "-q", "-o", "addopts=", *left_out]
    given = pretended.environment("m3-max-40", tmp_path)
    done = subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]


def test_every_named_file_exists():
    """The long ones run rarely; a file that moved is found at once."""
    assert all((ROOT / "tests" / f"{name}.py").is_file() for name in (*SHORT, *LONG))
