"""The finished pages in a browser, at a desk and on a phone, in light and dark.

They must be complete, offline and accessible, by the rules of axe-core: https://github.com/dequelabs/axe-core
The site is built from the two notebooks below; TWINS_SITE=FOLDER has a real one looked at as well.
"""

import base64
import io
import os
import re
import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

import axe_playwright_python
import matplotlib as mpl
import nbformat
import pandas as pd
import pytest
from matplotlib.figure import Figure
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from playwright.sync_api import sync_playwright

from twins.series import show, site

NAMES = ("chromium", "chromium-browser", "google-chrome")
MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
WIDTHS = {"desktop": 1280, "phone": 390}
FRAMES = "() => new Promise(seen => requestAnimationFrame(() => requestAnimationFrame(seen)))"
LOOK = """async () => ({
  wide: document.documentElement.scrollWidth > document.documentElement.clientWidth,
  pictures: [...document.images].filter(image => !image.naturalWidth).map(image => image.src),
  violations: (await axe.run({resultTypes: ["violations"], preload: false})).violations
    .filter(({impact}) => ["serious", "critical"].includes(impact))
    .map(({id, nodes}) => `${id}: ${nodes[0].html.slice(0, 120)}`),
})"""
COLLECT = """() => ({
  ids: [...document.querySelectorAll("[id]")].map(element => element.id),
  links: [...document.querySelectorAll("a[href]")].map(link => link.href),
})"""


def mlx_step(model, batch):
    """One update, as MLX writes it."""
    return model.update_with_a_rather_long_name(
        batch, learning_rate=3e-4, weight_decay=0.1, clip=1.0, eps=1e-8
    )


def torch_step(model, batch):
    """One update, as PyTorch writes it."""
    return model.step(batch)


def picture(width):
    with mpl.rc_context({"svg.fonttype": "none", "text.color": "#1b1f24", "xtick.color": "#5f6b7a"}):
        figure = Figure(figsize=(width, 3), facecolor="none")
        axes = figure.subplots()
        axes.grid(color="#d5dae1")
        axes.plot([1, 2, 3], [1, 4, 2], "o-", color="#0072b2", markeredgecolor="#ffffff", gid="line-mlx")
        axes.plot([1, 2, 3], [2, 3, 3], "s--", color="#c24e00", markeredgecolor="#ffffff")
        axes.set_title("MLX is faster at 1 of 3 sizes")
        svg, png = io.StringIO(), io.BytesIO()
        figure.savefig(svg, format="svg")
        figure.savefig(png, format="png", dpi=20)
    image = base64.b64encode(png.getvalue()).decode()
    data = {"image/svg+xml": svg.getvalue(), "image/png": image, "text/plain": "a figure"}
    data |= {show.NARROW: svg.getvalue()} if width < 8 else {}
    alt = {"image/svg+xml": {"alt": "Lines over size: MLX is faster at 1 of 3 sizes."}}
    return new_output("display_data", data=data, metadata=alt)


def shown(item):
    return new_output("display_data", data=item._repr_mimebundle_())


def code(source, *outputs, tags=()):
    return new_code_cell(source, outputs=list(outputs), metadata={"tags": list(tags)} if tags else {})


def machine():
    long = pd.DataFrame({"size": range(20), "ms": [i / 3 for i in range(20)]})
    return [
        new_markdown_cell("# The machine\n\nWhat can it do at best?\n\n## Ceilings\n\nA `product` costs $5."),
        code(
            "probe()",
            new_output("execute_result", data={"text/plain": "Machine(cores=8)"}, execution_count=1),
        ),
        code("show.Pair(...)", shown(show.Pair(MLX=mlx_step, PyTorch=torch_step)), tags=["hide-input"]),
        code("show.table(long)", shown(show.table(long))),
        new_markdown_cell("### Every product\n\nInside of the fold."),
        code("show.table(long)", shown(show.table(long, "All")), picture(7.2)),
        new_markdown_cell("#### A smaller heading\n\nStill inside.\n\n## Next\n\nOutside."),
    ]


