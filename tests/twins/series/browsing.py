"""Looking at every page of a site in a browser, at a desk and on a phone, in light and dark.

The rules of accessibility are axe-core's: https://github.com/dequelabs/axe-core
"""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import axe_playwright_python

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
RULED = [("desktop", "light"), ("phone", "dark")]
FRAMES = "() => new Promise(seen => requestAnimationFrame(() => requestAnimationFrame(seen)))"
LOOK = """async rules => ({
  beyond: [...document.querySelectorAll("[role=main] :is(table, figure, figure svg, pre, img)")]
    .filter(part => part.getBoundingClientRect().right
      > part.closest("[role=main]").getBoundingClientRect().right + 1)
    .map(part => part.outerHTML.slice(0, 80)),
  wide: document.documentElement.scrollWidth > document.documentElement.clientWidth,
  pictures: [...document.images].filter(image => !image.naturalWidth).map(image => image.src),
  violations: !rules ? [] : (await axe.run({resultTypes: ["violations"], preload: false})).violations
    .filter(({impact}) => ["serious", "critical"].includes(impact))
    .map(({id, nodes}) => `${id}: ${nodes[0].html.slice(0, 120)}`),
})"""
OPEN = "() => document.querySelectorAll('article details').forEach(fold => { fold.open = true; })"
COLLECT = """() => ({
  ids: [...document.querySelectorAll("[id]")].map(element => element.id),
  links: [...document.querySelectorAll("a[href]")].map(link => link.href),
})"""


def look(browser, folder: Path) -> list[str]:
    """Every fault of every page of a site.

    axe takes seconds a page, so that each width and each scheme has its rules once: at a desk in light, on a
    phone in dark.
    """
    faults, pages = [], {}
    for scheme in ("light", "dark"):
        with browser.new_context(color_scheme=scheme) as context:
            page = listening(context, faults)
            for path in sorted(folder.rglob("*.html")):
                page.goto(path.as_uri())
                page.evaluate(AXE)
                page.evaluate(OPEN)
                for device, width in WIDTHS.items():
                    page.set_viewport_size({"width": width, "height": 900})
                    page.evaluate(FRAMES)  # what watches for a new width runs after the first of them
                    seen = page.evaluate(LOOK, (device, scheme) in RULED)
                    where = f"{path.relative_to(folder)}, {device}, {scheme}:"
                    faults += [f"{where} scrolls sideways"] * seen["wide"]
                    faults += [f"{where} wider than its column: {part}" for part in seen["beyond"]]
                    faults += [f"{where} {fault}" for fault in seen["pictures"] + seen["violations"]]
                pages[path.as_uri()] = page.evaluate(COLLECT)
    return faults + broken_links(pages)


def until(page, condition: str) -> None:
    """Wait until a condition of the page holds; an error after ten seconds.

    Playwright's wait_for_function evaluates a text within the page, which the pages' policy refuses.
    """
    page.evaluate(
        f"""() => new Promise((done, failed) => {{
          const end = performance.now() + 10000;
          const look = () => ({condition}) ? done()
            : performance.now() > end ? failed(Error("never: {condition}")) : setTimeout(look, 20);
          look();
        }})"""
    )


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
