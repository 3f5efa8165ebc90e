"""Builds the site from executed notebooks: `python -m twins.series.site NOTEBOOKS OUT [--profile NAME]`.

The pages and their look are `lib/site/`, a Sphinx configuration; the documentation pages are `docs/`. The
site needs no server and no network. TWINS_SITE_URL=ADDRESS names where it will be served, for social cards.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[3]
CONFIGURATION = ROOT / "lib" / "site"
DOCS = ROOT / "docs"
# The documentation pages are made from these besides: docstrings, tables of the code, tests, records.
DOCUMENTED = ("lib/coreml_runtime", "lib/mlx_coreml", "tests/coreml_runtime", "data/results")
DIGEST = ".digest"
LONGEST = 2000  # characters of what Sphinx says; a failing import says many thousands
CARD = "twins.png"  # the mark on social cards, which take no SVG
INDEX = """\
# MLX or PyTorch?

{introduction}

:::{{div}} series
{entries}
:::

{trees}
"""
TREE = """\
```{{toctree}}
:hidden:
:caption: {caption}

{names}
```
"""
INTRODUCTION = """\
Which of the two should train a model on Apple silicon, and which should ship it to Core ML? Every model here
is a pair of twins: one network in both frameworks, with the same weights and the same batches, timed only
after both halves are shown to compute the same thing. Each page is an executed notebook{profile}."""


def build(notebooks: Path, out: Path, profile: str) -> Path:
    """The site of the executed notebooks in a folder: its index.html; nothing is done where nothing changed.

    FileNotFoundError without a notebook, ValueError where one has no title and question or `out` holds
    anything but a site, RuntimeError where Sphinx warns or fails; an error leaves the site as it was.
    """
    pages = finished(notebooks)
    if not pages:
        raise FileNotFoundError(f"no executed notebook to build the site from in {notebooks}")
    made, current = out / DIGEST, digest(pages, profile)
    if made.is_file() and made.read_text() == current:
        return out / "index.html"
    if out.exists() and any(out.iterdir()) and not made.is_file():
        raise ValueError(f"{out} holds files that are no site; name a new or empty folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent.resolve()) as scratch:
        source, html = Path(scratch, "source"), Path(scratch, "html")
        source.mkdir()
        if DOCS.is_dir():
            shutil.copytree(DOCS, source, ignore=shutil.ignore_patterns("*.py*"), dirs_exist_ok=True)
        for page in [*pages, CONFIGURATION / "_static" / CARD]:
            (source / page.name).write_bytes(page.read_bytes())
        (source / "index.md").write_text(index(pages, profile), encoding="utf-8")
        run_sphinx(source, html, Path(scratch, "doctrees"))
        (html / DIGEST).write_text(current)
        if out.exists():
            out.rename(Path(scratch, "previous"))
        html.rename(out)
    return out / "index.html"


def finished(notebooks: Path) -> list[Path]:
    """The executed notebooks in a folder, those that ran to their end."""
    return sorted(path for path in notebooks.glob("*.ipynb") if not path.name.endswith(".partial.ipynb"))


def digest(pages: list[Path], profile: str) -> str:
    """One hash over all that a site is made from: notebooks, documentation, configuration, code, address."""
    folders = [CONFIGURATION, DOCS, *(ROOT / name for name in DOCUMENTED)]
    files = [p for each in folders for p in sorted(each.rglob("*")) if p.is_file() and p.suffix != ".pyc"]
    code = [Path(__file__), Path(__file__).with_name("show.py")]
    parts = [profile.encode(), os.environ.get("TWINS_SITE_URL", "").encode()]
    for path in [*pages, *files, *code]:
        parts += [path.name.encode(), hashlib.sha256(path.read_bytes()).digest()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def index(pages: list[Path], profile: str) -> str:
    """The first page: what the report is, every notebook with its question, the groups of the navigation."""
    ran = f", run under the profile `{profile}`" if profile else ""
    entries = (entry(page, *heading(page)) for page in pages)
    groups = {
        "Report": [page.stem for page in pages],
        "Libraries": [f"{path.parent.name}/index" for path in sorted(DOCS.glob("*/index.md"))],
        "About": [path.stem for path in sorted(DOCS.glob("*.md"))],
    }
    trees = (TREE.format(caption=k, names="\n".join(names)) for k, names in groups.items() if names)
    return INDEX.format(
        introduction=INTRODUCTION.format(profile=ran),
        entries="\n".join(entries),
        trees="\n".join(trees),
    )


def entry(page: Path, title: str, question: str) -> str:
    number = re.match(r"\d*", page.stem)[0]
    return f'- <span class="number">{number}</span> [{title}]({page.name})\n\n  {question}\n'


def heading(page: Path) -> tuple[str, str]:
    """Title and question of a notebook: the `# Title` and the paragraph that open its first Markdown cell."""
    cells = json.loads(page.read_text(encoding="utf-8"))["cells"]
    opening = next(("".join(c["source"]) for c in cells if c["cell_type"] == "markdown"), "").strip()
    found = re.match(r"#[ \t]+(?P<title>[^\n]+)\n+(?P<question>[^#\n].*?)(\n[ \t]*\n|$)", opening, re.DOTALL)
    if not found:
        raise ValueError(
            f"{page.name}: the first Markdown cell opens with '# Title' and a paragraph with the question, "
            f"found {opening[:60]!r}"
        )
    return found["title"].strip(), " ".join(found["question"].split())


def run_sphinx(source: Path, html: Path, doctrees: Path) -> None:
    """Builds in a process of its own, with any warning an error; RuntimeError says what Sphinx said."""
    options = ["-q", "-W", "--no-color", "-b", "html", "-c", CONFIGURATION, "-d", doctrees]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, source, html], capture_output=True, text=True, check=False
    )
    if done.returncode:
        told = done.stderr.replace(f"{source}/", "").splitlines()
        first = next((i for i, line in enumerate(told) if "WARNING" in line or "rror" in line), 0)
        said = " ".join(" ".join(told[first:]).split())[:LONGEST]
        raise RuntimeError(f"the site was not built and is as it was before; Sphinx said: {said}")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m twins.series.site", description=build.__doc__.partition("\n")[0]
    )
    parser.add_argument("notebooks", type=Path, help="folder of executed notebooks")
    parser.add_argument("out", type=Path, help="folder of the site; replaced as a whole")
    parser.add_argument(
        "--profile", default="", help="name of the parameter profile, named on the first page"
    )
    given = parser.parse_args()
    try:
        print(build(given.notebooks, given.out, given.profile))
    except (FileNotFoundError, ValueError, RuntimeError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
