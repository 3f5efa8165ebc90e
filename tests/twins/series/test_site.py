"""Building the site: what it takes, what it refuses, when it does nothing."""

import json
import re
import subprocess
import sys
import tomllib

import pytest
import yaml

from twins.series import site

PICTURE = {"output_type": "display_data", "data": {"image/png": "eA=="}, "metadata": {}}


def write(folder, name, *markdown, output=None):
    folder.mkdir(exist_ok=True)
    cells = [
        {"cell_type": "markdown", "id": f"c{i}", "metadata": {}, "source": text.splitlines(keepends=True)}
        for i, text in enumerate(markdown)
    ]
    if output:
        code = {"cell_type": "code", "id": "code", "metadata": {}, "source": "plot()", "execution_count": 1}
        cells.append(code | {"outputs": [output]})
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path = folder / name
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


def test_heading_is_title_and_question(tmp_path):
    page = write(tmp_path, "01_x.ipynb", "# The `machine`\n\nWhat can\nit do?\n\nMore.")
    assert site.heading(page) == ("The `machine`", "What can it do?")
    page = write(tmp_path, "02_x.ipynb", "# Title\nWhat?")
    assert site.heading(page) == ("Title", "What?")


@pytest.mark.parametrize("opening", ["", "No title", "# Title", "# Title\n\n## Section\n\nText"])
def test_a_notebook_without_title_and_question_is_refused(tmp_path, opening):
    page = write(tmp_path, "01_x.ipynb", opening)
    with pytest.raises(ValueError, match=r"01_x\.ipynb: the first Markdown cell opens with '# Title' and"):
        site.heading(page)


