"""The documentation: what its pages say runs, what they name exists, and the site holds them whole."""

import doctest
import json
import os
import re
import subprocess
import sys
from html import unescape

import nbformat
import pytest
import yaml
from nbformat.v4 import new_markdown_cell, new_notebook

import coreml_runtime
import mlx_coreml
from twins.frameworks import DEVICE_NAMES
from twins.records import store
from twins.records.leaks import leaks
from twins.records.store import ROOT
from twins.series import site

PAGES = sorted(site.DOCS.rglob("*.md"))
PAPERS = [
    ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "lib/README.md")
]
# A Python block, and after it what it prints, if anything.
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
LOOSELY = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
PATH = re.compile(r"`((?:lib|tests|notebooks|data|docs|report)/[\w./*-]*)`")
ADDRESS = "https://example.org/twins/"
WITH_CODE = [page for page in [*PAGES, ROOT / "README.md"] if BLOCK.search(page.read_text())]
# Runs the pages' code, each as the module __main__ in a folder of its own, and writes down what it prints.
RUN = """
import contextlib, io, json, os, pathlib, sys, traceback, types
folder, told = pathlib.Path(sys.argv[1]), []
for place in range(int(sys.argv[2])):
    os.chdir(folder / str(place))
    page = sys.modules["__main__"] = types.ModuleType("__main__")
    code, text, error = compile(pathlib.Path("page.py").read_text(), "<string>", "exec"), io.StringIO(), ""
    with contextlib.redirect_stdout(text):
        try:
            exec(code, page.__dict__)
        except BaseException:
            error = traceback.format_exc()
    told.append({"text": text.getvalue(), "error": error})
(folder / "told.json").write_text(json.dumps(told))
"""


