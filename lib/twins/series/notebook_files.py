"""Notebooks as files: their parameters, the key of what they depend on, and an executed one made clean.

Papermill only warns of an unknown parameter and checks no type (nteract/papermill#818), so both are
checked here before anything runs. https://papermill.readthedocs.io
"""

import ast
import hashlib
import json
import re
import sys
from collections.abc import Iterable
from importlib.machinery import PathFinder
from pathlib import Path

import nbformat
import yaml
from nbformat import NotebookNode

from twins.records import bounds
from twins.records.store import ROOT
from twins.series import source_digest
from twins.timing.progress import PROGRESS

PARAMETERS, INJECTED = "parameters", "injected-parameters"


def read(path: Path) -> NotebookNode:
    """A notebook from its file."""
    return nbformat.read(path, as_version=4)


def declared(path: Path) -> dict[str, object]:
    """Name -> default of every assignment in the cell tagged `parameters`; ValueError without one."""
    cells = [c for c in read(path).cells if PARAMETERS in c.metadata.get("tags", [])]
    if not cells:
        raise ValueError(f"{path.name} has no cell tagged {PARAMETERS!r}")
    assignments = [node for node in ast.parse(cells[0].source).body if isinstance(node, ast.Assign)]
    return {node.targets[0].id: ast.literal_eval(node.value) for node in assignments}


def _kind(value: object) -> str:
    inner = {type(each).__name__ for each in value} if isinstance(value, list) else set()
    return f"list of {'/'.join(sorted(inner))}" if inner else type(value).__name__


def _same_type(value: object, default: object) -> bool:
    """Whether a value has the default's type; a whole number may stand for a float, None for anything."""
    if isinstance(default, list):
        return isinstance(value, list) and all(_same_type(v, default[0]) for v in value if default)
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is type(default)


def check(path: Path, given: dict[str, object]) -> None:
    """Refuse an unknown or wrongly typed parameter. Errors: ValueError."""
    known = declared(path)
    for name, value in given.items():
        if name not in known:
            raise ValueError(f"{path.stem}: no parameter is called {name!r}; it takes {', '.join(known)}")
        if not _same_type(value, known[name]):
            wanted, found = _kind(known[name]), _kind(value)
            raise ValueError(f"{path.stem}: {name} is {value!r}, {found}; it takes {wanted}")


def check_modules(folder: Path) -> None:
    """Refuse a Python file beside the notebooks that has a library's name, which pages would import instead.

    Errors: ValueError naming it.
    """
    places = [place for place in sys.path if place and Path(place).resolve() != folder.resolve()]
    for file in sorted(folder.glob("*.py")):
        if file.stem in sys.stdlib_module_names or PathFinder.find_spec(file.stem, places):
            raise ValueError(
                f"{folder.name}/{file.name} has the name of a module that pages import; give it another name"
            )


def profile(folder: Path, name: str, notebooks: Iterable[Path]) -> dict[str, dict]:
    """The parameters a profile gives each notebook. Errors: ValueError for an unknown profile or section."""
    path = folder / f"{name}.yaml"
    if not re.fullmatch(bounds.FOLDER, name) or not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.yaml")))
        raise ValueError(f"no profile is called {name!r}; there are {known}")
    sections = yaml.safe_load(path.read_text()) or {}
    stems = [notebook.stem for notebook in notebooks]
    for section, values in sections.items():
        if section not in stems:
            raise ValueError(
                f"profile {name}: section {section!r} is no notebook; there are {', '.join(stems)}"
            )
        if not isinstance(values, dict):
            raise ValueError(f"profile {name}: section {section!r} must hold parameters, found {values!r}")
    return sections


def made(profile: str) -> Path:
    """The folder of what a profile makes. Errors: ValueError for a name that could lead out of build/."""
    if not re.fullmatch(bounds.FOLDER, profile):
        raise ValueError(f"no profile is called {profile!r:.80}; a name is of a-z, 0-9, - and _")
    return ROOT / "build" / profile


def key(path: Path, parameters: dict[str, object], more: Iterable[str]) -> str:
    """What an executed notebook depends on, as one digest: cells, parameters, the code it uses, and more."""
    notebook = read(path)
    code = "\n".join(c.source for c in notebook.cells if c.cell_type == "code")
    cells = [[c.cell_type, c.source, c.metadata.get("tags", [])] for c in notebook.cells]
    parts = [cells, parameters, source_digest.digest(code), *more]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def reads_records(path: Path) -> bool:
    """Whether a notebook's metadata says that it reads what others measured."""
    return bool(read(path).metadata.get("twins", {}).get("reads_records"))


def tidy(notebook: NotebookNode, root: Path) -> NotebookNode:
    """Drop what changes from run to run without meaning anything: times, ids, paths, progress."""
    notebook.metadata.pop("papermill", None)
    notebook.metadata.get("language_info", {}).pop("version", None)
    for number, cell in enumerate(notebook.cells):
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if INJECTED in cell.metadata.get("tags", []):
            cell["id"] = INJECTED
        if cell.cell_type == "code":
            cell["outputs"] = [_tidy_output(o, root) for o in cell.outputs if not _progress(o)]
            cell["execution_count"] = number
            for output in cell["outputs"]:
                if "execution_count" in output:
                    output["execution_count"] = number
    return notebook


def _progress(output: NotebookNode) -> bool:
    """Whether an output is nothing but progress lines."""
    if output.output_type != "stream":
        return False
    output["text"] = "".join(x for x in output.text.splitlines(keepends=True) if not x.startswith(PROGRESS))
    return not output.text.strip()


def _tidy_output(output: NotebookNode, root: Path) -> NotebookNode:
    """The output with this machine's folders taken out of every text in it; images are left alone."""
    image = output.get("data", {}).pop("image/png", None)
    texts = json.dumps(output)
    if "ipykernel_" in texts:
        texts = re.sub(r"[^\s\"']*ipykernel_\d+/\d+\.py", "<cell>", texts)
    for folder, name in ((root, "."), (Path.home(), "~")):
        texts = texts.replace(f"{folder}/", f"{name}/").replace(str(folder), name)
    output = nbformat.from_dict(json.loads(texts))
    if image is not None:
        output["data"]["image/png"] = image
    return output
