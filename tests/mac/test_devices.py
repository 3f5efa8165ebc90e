"""The tests that touch a device, once more on a pretended Mac, in a process of their own.

EXCUSED are those that cannot pass there, by the pretence's fault and not the code's. Minutes long, so marked
`oracle`.
"""

import subprocess
import sys

import pretended
import pytest

from twins.results import ROOT

FILES = """test_tiny test_frameworks test_flops test_handover test_parity test_train test_study test_inference
test_own test_energy test_float64 test_half_gate test_half_types test_convolutions coreml/test_verify"""
FRESH = "starts a Python with a clean environment, which is not on the pretended Mac"
EXCUSED = {
    "test_frameworks.py::test_an_absent_device_is_refused_with_what_is_there": FRESH,
}


@pytest.mark.oracle
@pytest.mark.parametrize("name", FILES.split())
def test_a_device_test_passes_on_a_mac(name, tmp_path):
    left_out = [f"--deselect=tests/{test}" for test in EXCUSED]
    command = [sys.executable, "-m", "pytest", f"tests/{name}.py", "-q", "-o", "addopts=", *left_out]
    given = pretended.environment("m3-max-40", tmp_path)
    done = subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