def language_model():
    many = {f"a long heading {i}": [i + 0.25, i / 3, None] for i in range(12)}
    times = pd.DataFrame(
        {"task": ["b", "a", "c"], "time": ["980 µs", "1.5 s", "12 ms"], "ms": [0.25, 1, None]}
    )
    term = r"-\frac{1}{BT} \sum_{b=1}^{B} \sum_{t=1}^{T} \log p_\theta(x_{b,t} \mid x_{b,<t})"
    opening = "# A language model\n\nWho is faster, at equal loss?\n\nSee [it](01_machine.ipynb#ceilings)."
    phases = f"| phase | what |\n| --- | --- |\n| first | {'discarded ' * 12}|"
    return [
        new_markdown_cell(opening),
        code("import hidden_import", tags=["remove-cell"]),
        code("steps = 200  # updates", tags=["parameters"]),
        code("# Parameters\nsteps = 20", tags=["injected-parameters"]),
        new_markdown_cell(f"## Setting\n\nWith $x_{{<t}}$ the text:\n\n$$\n{term * 4}\n$$\n\nas ever."),
        code("show.Pair(...)", shown(show.Pair(MLX=mlx_step, PyTorch=torch_step)), tags=["hide-input"]),
        new_markdown_cell(f"## Result\n\n{phases}"),
        code("plots.ratio(records)", new_output("stream", text="device cpu\n"), picture(7.2)),
        code("show.note(...)", shown(show.note("It takes **0.82**, see [it](01_machine.ipynb)."))),
        code("show.table(times)", shown(show.table(times, "Median of 20 runs")), tags=["remove-input"]),
        code("show.table(wide)", shown(show.table(times.assign(**many), "Everything"))),
        code(
            f"result = call({', '.join(f'argument_{i}={i}' for i in range(20))})",
            picture(12),
            tags=["show-code"],
        ),
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The site of two executed notebooks."""
    folder = tmp_path_factory.mktemp("notebooks")
    python = {
        "kernelspec": {"name": "python3", "display_name": "Python 3"},
        "language_info": {"name": "python"},
    }
    for name, cells in (("01_machine", machine()), ("02_language_model", language_model())):
        nbformat.write(new_notebook(cells=cells, metadata=python), folder / f"{name}.ipynb")
    return site.build(folder, folder.parent / "site", "quick").parent


@pytest.fixture(scope="module")
def browser():
    found = next(filter(None, map(shutil.which, NAMES)), MAC if MAC.exists() else None)
    if not found:
        pytest.skip("no Chromium: `apt-get install chromium`, or on a Mac install Google Chrome")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def page(browser):
    with browser.new_context(viewport={"width": WIDTHS["phone"], "height": 800}) as context:
        yield context.new_page()


def look(browser, folder: Path) -> list[str]:
    """Every fault of every page of a site."""
    faults, pages = [], {}
    for scheme in ("light", "dark"):
        with browser.new_context(color_scheme=scheme) as context:
            page = listening(context, faults)
            for path in sorted(folder.rglob("*.html")):
                page.goto(path.as_uri())
                page.evaluate(AXE)
                for device, width in WIDTHS.items():
                    page.set_viewport_size({"width": width, "height": 900})
                    page.evaluate(FRAMES)  # what watches for a new width runs after the first of them
                    seen = page.evaluate(LOOK)
                    where = f"{path.relative_to(folder)}, {device}, {scheme}:"
                    faults += [f"{where} scrolls sideways"] * seen["wide"]
                    faults += [f"{where} {fault}" for fault in seen["pictures"] + seen["violations"]]
                pages[path.as_uri()] = page.evaluate(COLLECT)
    return faults + broken_links(pages)


def listening(context, faults: list[str]):
    """A page that adds what goes wrong while it loads to `faults`; no request leaves the machine."""

    def refuse(route):
        faults.append(f"asks for {route.request.url}")
        route.abort()

    page = context.new_page()
    page.route(re.compile("^(?!file:|data:)"), refuse)
    page.on("requestfailed", lambda request: faults.append(f"lacks {request.url}"))
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    return page


def broken_links(pages: dict) -> list[str]:
    """Links within the site that lead to no page or to no place on it."""
    faults = []
    for source, page in pages.items():
        for link in page["links"]:
            target, _, anchor = link.partition("#")
            target = target.partition("?")[0]
            kept = target in pages or Path(unquote(urlsplit(target).path)).is_file()
            anchors = ["", *pages[target]["ids"]] if target in pages else [""]
            if link.startswith("file:") and not (kept and unquote(anchor) in anchors):
                faults.append(f"{Path(source).name}: broken link to {link}")
    return faults


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
    page.goto((made / "02_language_model.html").as_uri())
    table = page.locator("table.dataframe").first

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
    for name in ("02_language_model", "01_machine"):
        page.goto((made / f"{name}.html").as_uri())
        if name == "02_language_model":
            assert page.get_by_text("as MLX writes it").is_visible()
            page.get_by_text("PyTorch", exact=True).click()
        assert page.get_by_text("as PyTorch writes it").is_visible()
        assert not page.get_by_text("as MLX writes it").is_visible()


def test_figure_takes_the_colours_of_the_theme(page, made):
    strokes = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.goto((made / "02_language_model.html").as_uri())
        line = page.locator("[id$=line-mlx] path").first
        strokes.append(line.evaluate("path => getComputedStyle(path).stroke"))
    assert strokes == ["rgb(0, 114, 178)", "rgb(86, 180, 233)"]


def test_wide_things_scroll_in_their_own_box_and_take_the_keyboard(page, made):
    page.goto((made / "02_language_model.html").as_uri())
    for box in (".math-wrapper", "pre:has-text('argument_19')"):
        first = page.locator(box).first
        assert first.evaluate("box => [box.scrollWidth > box.clientWidth, box.tabIndex]") == [True, 0], box
    page.set_viewport_size({"width": 1280, "height": 800})
    page.wait_for_function("document.querySelector('pre').tabIndex < 0")


def test_a_row_of_a_wide_table_is_a_card(page, made):
    def label(cell):
        return cell.evaluate("cell => getComputedStyle(cell, '::before').content")

    for width, cards in (("desktop", False), ("phone", True)):
        page.set_viewport_size({"width": WIDTHS[width], "height": 800})
        page.goto((made / "02_language_model.html").as_uri())
        narrow = page.locator("table", has_text="phase").locator("td").last  # of Markdown
        assert label(narrow) == ('"what"' if cards else "none")
        few, many = page.locator("table.dataframe").all()
        assert label(few.locator("td").first) == ('"time"' if cards else "none")
        assert label(many.locator("td").first) == '"time"'


def test_a_long_table_shows_its_first_rows_unless_it_is_folded(page, made):
    page.goto((made / "01_machine.html").as_uri())
    rows = page.locator("section#ceilings > .cell table tbody tr")
    assert sum(row.is_visible() for row in rows.all()) == 10
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
    page.goto((made / "02_language_model.html").as_uri())
    text = page.locator("article").inner_text()
    assert "steps = 200" not in text and "show.table(times)" not in text and "hidden_import" not in text
    assert "argument_19" in text  # the cell says that its code is the point
    source = page.get_by_text("steps = 20  # updates")
    assert not source.is_visible()
    page.get_by_text("Parameters of this run").first.click()
    assert source.is_visible()
    assert page.locator(".cell:empty, .cell_output:empty, .output:empty").count() == 0


def test_figure_can_be_taken_along(page, made):
    page.goto((made / "02_language_model.html").as_uri())
    chart = page.locator(".chart").first
    for kind in ("SVG", "PNG"):
        link = chart.get_by_role("link", name=kind)
        assert (made / link.get_attribute("href")).stat().st_size > 0
        assert link.get_attribute("download") is not None


@pytest.mark.parametrize(("width", "kind"), [("desktop", "wide"), ("phone", "narrow")])
def test_figure_is_drawn_for_the_width(page, made, width, kind):
    page.set_viewport_size({"width": WIDTHS[width], "height": 800})
    page.goto((made / "02_language_model.html").as_uri())
    first = page.locator(".chart").first.locator("svg")
    shown = {drawing.get_attribute("class"): drawing.is_visible() for drawing in first.all()}
    assert shown == {"wide": kind == "wide", "narrow": kind == "narrow"}


def test_search_works_without_a_server(page, made):
    page.goto((made / "search.html").as_uri() + "?q=ceilings")
    page.get_by_role("link", name="Ceilings").first.wait_for()
