"""Finds phrases that readers stumble over in all that they see: `python tests/plain_words.py` lists them.

The phrases are in plain_words.txt, each with plain words for it. Files that still have to be changed are
in plain_words_left.txt; `python tests/plain_words.py > tests/plain_words_left.txt` updates it.
"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PHRASES = Path(__file__).with_name("plain_words.txt")
LEFT = Path(__file__).with_name("plain_words_left.txt")
GROUPS = {
    "papers": ["*.md", "data/**/README.md", "lib/README.md", "lib/*/README.md", "tests/mac/README.md"],
    "documentation": ["docs/**/*.md", "docs/*.py"],
    "notebooks": ["notebooks/*.ipynb", "notebooks/*.py"],
    "claims": ["data/*.yaml"],
    "twins": ["lib/twins/**/*.py"],
}


def phrases() -> dict[str, re.Pattern]:
    """Each phrase as it is written in the list, and the expression that finds it over line breaks."""
    lines = PHRASES.read_text(encoding="utf-8").splitlines()
    written = [re.split(r" {2,}", line)[0] for line in lines if line and not line.startswith("#")]
    return {each: re.compile(each.replace(" ", r"\s+"), re.IGNORECASE) for each in written}


def texts(path: Path) -> Iterator[str]:
    """What readers see of a file: cells of a notebook, strings of a module but no docstrings, YAML."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        yield from ("".join(cell["source"]) for cell in json.loads(source)["cells"])
    elif path.suffix == ".py":
        yield from strings(ast.parse(source))
    elif path.suffix == ".yaml":
        yield re.sub(r"^ *#.*$", "", source, flags=re.MULTILINE)
    else:
        yield source


def strings(tree: ast.Module) -> Iterator[str]:
    """The strings of a module that are no statement of their own, as docstrings are."""
    alone = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in alone:
            yield node.value


def found(group: str) -> list[str]:
    """One line for each file of a group and each phrase in it: "path: phrase"."""
    known, lines = phrases(), []
    for path in sorted({path for pattern in GROUPS[group] for path in ROOT.glob(pattern)}):
        shown = "\n".join(texts(path))
        lines += [f"{path.relative_to(ROOT)}: {each}" for each, e in known.items() if e.search(shown)]
    return lines


if __name__ == "__main__":
    for name in GROUPS:
        print(*found(name), sep="\n", end="\n" if found(name) else "")