def test_no_notebook_is_one_sentence(tmp_path):
    write(tmp_path, "01_x.partial.ipynb", "# A\n\nB?")
    command = [sys.executable, "-m", "twins.series.site", str(tmp_path), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == f"error: no executed notebook to build the site from in {tmp_path}\n"
    assert not (tmp_path / "out").exists()


def test_a_folder_of_other_files_is_left_alone(tmp_path):
    write(tmp_path / "nb", "01_x.ipynb", "# A\n\nB?")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds files that are no site"):
        site.build(tmp_path / "nb", tmp_path / "out", "quick")
    assert (tmp_path / "out" / "letter.txt").read_text() == "mine"


def test_build_twice_then_fail(tmp_path, monkeypatch):
    """The second call does nothing and needs no Sphinx; a failing one leaves the site of the first."""
    monkeypatch.setattr(site, "DOCS", tmp_path / "no docs")  # they take longer than all the rest
    notebooks, out = tmp_path / "nb", tmp_path / "made" / "site"
    write(notebooks, "01_machine.ipynb", "# The machine\n\nWhat can it do?")
    opening, links = "# A model\n\nWho is faster?", "See [it](01_machine.ipynb) and [x](03_x.ipynb)."
    write(notebooks, "02_transformer_lm.ipynb", opening, links)
    write(notebooks, "03_x.partial.ipynb", "# Broken\n\nWhy?")
    write(notebooks, "05_never_run.ipynb", "# A page\n\nWho has run it?")
    index = site.build(notebooks, out, "quick")
    html = index.read_text()
    assert html.index(">A model<") < html.index(">The machine<")  # in the groups of the navigation
    assert "make report-05" in html and "Broken" not in html
    assert sorted(path.stem for path in out.glob("*.html")) == [
        "01_machine",
        "02_transformer_lm",
        "05_never_run",
        "index",
        "search",
    ]
    assert "x (not in this report)" in (out / "02_transformer_lm.html").read_text()

    code = (
        "import sys; from pathlib import Path; from twins.series import site\n"
        f"site.DOCS = Path({str(site.DOCS)!r})\n"
        f"print(site.build(Path({str(notebooks)!r}), Path({str(out)!r}), 'quick'))\n"
        "print({'sphinx', 'nbformat'} & set(sys.modules))"
    )
    before = index.stat().st_mtime_ns
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == [str(index), "set()"]
    assert index.stat().st_mtime_ns == before

    write(notebooks, "02_transformer_lm.ipynb", opening, r"See [it](#nowhere), $\foo{x}$.", output=PICTURE)
    with pytest.raises(RuntimeError, match="the site was not built and is as it was before") as raised:
        site.build(notebooks, out, "quick")
    for said in (
        r"02_transformer_lm\.ipynb:\d+: WARNING: .*'nowhere'",
        r"02_transformer_lm\.ipynb:\d+: WARNING: the formula .* uses \\foo, which",
        r"02_transformer_lm\.ipynb: WARNING: cell 3 \('plot\(\)'\): a picture needs",
    ):
        assert re.search(said, str(raised.value)), said
    assert index.read_text() == html and "not in this report" in (out / "02_transformer_lm.html").read_text()
    assert [path.name for path in out.parent.iterdir() if path.name != ".lock"] == ["site"]


def test_digest_sees_every_source(tmp_path, monkeypatch):
    monkeypatch.delenv("TWINS_REPOSITORY", raising=False)
    for name in ("CONFIGURATION", "DOCS"):
        monkeypatch.setattr(site, name, tmp_path / name)
        (tmp_path / name).mkdir()
    page, results = write(tmp_path, "01_x.ipynb", "# A\n\nB?"), tmp_path / "results"
    results.mkdir()
    seen = {site.digest([page], "quick", results), site.digest([page], "full", results)}
    for file in ("CONFIGURATION/conf.py", "DOCS/guide.md", "results/x.jsonl"):
        (tmp_path / file).write_text("a = 1")
        seen.add(site.digest([page], "quick", results))
    for name in ("TWINS_SITE_URL", "TWINS_REPOSITORY"):
        monkeypatch.setenv(name, "https://example.org/")
        seen.add(site.digest([page], "quick", results))
    write(tmp_path, "01_x.ipynb", "# A\n\nC?")
    seen.add(site.digest([page], "quick", results))
    assert len(seen) == 8


def test_the_repository_is_named_in_one_place(tmp_path, monkeypatch):
    """CITATION.cff's address, or without one the variable; without either no page has a link to it."""
    monkeypatch.setattr(site, "CITATION", tmp_path / "CITATION.cff")
    site.CITATION.write_text("cff-version: 1.2.0\n")
    monkeypatch.delenv("TWINS_REPOSITORY", raising=False)
    assert site.repository() == ""
    monkeypatch.setenv("TWINS_REPOSITORY", "https://example.org/a/")
    assert site.repository() == "https://example.org/a"
    site.CITATION.write_text('cff-version: 1.2.0\nrepository-code: "https://example.org/b"\n')
    assert site.repository() == "https://example.org/b"


def test_the_citation_is_of_this_version():
    """What a citation needs: https://github.com/citation-file-format/citation-file-format"""
    told = yaml.safe_load(site.CITATION.read_text())
    assert {"cff-version", "message", "title", "authors"} <= told.keys()
    described = tomllib.loads((site.ROOT / "lib" / "twins" / "pyproject.toml").read_text())["project"]
    assert (told["version"], told["license"]) == (described["version"], described["license"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", str(told["date-released"]))


def test_records_lie_beside_the_notebooks_or_are_the_committed_ones(tmp_path):
    assert site.records_of(tmp_path / "notebooks") == site.ROOT / "data" / "results"
    (tmp_path / "results").mkdir()
    assert site.records_of(tmp_path / "notebooks") == tmp_path / "results"


def test_another_folder_is_taken_where_nothing_was_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(site, "build", lambda notebooks, out, profile: notebooks)
    page = write(tmp_path / "report", "01_x.ipynb", "# A\n\nB?")
    monkeypatch.setattr(sys, "argv", ["site", str(tmp_path / "run"), "out", "--otherwise", str(page.parent)])
    site.main()
    write(tmp_path / "run", "01_x.ipynb", "# A\n\nB?")
    site.main()
    assert capsys.readouterr().out.split() == [str(tmp_path / "report"), str(tmp_path / "run")]
