"""The faster g++ makes the very kernels that g++ makes for MLX, and what is timed does not find it."""

import os
import platform
import shutil
import subprocess
from functools import partial
from pathlib import Path

import pytest

from twins.machine import fresh_process, kept_processes, kernel_compiler

KERNEL = """\
#include "mlx/backend/cpu/compiled_preamble.h"
using namespace mlx::core::detail;
extern "C" void kernel(int size, const float* x, float* y) {
  for (int i = 0; i < size; ++i) y[i] = Tanh()(x[i]) * Sigmoid()(x[i]);
}
"""


def test_a_kernel_is_the_same_with_the_precompiled_header(tmp_path):
    fast = Path(shutil.which("g++") or "")
    if not fast.is_relative_to(kernel_compiler.BUILD):
        pytest.skip("not run here: needs Linux and g++")
    slow = fast.read_text().split("'")[1]
    (tmp_path / "kernel.cpp").write_text(KERNEL)
    for name, command in (("slow", [slow]), ("fast", [str(fast), "-H"])):
        flags = [*kernel_compiler.FLAGS, "-w", "-shared", f"-I{kernel_compiler.headers()}"]
        command += [*flags, "kernel.cpp", "-o", f"{name}.so"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "! " in done.stderr and ".gch" in done.stderr  # what -H says of a precompiled header that is used
    assert (tmp_path / "slow.so").read_bytes() == (tmp_path / "fast.so").read_bytes()


@pytest.fixture
def users_path(monkeypatch):
    """PATH as a user has it; the tests' own has the faster g++ in front."""
    folders = os.environ["PATH"].split(os.pathsep)
    plain = [each for each in folders if not Path(each).is_relative_to(kernel_compiler.BUILD)]
    monkeypatch.setenv("PATH", os.pathsep.join(plain))


@pytest.mark.skipif(platform.system() != "Linux", reason="not run here: needs Linux")
def test_it_is_found_for_a_while(users_path):
    before = shutil.which("g++")
    with kernel_compiler.faster():
        assert Path(shutil.which("g++")).is_relative_to(kernel_compiler.BUILD)
        with kernel_compiler.faster():
            pass
        assert Path(shutil.which("g++")).is_relative_to(kernel_compiler.BUILD)
    assert shutil.which("g++") == before


@pytest.mark.parametrize("call", [partial(kept_processes.call, 0), fresh_process.call])
def test_what_is_timed_calls_the_users_compiler(users_path, call):
    with kernel_compiler.faster():
        pass
    assert str(kernel_compiler.BUILD) not in call("os:getenv", {"key": "PATH"})


def test_a_compiler_that_cannot_precompile_is_left_as_it_is(users_path, tmp_path, monkeypatch):
    refusing = tmp_path / "g++"
    refusing.write_text("#!/bin/sh\n[ $1 = --version ]\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with kernel_compiler.faster():
        assert shutil.which("g++") == str(refusing)
