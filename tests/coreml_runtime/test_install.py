"""coreml_runtime as people install it: what it declares, what importing it loads, its README's example."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from coremltools.converters.mil.mil import Builder as mb
from packages import OPSETS, save

import coreml_runtime

FOLDER = Path(coreml_runtime.__file__).parent
DECLARED = tomllib.loads((FOLDER / "pyproject.toml").read_text())
HEAVY = ("torch", "pandas", "coremltools", "mlx", "PIL")


def loaded_by(code: str) -> set[str]:
    """The heavy packages in a fresh process after `code`."""
    check = f"{code}\nimport sys; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    return set(re.findall(r"'(\w+)'", done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    @mb.program(input_specs=[mb.TensorSpec(shape=(2, 4))], opset_version=OPSETS[16])
    def program(x):
        return mb.relu(x=x, name="y")

    return save(program, 16, tmp_path_factory.mktemp("install") / "relu.mlpackage")


def test_importing_it_loads_nothing_heavy():
    assert loaded_by("import coreml_runtime, coreml_runtime.__main__") == set()


def test_inspecting_loads_nothing_heavy(package):
    assert loaded_by(f"from coreml_runtime import inspect; print(inspect({str(package)!r}))") == set()
    assert (
        loaded_by(f"from coreml_runtime.__main__ import main; main(['inspect', {str(package)!r}])") == set()
    )


def test_predicting_loads_torch_and_no_more(package):
    code = f"import numpy; from coreml_runtime import load; load({str(package)!r})"
    assert loaded_by(f"{code}.predict({{'x': numpy.ones((2, 4))}})") == {"torch"}


def test_every_folder_is_declared_as_a_package():
    folders = {file.parent.relative_to(FOLDER) for file in FOLDER.rglob("*.py")}
    found = {".".join(("coreml_runtime", *folder.parts)) for folder in folders if "build" not in folder.parts}
    assert found == set(DECLARED["tool"]["setuptools"]["packages"])
    assert (FOLDER / "py.typed").exists()


def test_the_version_is_one():
    assert coreml_runtime.__version__ == DECLARED["project"]["version"]
    changelog = (FOLDER / "CHANGELOG.md").read_text()
    assert re.search(r"^## (\S+)", changelog, re.M)[1] == coreml_runtime.__version__


def test_the_declared_versions_are_the_ones_tested_here():
    pinned = [each.split("==") for each in DECLARED["project"]["dependencies"] if "==" in each]
    assert pinned and {name: version(name).partition("+")[0] for name, _ in pinned} == dict(pinned)


def test_every_public_name_is_there_and_documented():
    assert sorted(coreml_runtime.__all__) == coreml_runtime.__all__
    for name in coreml_runtime.__all__:
        assert getattr(coreml_runtime, name).__doc__, name


def test_the_readme_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    made: dict = {}
    exec(re.search(r"```python\n(.*?)```", (FOLDER / "README.md").read_text(), re.S)[1], made)
    assert made["report"].passed
    np.testing.assert_allclose(made["outputs"]["y"], made["network"](made["x"]).detach().numpy(), atol=5e-3)
    assert "passes: worst rms-relative error" in capsys.readouterr().out
