"""The tests' faster g++ makes the very kernels that g++ makes for MLX."""

import shutil
import subprocess
from pathlib import Path

import compiler
import pytest

KERNEL = """\
#include "mlx/backend/cpu/compiled_preamble.h"
using namespace mlx::core::detail;
extern "C" void kernel(int size, const float* x, float* y) {
  for (int i = 0; i < size; ++i) y[i] = Tanh()(x[i]) * Sigmoid()(x[i]);
}
"""


def test_a_kernel_is_the_same_with_the_precompiled_header(tmp_path):
    fast = Path(shutil.which("g++") or "")
    if not fast.is_relative_to(compiler.BUILD):
        pytest.skip("no g++ of the tests here: needs Linux and g++")
    slow = fast.read_text().split("'")[1]
    (tmp_path / "kernel.cpp").write_text(KERNEL)
    for name, command in (("slow", [slow]), ("fast", [str(fast), "-H"])):
        flags = [*compiler.FLAGS, "-w", "-shared", f"-I{compiler.headers()}"]
        command += [*flags, "kernel.cpp", "-o", f"{name}.so"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "! " in done.stderr and ".gch" in done.stderr  # what -H says of a precompiled header that is used
    assert (tmp_path / "slow.so").read_bytes() == (tmp_path / "fast.so").read_bytes()
