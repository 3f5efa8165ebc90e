"""The four packages of lib/ say the same about themselves in every place: folders, versions, dependencies."""

import importlib
import re
import tomllib
from pathlib import Path

import pytest

LIB = Path(__file__).resolve().parents[1] / "lib"
PACKAGES = sorted(path.parent for path in LIB.glob("*/pyproject.toml"))
NAMES = [folder.name for folder in PACKAGES]


def described(folder: Path) -> dict:
    return tomllib.loads((folder / "pyproject.toml").read_text())


def test_there_are_four():
    assert NAMES == ["coreml_runtime", "mlx_coreml", "mlx_startup", "twins"]


@pytest.mark.parametrize("folder", PACKAGES, ids=NAMES)
def test_every_folder_with_modules_is_packaged(folder):
    told = described(folder)["tool"]["setuptools"]
    inits = [path.parent for path in folder.rglob("__init__.py") if "build" not in path.parts]
    assert told["packages"] == sorted(".".join(path.relative_to(LIB).parts) for path in inits)
    assert told["package-dir"] == {folder.name: "."}


@pytest.mark.parametrize("folder", PACKAGES, ids=NAMES)
def test_types_and_the_readme_are_shipped(folder):
    told = described(folder)
    assert (folder / "py.typed").exists()
    assert "py.typed" in told["tool"]["setuptools"]["package-data"][folder.name]
    title = (folder / told["project"]["readme"]).read_text().partition("\n")[0]
    assert title.lstrip("# ") in (folder.name, told["project"]["name"])


@pytest.mark.parametrize("name", [name for name in NAMES if name != "twins"])
def test_versions_agree(name):
    assert importlib.import_module(name).__version__ == described(LIB / name)["project"]["version"]


@pytest.mark.parametrize("folder", PACKAGES, ids=NAMES)
def test_the_name_is_the_folders_and_the_python_is_one(folder):
    project = described(folder)["project"]
    assert project["name"] == folder.name.replace("_", "-")
    assert project["requires-python"] == described(LIB / "twins")["project"]["requires-python"]


@pytest.mark.parametrize("folder", PACKAGES, ids=NAMES)
def test_every_dependency_has_a_reason(folder):
    """A comment in its line, or one above it that has several lines in common."""
    text = (folder / "pyproject.toml").read_text()
    reason = "" if "dependencies" in described(folder)["project"] else "none needed"
    without = []
    for line in re.findall(r"^dependencies = \[\n(.*?)^\]", text, re.S | re.M):
        for each in line.splitlines():
            reason = each if each.strip().startswith("#") else reason
            if '"' in each and "#" not in each and not reason:
                without.append(each)
    assert without == []


@pytest.mark.parametrize("folder", PACKAGES, ids=NAMES)
def test_a_command_is_a_function_that_exists(folder):
    for name, place in described(folder)["project"].get("scripts", {}).items():
        module, _, function = place.partition(":")
        assert name == folder.name.replace("_", "-")
        assert callable(getattr(importlib.import_module(module), function))


def test_the_same_dependency_has_the_same_version_everywhere():
    found: dict[str, set[str]] = {}
    for folder in PACKAGES:
        for each in described(folder)["project"].get("dependencies", []):
            name, version = re.fullmatch(r"([A-Za-z0-9_.\[\]-]+?)((?:[<>=!~].*)?)", each).groups()
            found.setdefault(name, set()).add(version)
    assert {
        name: versions for name, versions in found.items() if len(versions) > 1 and "mlx" not in name
    } == {}
