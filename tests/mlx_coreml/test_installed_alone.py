"""What the package needs: imports load nothing large, and converting works where torch is not installed."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from coreml_runtime import load
from mlx_coreml.__main__ import main

README = Path(__file__).resolve().parents[2] / "lib" / "mlx_coreml" / "README.md"
WITHOUT = """
import sys
sys.modules |= dict.fromkeys([*{missing}, 'transformers'])  # it complains that there is no torch
from mlx_coreml import ConversionError, convert
import mlx.core as mx
"""
REFUSED = """
try:
    convert(lambda x: unknown_name, mx.zeros((2, 3)))
except ConversionError as error:
    print(error)
"""


def fresh(code: str, folder: Path) -> subprocess.CompletedProcess:
    """The finished process of other Python code, in a folder."""
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.mark.parametrize("module", ["mlx_coreml", "mlx_coreml.__main__", "mlx_coreml.ir.errors"])
def test_an_import_loads_neither_coremltools_nor_torch(module, tmp_path):
    large = ("coremltools", "torch", "pandas", "mlx.core", "numpy")
    done = fresh(f"import sys, {module}; print([n for n in {large} if n in sys.modules])", tmp_path)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_converting_works_without_torch_and_the_runtime(tmp_path):
    code = WITHOUT.format(missing=["torch", "coreml_runtime"])
    done = fresh(code + "convert(mx.tanh, mx.zeros((2, 3)), check=False).save('tanh.mlpackage')", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    (output,) = load(tmp_path / "tanh.mlpackage").predict({"input_0": np.ones((2, 3))}).values()
    np.testing.assert_allclose(output, np.tanh(np.ones((2, 3))), rtol=2e-3)


@pytest.mark.parametrize("missing", [["torch"], ["coreml_runtime"], ["coreml_runtime", "torch"]])
def test_a_check_that_cannot_run_is_refused_before_the_function_is_captured(missing, tmp_path):
    done = fresh(WITHOUT.format(missing=missing) + REFUSED, tmp_path)
    assert done.stdout.startswith(f"the check needs {' and '.join(missing)}, not found here: `pip install")
    assert done.stdout.count("\n") == 1 and done.stderr == ""


def test_the_readmes_five_minutes(tmp_path, monkeypatch, capsys):
    five_minutes = README.read_text().split("## Five minutes")[1].split("\n## ")[0]
    network, script = re.findall(r"```python\n(.*?)```", five_minutes, re.S)
    (commands,) = re.findall(r"```sh\n(.*?)```", five_minutes, re.S)
    done = fresh(network + script, tmp_path)
    assert done.returncode == 0 and "passes: worst rms-relative error" in done.stdout, done.stderr
    assert list(load(tmp_path / "Classifier.mlpackage").outputs) == ["probabilities"]
    (tmp_path / "network.py").write_text(network)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "network", raising=False)
    for command in commands.splitlines():
        assert command.startswith("mlx-coreml ")
        assert main(command.split()[1:]) == 0, capsys.readouterr().err
    assert list(load("Classifier.mlpackage").outputs) == ["output"]
    assert (tmp_path / "build/ios/Classifier/Package.swift").exists()
