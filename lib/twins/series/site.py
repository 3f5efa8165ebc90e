"""Builds the site from executed notebooks: `python -m twins.series.site [NOTEBOOKS OUT] [--profile NAME]`.

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
from pathlib import Path

from twins.machine import ending
from twins.records import writing
from twins.records.markup import plain
from twins.series.pages import downloads

ROOT = Path(__file__).parents[3]
CONFIGURATION = ROOT / "lib" / "site"
DOCS = ROOT / "docs"
CITATION = ROOT / "CITATION.cff"
SUMMARY = ROOT / "notebooks" / "00_summary.ipynb"
# Pages are made from these besides: docstrings, tables of the code, tests, records, rules, figures.
DOCUMENTED = ("lib/coreml_runtime", "lib/mlx_coreml", "lib/twins", "tests/coreml_runtime", "data")
DIGEST = ".digest"
LONGEST = 2000  # characters of what Sphinx says; a failing import says many thousands
CARD = "twins.png"  # the mark on social cards, which take no SVG


def build(notebooks: Path, out: Path, profile: str) -> Path:
    """The site of the executed notebooks in a folder: its index.html; nothing is done where nothing changed.

    FileNotFoundError without a notebook, ValueError where one has no title and question or `out` holds
    anything but a site, RuntimeError where Sphinx warns or fails; an error leaves the site as it was. Another
    build in the same folder is waited for.
    """
    if not finished(notebooks):
        raise FileNotFoundError(f"no executed notebook to build the site from in {notebooks}")
    with writing.alone(out.parent, "the building of the site"):
        return _built(notebooks, out, profile)


def _built(notebooks: Path, out: Path, profile: str) -> Path:
    pages, results = finished(notebooks), records_of(notebooks)
    scratch = out.parent.resolve() / f".{out.name}{writing.PART}"
    shutil.rmtree(scratch, ignore_errors=True)  # of a build that was killed
    made, current = out / DIGEST, digest(pages, profile, results)
    if made.is_file() and made.read_text() == current:
        return out / "index.html"
    if out.exists() and any(out.iterdir()) and not made.is_file():
        raise ValueError(f"{out} holds files that are no site; name a new or empty folder")
    source, html = scratch / "source", scratch / "html"
    scratch.mkdir(parents=True)
    try:
        write_sources(pages, results, source)
        run_sphinx(source, html, scratch / "doctrees")
        downloads.write(html, pages, results)
        (html / DIGEST).write_text(current)
        if out.exists():
            writing.exchange(html, out)
        else:
            html.rename(out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return out / "index.html"


def write_sources(pages: list[Path], results: Path, source: Path) -> None:
    """Everything that Sphinx reads: documents, notebooks, the first page, and what is known of each."""
    from twins.records import store
    from twins.series.pages import front_page, machines, page_facts, summary_page

    titles = {page.stem: heading(page)[0] for page in pages}
    source.mkdir()
    if DOCS.is_dir():
        shutil.copytree(DOCS, source, ignore=shutil.ignore_patterns("*.py*"), dirs_exist_ok=True)
    for page in [*pages, CONFIGURATION / "_static" / CARD]:
        (source / page.name).write_bytes(page.read_bytes())
    found = store.read(results)
    known = machines.known(found)
    facts = {
        page.stem: page_facts.facts(page.stem, page.read_text("utf-8"), known, results, opening)
        for page in pages
    }
    if summary_page.NAME in facts:
        executed = next(page for page in pages if page.stem == summary_page.NAME).read_text("utf-8")
        summary_page.complete(facts[summary_page.NAME], executed, SUMMARY, known, found)
    facts["index"] = page_facts.facts("", "", known, results, opening)
    documents = [str(path.relative_to(source).with_suffix("")) for path in sorted(source.rglob("*.md"))]
    first = front_page.notebook(titles, documents, known, found)
    (source / "index.ipynb").write_text(json.dumps(first), encoding="utf-8")
    site = {"repository": repository(), "pages": facts}
    (source / "site.json").write_text(json.dumps(site), encoding="utf-8")


def opening(told) -> list[dict]:
    """The parts of a page's opening (of an `Answer`) as a notebook's outputs: in short, chart and table."""
    from twins.evidence.answers.answer import table
    from twins.figures import answer_figures
    from twins.series import show
    from twins.series.pages.page_facts import bundle

    parts = [show.in_short(told)]
    if told.cases:
        parts += [answer_figures.steps(told.cases, told.finding), show.table(table(told.cases), told.finding)]
    return [bundle(part) for part in parts]


def records_of(notebooks: Path) -> Path:
    """The records that belong to executed notebooks: those beside their folder, or the committed ones."""
    beside = notebooks.resolve().parent / "results"
    return beside if beside.is_dir() else ROOT / "data" / "results"


def repository() -> str:
    """The address of the project's repository: CITATION.cff's, or that in TWINS_REPOSITORY, or empty."""
    found = re.search(r"^repository-code:\s*[\"']?([^\s\"']+)", CITATION.read_text("utf-8"), re.MULTILINE)
    return (found[1] if found else os.environ.get("TWINS_REPOSITORY", "")).rstrip("/")


def finished(notebooks: Path) -> list[Path]:
    """The executed notebooks in a folder, those that ran to their end."""
    return sorted(path for path in notebooks.glob("*.ipynb") if not path.name.endswith(".partial.ipynb"))


def digest(pages: list[Path], profile: str, results: Path) -> str:
    """One hash over all that a site is made from: notebooks, records, documentation, code, addresses."""
    folders = [CONFIGURATION, DOCS, results, *(ROOT / name for name in DOCUMENTED)]
    found = [p for each in folders for p in sorted(each.rglob("*")) if p.is_file()]
    files = [p for p in found if p.suffix != ".pyc" and p.name != writing.LOCK]
    parts = [profile.encode(), os.environ.get("TWINS_SITE_URL", "").encode(), repository().encode()]
    for path in [*pages, *files]:
        parts += [path.name.encode(), hashlib.sha256(path.read_bytes()).digest()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


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
    words = ending.command("sphinx", *options, source, html)
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        told = done.stderr.replace(f"{source}/", "").splitlines()
        first = next((i for i, line in enumerate(told) if "WARNING" in line or "rror" in line), 0)
        said = " ".join(" ".join(told[first:]).split())[:LONGEST]
        raise RuntimeError(f"the site was not built and is as it was before; Sphinx said: {said}")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m twins.series.site", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("notebooks", type=Path, nargs="?", help="folder of executed notebooks")
    parser.add_argument("out", type=Path, nargs="?", help="folder of the site; replaced as a whole")
    parser.add_argument("--profile", default="", help="the profile that was run; without folders, its own")
    parser.add_argument("--otherwise", type=Path, help="folder of executed notebooks if the first has none")
    given = parser.parse_args()
    ending.stop_when_asked()
    try:
        notebooks, out = given.notebooks, given.out
        if out is None:
            from twins.series import notebook_files

            folder = notebook_files.made(given.profile)
            notebooks, out = (notebooks or folder / "notebooks"), folder / "site"
        if given.otherwise and not finished(notebooks):
            notebooks = given.otherwise
        print(build(notebooks, out, given.profile))
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(plain(f"error: {error}"))
    except KeyboardInterrupt:
        ending.say("stopped; the site is as it was before")
        sys.exit(130)


if __name__ == "__main__":
    main()