def name(page):
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """What the blocks of each page print, page by page, and the error that stopped the page, if any.

    One process for all, because loading the libraries takes seconds; each page has a module and a folder of
    its own in it, and its blocks run in turn as a reader would type them.
    """
    folder = tmp_path_factory.mktemp("pages")
    for place, page in enumerate(WITH_CODE):
        (folder / str(place)).mkdir()
        code = "\nprint(chr(0), end='')\n".join(block for block, _ in BLOCK.findall(page.read_text()))
        (folder / str(place) / "page.py").write_text(code)
    given = os.environ | {"PYTHONPATH": str(ROOT / "lib")}
    command = [sys.executable, "-c", RUN, folder, str(len(WITH_CODE))]
    done = subprocess.run(command, env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(zip(WITH_CODE, json.loads((folder / "told.json").read_text()), strict=True))


@pytest.mark.parametrize("page", WITH_CODE, ids=name)
def test_the_code_of_a_page_prints_what_the_page_says(page, printed):
    """The README does not show what its code prints: that only has to run."""
    assert not printed[page]["error"], printed[page]["error"][-3000:]
    blocks = BLOCK.findall(page.read_text())
    for (code, wanted), text in zip(blocks, printed[page]["text"].split("\0"), strict=True):
        shown = page in PAGES or wanted
        if shown and not doctest.OutputChecker().check_output(wanted, text, LOOSELY):
            pytest.fail(f"{code}\nprinted\n{text}\nand the page says\n{wanted}")


@pytest.mark.parametrize("page", [*PAGES, *PAPERS], ids=name)
def test_every_path_that_a_page_names_exists(page):
    text = page.read_text()
    for path in PATH.findall(text.replace("NN_name", "*")):
        assert list(ROOT.glob(path.rstrip("/"))), path
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", [*PAGES, *PAPERS, *sorted((ROOT / "notebooks").glob("*.ipynb"))], ids=name)
def test_every_part_of_a_page_that_a_link_names_is_there(page):
    for target, part in re.findall(r"\]\(([^)#: ]*\.md)?#([\w-]+)\)", page.read_text()):
        headings = re.findall(r"^#+ (.*)$", (page.parent / target if target else page).read_text(), re.M)
        assert part in {re.sub(r"[^a-z0-9]+", "-", each.lower()).strip("-") for each in headings}, target


def test_the_readme_says_whether_a_mac_was_measured():
    records = store.read(ROOT / "data" / "results").records
    measured = any(record.device == DEVICE_NAMES["mps"] for record in records)
    assert ("No Mac has been measured yet" in (ROOT / "README.md").read_text()) is not measured


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The site of one notebook with the documentation, as it is served at an address."""
    folder = tmp_path_factory.mktemp("notebooks")
    cells = [new_markdown_cell("# Core ML from MLX\n\nDoes it convert?")]
    nbformat.write(new_notebook(cells=cells), folder / "08_coreml_from_mlx.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TWINS_SITE_URL", ADDRESS)
        return site.build(folder, folder.parent / "site", "quick").parent


def test_the_navigation_is_in_groups_of_what_a_reader_wants(made):
    text = (made / "index.html").read_text()
    groups = ("Start", "Ship to Core ML", "Your turn", "Evidence")  # one notebook trains nothing
    places = [text.index(f'"caption-text">{group}') for group in groups]
    assert places == sorted(places) and "Train and run" not in text and '"caption-text">More' not in text
    for library in ("mlx_coreml", "coreml_runtime"):
        assert places[1] < text.index(f'href="{library}/index.html"') < places[2]
    assert {page.relative_to(site.DOCS).with_suffix(".html") for page in PAGES} <= {
        page.relative_to(made) for page in made.rglob("*.html")
    }


@pytest.mark.parametrize("library", [coreml_runtime, mlx_coreml], ids=lambda library: library.__name__)
def test_every_public_name_is_in_the_reference_with_its_docstring(made, library):
    text = (made / library.__name__ / "api.html").read_text()
    for public in library.__all__:
        assert f'id="{library.__name__}.{public}"' in text
        told = getattr(library, public).__doc__.split()[:3]
        assert " ".join(told).strip(".:").replace("`", "") in re.sub(r"<[^>]+>", "", unescape(text)), public


def test_generated_parts_say_what_code_and_records_hold(made):
    from mlx_coreml.backends.mil.lowering.refused import REASONS

    covered = (made / "coreml_runtime" / "coverage.html").read_text()
    assert re.search(r">softmax</t[dh]>.*operations/activation.py", covered) and "coremltools 9.0" in covered
    refused = unescape((made / "mlx_coreml" / "errors.html").read_text())
    assert all(f"{why}</td>" in refused for why in REASONS.values())
    converted = (made / "mlx_coreml" / "coverage.html").read_text()
    assert re.search(r"From the records of the run of \d{4}-\d\d-\d\d on", converted)
    assert re.search(r">flexible position</t[dh]>.*The beginning of a table", converted, re.DOTALL)
    for library in ("coreml_runtime", "mlx_coreml"):
        assert "usage: " + library.replace("_", "-") in (made / library / "command_line.html").read_text()


def test_links_lead_to_the_notebooks_that_are_there(made):
    text = (made / "coreml_runtime" / "checked.html").read_text()
    assert 'href="../08_coreml_from_mlx.html"' in text
    assert "Core ML from PyTorch (not in this report)" in text


def test_every_page_has_a_social_card_of_its_own(made):
    seen = []
    for page in [path for path in made.rglob("*.html") if path.name != "search.html"]:
        text = page.read_text()
        tags = dict(re.findall(r'<meta (?:property|name)="((?:og|twitter):[\w:]+)" content="([^"]*)"', text))
        assert tags["og:url"] == ADDRESS + str(page.relative_to(made))
        assert tags["og:description"] and tags["og:image:alt"] == tags["og:description"]
        card = made / tags["og:image"].removeprefix(ADDRESS)
        assert card.read_bytes().startswith(b"\x89PNG") and tags["twitter:card"] == "summary_large_image"
        assert not leaks(text), page
        seen.append((tags["og:title"], tags["og:description"], card.name))
    assert all(len(set(column)) == len(seen) for column in zip(*seen, strict=True))


def test_the_papers_agree_with_the_packages():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert citation["authors"] == [{"name": "The Twins developers"}] and citation["license"] == "MIT"
    assert {coreml_runtime.__version__, mlx_coreml.__version__} == {citation["version"]}
    newest = re.search(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", changes, re.MULTILINE)
    assert newest.groups() == (citation["version"], str(citation["date-released"]))


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


def test_the_coverage_page_names_the_shares_that_the_long_tests_demand():
    from test_zoo import LEAST

    text = " ".join((ROOT / "docs" / "mlx_coreml" / "coverage.md").read_text().split())
    assert LEAST["layer"] == LEAST["loss"] == LEAST["architecture"] and LEAST["model"] == 100
    assert f"{LEAST['layer']} of 100 layers, losses and architectures" in text
    assert f"{LEAST['operation']} of 100 operations and every whole model" in text
    assert f"at least {LEAST['usage']} of 100 are right" in text
