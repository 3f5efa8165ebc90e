"""A conversion prints nothing of its own, in any order of imports, and one warning per cause."""

import re
import subprocess
import sys
import warnings
from pathlib import Path

import mlx.nn as nn
import numpy as np
import pytest

import mlx_coreml
from mlx_coreml import convert
from mlx_coreml.conversion.quiet import one_warning_per_cause
from twins.frameworks import mx

README = Path(mlx_coreml.__file__).parent / "README.md"


def run(code: str, folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-W", "default", "-W", "ignore::ResourceWarning", "-c", code],
        *(),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_readmes_example_prints_its_result_alone(tmp_path):
    network, call = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)[:2]
    done = run(network + call, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"Classifier passes: [^\n]*\n", done.stdout)


def test_torch_and_mlx_may_be_imported_first(tmp_path):
    done = run("import torch, mlx.core as mx\nfrom mlx_coreml import Spec, convert\nconvert", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_cause_is_warned_of_once_at_the_users_line():
    network = nn.Sequential(*[nn.QuantizedLinear(64, 64, group_size=32, bits=4) for _ in range(3)])
    with warnings.catch_warnings(record=True) as met:
        warnings.simplefilter("always")
        convert(network, mx.zeros((1, 64)), check=False)
    (only,) = [each for each in met if "quantized weights" in str(each.message)]
    assert only.filename == __file__ and str(only.message).endswith("(and 2 more such places)")


def test_warnings_of_libraries_beneath_stay_there_and_the_users_own_come_out():
    with pytest.warns(DeprecationWarning, match="old call") as met, one_warning_per_cause():
        warnings.warn("old call", DeprecationWarning, stacklevel=1)
        warnings.warn("old call", DeprecationWarning, stacklevel=1)
        warnings.warn_explicit("overflow", RuntimeWarning, np.__file__, 1)
    assert len(met) == 1 and met[0].filename == __file__
