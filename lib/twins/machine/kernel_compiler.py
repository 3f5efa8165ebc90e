"""A g++ that finds MLX's preamble precompiled: the same kernels as without, in a fifth of the time.

On a CPU, mx.compile writes a small C++ file for every fused kernel and calls g++, which spends most of its
time on the headers. GCC takes a precompiled header that lies where it finds the header first
(https://gcc.gnu.org/onlinedocs/gcc/Precompiled-Headers.html), so a g++ in front of PATH adds such a folder.
What is compared but not timed uses it, as the fairness gate and the loss curves do; what is timed calls the
compiler that a user has.
"""

import contextlib
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

BUILD = Path(__file__).resolve().parents[3] / "build" / "compiler"
PREAMBLE = Path("mlx", "backend", "cpu", "compiled_preamble.h")
FLAGS = ("-std=c++17", "-O3", "-Wall", "-fPIC")  # those of MLX: GCC leaves out a header made with others
WRAPPER = """\
#!/bin/sh
exec '{compiler}' '-I{folder}' "$@"
"""


def headers() -> Path:
    """The folder of MLX's headers, which MLX hands to g++."""
    found = importlib.util.find_spec("mlx")
    assert found and found.submodule_search_locations
    return Path(found.submodule_search_locations[0], "include")


@contextlib.contextmanager
def faster() -> Iterator[None]:
    """Let MLX in this process find such a g++ for a while; no process that times may start meanwhile."""
    before = os.environ["PATH"]
    ready()
    try:
        yield
    finally:
        os.environ["PATH"] = before


def ready() -> None:
    """Put such a g++ in front of PATH, for this process and its children; made once for MLX and compiler.

    Nothing changes where there is no g++, as on a Mac, or where it cannot precompile the header.
    """
    found = shutil.which("g++")
    if platform.system() != "Linux" or not found or not (headers() / PREAMBLE).exists():
        return
    compiler = Path(found)
    if compiler.is_relative_to(BUILD):  # it is there: the process that started this one has it
        return
    try:
        told = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
        key = hashlib.sha256("\0".join([str(compiler), told, version("mlx"), str(headers())]).encode())
        made = BUILD / key.hexdigest()[:16]
        if not made.exists():
            make(compiler, made)
    except (OSError, subprocess.CalledProcessError):  # MLX then calls the compiler as a user has it
        return
    os.environ["PATH"] = os.pathsep.join([str(made), os.environ["PATH"]])


def make(compiler: Path, made: Path) -> None:
    """Write the folder with the precompiled header and the wrapper; another process may do so, too."""
    BUILD.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=BUILD))
    target = scratch / PREAMBLE
    target.parent.mkdir(parents=True)
    shutil.copyfile(headers() / PREAMBLE, target)
    precompile = [compiler, *FLAGS, "-w", f"-I{headers()}", "-x", "c++-header", target, "-o", f"{target}.gch"]
    subprocess.run(precompile, capture_output=True, check=True)
    (scratch / "g++").write_text(WRAPPER.format(compiler=compiler, folder=made))
    (scratch / "g++").chmod(0o755)
    try:
        scratch.rename(made)
    except OSError:  # it exists by now
        shutil.rmtree(scratch)
