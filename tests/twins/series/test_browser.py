"""The finished pages in a browser, at a desk and on a phone, in light and dark.

They must be complete, offline and accessible. The site is built from the pages of made_site.py;
TWINS_SITE=FOLDER has a real one looked at as well.
"""

import os
import shutil
from pathlib import Path

import browsing
import made_site
import pytest
from browsing import WIDTHS, look
from playwright.sync_api import sync_playwright

from twins.series import show, site


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The site of three executed notebooks and of the records of three machines."""
    return made_site.build(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def browser():
    found = next(
        filter(None, map(shutil.which, browsing.NAMES)), browsing.MAC if browsing.MAC.exists() else None
    )
    if not found:
        pytest.skip("no Chromium: `apt-get install chromium`, or on a Mac install Google Chrome")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=browsing.FLAGS)
        yield running
        running.close()


@pytest.fixture
def page(browser):
    with browser.new_context(viewport={"width": WIDTHS["phone"], "height": 800}) as context:
        yield context.new_page()


SITES = ["made", *filter(None, [os.environ.get("TWINS_SITE")])]


@pytest.mark.parametrize("folder", SITES)
def test_no_page_has_a_fault(browser, made, folder):
    folder = made if folder == "made" else Path(folder)
    assert (folder / "index.html").is_file()
    assert look(browser, folder) == []


def test_no_page_of_the_report_has_a_fault(browser, smoke):
    assert look(browser, smoke / "site") == []


def test_every_fault_is_seen(browser, tmp_path):
    (tmp_path / "bad.html").write_text(
        """<!doctype html><html lang="en"><title>bad</title><main><h1>bad</h1>
        <img src="missing.png" alt="x"><img src="https://example.invalid/x.png" alt="x">
        <a href="nowhere.html">a</a><a href="#nowhere">b</a>
        <p style="width: 2000px; color: #ddd">pale and wide</p>
        <script>console.error("said"); throw Error("thrown")</script></main>"""
    )
    seen = "\n".join(look(browser, tmp_path))
    for fault in (
        "asks for https://example.invalid/x.png",
        "missing.png",
        "nowhere.html",
        "bad.html#nowhere",
        "phone, dark: scrolls sideways",
        "desktop, light: color-contrast",
        "said",
        "thrown",
    ):
        assert fault in seen


def test_table_sorts_from_the_keyboard(page, made):
    page.set_viewport_size({"width": WIDTHS["desktop"], "height": 800})  # a card has no headings to press
    page.goto((made / "02_transformer_lm.html").as_uri())
    table = page.locator("#result table.dataframe").first

    def press(name):
        heading = table.get_by_role("columnheader", name=name, exact=True)
        heading.get_by_role("button").press("Enter", timeout=2000)
        return heading.get_attribute("aria-sort"), *table.locator("tbody tr :first-child").all_inner_texts()

    assert press("time") == ("ascending", "b", "c", "a")
    assert press("time") == ("descending", "a", "c", "b")
    assert press("task") == ("ascending", "a", "b", "c")
    assert press("ms") == ("ascending", "b", "a", "c")
    assert press("ms") == ("descending", "a", "b", "c")  # what is missing stays last
    assert table.locator("[aria-sort]").count() == 1


def test_tabs_switch_together_and_the_choice_holds_on_the_next_page(page, made):
    for name in ("02_transformer_lm", "01_machine"):
        page.goto((made / f"{name}.html").as_uri())
        if name == "02_transformer_lm":
            assert page.get_by_text("as MLX writes it").is_visible()
            page.locator("label.sd-tab-label", has_text="PyTorch").click()
        assert page.get_by_text("as PyTorch writes it").is_visible()
        assert not page.get_by_text("as MLX writes it").is_visible()


def test_figure_takes_the_colours_of_the_theme(page, made):
    strokes = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.goto((made / "02_transformer_lm.html").as_uri())
        line = page.locator("[id$=line-mlx] path").first
        strokes.append(line.evaluate("path => getComputedStyle(path).stroke"))
    assert strokes == ["rgb(0, 114, 178)", "rgb(86, 180, 233)"]


def test_wide_things_scroll_in_their_own_box_and_take_the_keyboard(page, made):
    page.goto((made / "02_transformer_lm.html").as_uri())
    for box in (".math-wrapper", "pre:has-text('argument_19')"):
        first = page.locator(box).first
        assert first.evaluate("box => [box.scrollWidth > box.clientWidth, box.tabIndex]") == [True, 0], box
    page.set_viewport_size({"width": 1280, "height": 800})
    browsing.until(page, "document.querySelector('pre').tabIndex < 0")


def test_a_row_of_a_wide_table_is_a_card(page, made):
    def label(cell):
        return cell.evaluate("cell => getComputedStyle(cell, '::before').content")

    for width, cards in (("desktop", False), ("phone", True)):
        page.set_viewport_size({"width": WIDTHS[width], "height": 800})
        page.goto((made / "02_transformer_lm.html").as_uri())
        narrow = page.locator("table", has_text="phase").locator("td").last  # of Markdown
        assert label(narrow) == ('"what"' if cards else "none")
        few, many = page.locator("#result table.dataframe").all()
        assert label(few.locator("td").first) == ('"time"' if cards else "none")
        assert label(many.locator("td").first) == '"time"'


def test_a_long_table_shows_its_first_rows_unless_it_is_folded(page, made):
    page.goto((made / "01_machine.html").as_uri())
    rows = page.locator("section#ceilings > .cell table tbody tr")
    assert sum(row.is_visible() for row in rows.all()) == 8
    page.get_by_role("button", name="Show all 20 rows").press("Enter")
    assert all(row.is_visible() for row in rows.all())
    assert page.locator("details .rest").count() == 0


def test_a_fold_opens_for_its_address_and_for_what_is_in_it(page, made):
    address = (made / "01_machine.html").as_uri()
    page.goto(address)
    inside = page.get_by_text("Inside of the fold.")
    assert not inside.is_visible()
    figure = page.locator("details .chart").get_attribute("id")
    for anchor in ("every-product", figure, "a-smaller-heading"):
        page.goto("about:blank")
        page.goto(f"{address}#{anchor}")
        inside.wait_for(timeout=2000)
    page.goto(address)
    page.evaluate("location.hash = 'every-product'")
    inside.wait_for(timeout=2000)
    summary = page.locator("details.fold > summary")
    assert summary.inner_text().startswith("Every product")
    assert page.locator("details.fold").get_attribute("id") == "every-product"


def test_the_page_shows_what_ran_and_no_other_code(page, made):
    page.goto((made / "02_transformer_lm.html").as_uri())
    text = page.locator("article").inner_text()
    assert "steps = 200" not in text and "show.table(times)" not in text and "hidden_import" not in text
    assert "argument_19" in text  # the cell says that its code is the point
    source = page.get_by_text("steps = 20  # updates")
    assert not source.is_visible()
    page.get_by_text("Parameters of this run").first.click()
    assert source.is_visible()
    assert page.locator(".cell:empty, .cell_output:empty, .output:empty").count() == 0


def test_figure_can_be_taken_along(page, made):
    page.goto((made / "02_transformer_lm.html").as_uri())
    chart = page.locator("#result .chart").first
    for kind in ("SVG", "PNG"):
        link = chart.get_by_role("link", name=kind)
        assert (made / link.get_attribute("href")).stat().st_size > 0
        assert link.get_attribute("download") is not None


@pytest.mark.parametrize(("width", "kind"), [("desktop", "wide"), ("phone", "narrow")])
def test_figure_is_drawn_for_the_width(page, made, width, kind):
    page.set_viewport_size({"width": WIDTHS[width], "height": 800})
    page.goto((made / "02_transformer_lm.html").as_uri())
    first = page.locator("#result .chart").first.locator("svg")
    shown = {drawing.get_attribute("class"): drawing.is_visible() for drawing in first.all()}
    assert shown == {"wide": kind == "wide", "narrow": kind == "narrow"}


def test_search_works_without_a_server(page, made):
    page.goto((made / "search.html").as_uri() + "?q=ceilings")
    page.get_by_role("link", name="Ceilings").first.wait_for()


HEIGHTS = dict.fromkeys(("02_transformer_lm", "03_bert", "04_vision", "14_scaling"), 3000)
SHIP = ("07_coreml_from_pytorch", "08_coreml_from_mlx", "09_coreml_ship", "13_core_ai")
HEIGHTS |= dict.fromkeys(SHIP, 2500)
ANSWER = ".short, table.answers tbody tr"  # the first one is the first answer of a page
BOTTOM = "part => part.getBoundingClientRect().bottom + scrollY"
COMMITTED = Path(site.ROOT, "report")
OPENED = [path.stem for path in site.finished(COMMITTED) if show.ANSWER in path.read_text(encoding="utf-8")]


@pytest.fixture(scope="module")
def committed(tmp_path_factory):
    """The site of the pages of report/ that open with their answer, without the documents."""
    if not OPENED:
        pytest.skip("no page of report/ opens with its answer: `make publish` has not run since")
    folder = tmp_path_factory.mktemp("committed")
    (folder / "report").mkdir()
    for name in OPENED:
        shutil.copy(COMMITTED / f"{name}.ipynb", folder / "report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site, "DOCS", folder / "none")
        return site.build(folder / "report", folder / "site", "quick").parent


def opened(page, folder, name, device="desktop", machine=""):
    """A page of a site with its folds closed."""
    page.set_viewport_size({"width": WIDTHS[device], "height": 844})
    page.goto((folder / f"{name}.html").as_uri() + (f"?machine={machine}" if machine else ""))
    page.evaluate(browsing.FRAMES)
    return page


def first_answer(page) -> float:
    """Where the first answer that is shown begins, in pixels from the top."""
    answer = next(each for each in page.locator(ANSWER).all() if each.is_visible())
    return answer.evaluate("part => part.getBoundingClientRect().top + scrollY")


@pytest.mark.parametrize("name", ["index", "00_summary", "02_transformer_lm"])
def test_the_answer_comes_first(page, made, name):
    for machine in MACHINES:
        assert first_answer(opened(page, made, name, machine=machine)) < 700


@pytest.mark.parametrize("name", OPENED)
def test_a_page_of_the_report_is_short_and_answers_first(page, committed, name):
    opened(page, committed, name)
    assert first_answer(page) < 700
    assert page.evaluate("document.documentElement.scrollHeight") <= HEIGHTS.get(name, float("inf"))


def test_a_page_of_the_tests_opens_with_its_answer(made):
    assert "short" in (made / "02_transformer_lm.html").read_text(encoding="utf-8")


def test_the_first_page_answers_within_two_screens_of_a_phone(page, made):
    opened(page, made, "index", "phone")
    rows = page.locator("table.answers tbody tr")
    assert rows.count() == 5 and rows.last.evaluate(BOTTOM) <= 2 * 844


MACHINES = (made_site.MAC, made_site.INTEL, made_site.AMD)  # the first is shown unless another is chosen


def shown(page) -> list[str]:
    """Every figure that a page shows: texts and drawings that are of a machine."""
    found = page.locator("article [data-m]:not(.head *):not(.machine *)").evaluate_all(
        """all => all.filter(part => part.checkVisibility())
        .map(part => part.innerText + (part.querySelector("svg")?.id ?? ""))"""
    )
    assert all(text.strip() for text in found)
    return found


@pytest.mark.parametrize("name", ["index", "00_summary"])
def test_a_machine_is_chosen_for_every_figure(page, made, name):
    seen = {}
    opened(page, made, name)
    page.evaluate(browsing.OPEN)
    for machine in MACHINES:
        page.locator(".machine select").select_option(machine)
        seen[machine] = shown(page)
        assert page.url.endswith(f"?machine={machine}")
        keys = page.locator("article [data-m]").evaluate_all(
            "all => all.filter(part => part.checkVisibility()).map(part => part.dataset.m)"
        )
        assert set(keys) == {machine}  # nothing shown is another machine's
    assert len({len(each) for each in seen.values()}) == 1 and len(seen[made_site.MAC]) >= 5
    assert len(set(map(str, seen.values()))) == len(MACHINES)


def test_a_verdict_is_of_the_machine_and_has_an_address(page, made):
    told = {}
    for machine in MACHINES[:2]:
        opened(page, made, "00_summary", machine=machine)
        page.evaluate("location.hash = 'training-transformer'")
        claim = page.locator("[id=training-transformer], [data-id=training-transformer]").filter(visible=True)
        told[machine] = claim.inner_text()
        browsing.until(page, "scrollY > 300")
    assert len(set(told.values())) == 2


def test_the_choice_of_a_machine_is_kept_and_an_address_wins(page, made):
    select = page.locator(".machine select")
    opened(page, made, "index")
    assert select.input_value() == made_site.MAC
    select.select_option(made_site.INTEL)
    opened(page, made, "02_transformer_lm")
    assert select.input_value() == made_site.INTEL
    opened(page, made, "02_transformer_lm", machine=made_site.MAC)
    assert select.input_value() == made_site.MAC
    opened(page, made, "index", machine="nobody")
    assert select.input_value() == made_site.MAC


def test_a_page_says_whose_figures_it_shows(page, made):
    opened(page, made, "02_transformer_lm", machine=made_site.AMD)
    note = page.locator(".machine .note:visible").inner_text()
    assert "no record of this page: make report-02" in note and "Intel" in note
    opened(page, made, "02_transformer_lm", machine=made_site.INTEL)
    assert page.locator(".machine .note:visible").count() == 0
    intel = page.locator(".short:visible").inner_text()
    opened(page, made, "02_transformer_lm", machine=made_site.MAC)
    assert "Intel" in page.locator(".machine .note:visible").inner_text()
    assert page.locator(".short:visible").inner_text() != intel


def test_without_a_script_the_first_machine_is_shown(browser, made):
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto((made / "index.html").as_uri())
        assert page.locator(".machine select").input_value() == made_site.MAC
        keys = {m.get_attribute("data-m") for m in page.locator("article [data-m]").all() if m.is_visible()}
        assert keys == {made_site.MAC}


def test_records_and_the_notebook_can_be_taken_along(page, made):
    opened(page, made, "02_transformer_lm")
    for name in ("Notebook", "Records (JSON lines)", "Records (CSV)"):
        link = page.locator(".take-along").get_by_role("link", name=name)
        assert (made / link.get_attribute("href")).stat().st_size > 0


SENT = ("07_coreml_from_pytorch", "index", "00_summary")  # pages with texts that strangers wrote
RAN = "() => [window.ran, document.querySelectorAll('article :is(script, img, iframe), [onerror]').length]"


def test_what_others_sent_runs_nothing_and_asks_for_nothing(browser, made):
    faults: list[str] = []
    with browser.new_context() as context:
        page = browsing.listening(context, faults)
        page.on("request", lambda asked: faults.append(asked.url) if "example.invalid" in asked.url else None)
        for name in SENT:
            for machine in MACHINES:
                opened(page, made, name, machine=machine)
                page.evaluate(browsing.OPEN)
                assert page.evaluate(RAN) == [None, 0], name
            if name == SENT[0]:
                told = page.locator("article").inner_text()
        links = page.locator("article a").evaluate_all("all => all.map(link => link.href)")
    assert faults == [] and not [link for link in links if not link.startswith(("file:", "https:"))]
    assert told.count("<script>window.ran = 1</script>") >= 20  # it is there, as text
    assert "<img src=x>.jsonl, line 1: Expected" in told and "root:" not in told


def test_the_policy_alone_runs_no_script_of_a_page(browser, made, tmp_path):
    """The second line: markup that no one escaped."""
    shutil.copytree(made, tmp_path / "site")
    path, faults = tmp_path / "site" / "index.html", []
    text = path.read_text(encoding="utf-8")
    handler = "<b onclick='window.ran = 1'>b</b>"
    path.write_text(text.replace("<article", f"{made_site.SCRIPT}{handler}<article", 1))
    with browser.new_context() as context:
        page = browsing.listening(context, faults)
        page.goto(path.as_uri())
        page.locator("b[onclick]").click()
        # the theme's own script runs
        assert page.evaluate("[window.ran, document.body.dataset.theme]") == [None, "auto"]
        assert page.locator(".machine select").is_enabled()  # as does the site's file
    assert len([fault for fault in faults if "Content Security Policy" in fault]) >= 3
    assert not [fault for fault in faults if fault.startswith("asks for")]
