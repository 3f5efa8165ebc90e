"""Run code in a fresh Python, where what is imported first and what the environment says is chosen."""

import os
import subprocess
import sys

CONTROLLED = ("TWINS_", "OMP_", "MKL_", "OPENBLAS_", "VECLIB_", "MLX_", "LD_PRELOAD", "PYTHONPATH")


def python(code: str, **environment: str) -> subprocess.CompletedProcess:
    """The finished process of `python -c code`; of the variables that matter here it sees only these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(CONTROLLED)}
    return subprocess.run(
        [sys.executable, "-c", code], env=kept | environment, capture_output=True, text=True, check=False
    )


def last_line(done: subprocess.CompletedProcess) -> str:
    """The last line a failed process wrote to standard error."""
    assert done.returncode != 0, done.stdout
    return done.stderr.strip().splitlines()[-1]
