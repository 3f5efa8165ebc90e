"""Which modules of lib/ a module imports, read from the source without running it.

The report re-runs a notebook when code it uses changed, and a test holds the import directions.
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parents[2]
DATA = FOLDER.parent / "data"
PACKAGES = ("coreml_runtime", "mlx_coreml", "mlx_startup", "twins")


def modules() -> dict[str, Path]:
    """Every module of the packages by its full name."""
    found = {}
    for path in sorted(path for package in PACKAGES for path in (FOLDER / package).rglob("*.py")):
        parts = path.relative_to(FOLDER).with_suffix("").parts
        if "build" not in parts and path.name != "setup.py":
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(code: str) -> Iterator[str]:
    """Full names this code imports, absolute imports only; `from a import b` gives a and a.b."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def _mentioned(code: str) -> frozenset[str]:
    """What code imports or names in a string, as "twins.timing.variants:step_variants"; read once a text."""
    strings = {
        node.value.partition(":")[0]
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return frozenset(strings.union(imported(code)))


def named(code: str, known: dict[str, Path]) -> set[str]:
    """Modules of the packages that code imports or names in a string."""
    return {name for name in _mentioned(code) if name in known}


def reached(code: str) -> set[str]:
    """Every module of the packages that this code uses, directly or through others."""
    known = modules()
    todo, seen = list(named(code, known)), set()
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            parents = [".".join(name.split(".")[:i]) for i in range(1, name.count(".") + 1)]
            todo += [*parents, *named(known[name].read_text(), known)]
    return seen


def digest(code: str) -> str:
    """A digest of all in lib/ that this code uses, and of the tables of data/ that it names.

    Models named by string count as used.
    """
    known = modules()
    names = reached(code)
    if "twins.training.train" in names:
        names |= {name for name in known if name.startswith("twins.models.")}
    parts = [name.encode() + hashlib.sha256(known[name].read_bytes()).digest() for name in sorted(names)]
    mentioned = _mentioned(code).union(*(_mentioned(known[name].read_text()) for name in names))
    tables = sorted([*DATA.glob("*.yaml"), *DATA.glob("published/*.csv")])
    parts += [path.name.encode() + path.read_bytes() for path in tables if path.name in mentioned]
    return hashlib.sha256(b"".join(parts)).hexdigest()
