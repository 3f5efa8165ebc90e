"""matplotlib's figures inside a page: in the theme's colours, a drawing for a desk and one for a phone.

Each can be taken along as the files that a notebook holds: the SVG and the PNG.
"""

import base64
import re
from dataclasses import dataclass

from twins.records.markup import html
from twins.series.show import NARROW

LIGHT = {
    "ink": "#1b1f24",
    "muted": "#5f6b7a",
    "rule": "#d5dae1",
    "paper": "#ffffff",
    "mlx": "#0072b2",
    "torch": "#c24e00",
    "open": "#6b5b00",
    "open-paper": "#fdf6dc",
}
DARK = {
    "ink": "#dfe3e8",
    "muted": "#9aa7b6",
    "rule": "#363d47",
    "paper": "#131416",
    "mlx": "#56b4e9",
    "torch": "#f0843c",
    "open": "#e9d48a",
    "open-paper": "#2a2617",
}
VARIABLE = {colour: f"var(--twins-{name})" for name, colour in LIGHT.items()}
POINT = 4 / 3  # CSS pixels, https://www.w3.org/TR/css-values-4/#absolute-lengths
FOLDER = "figures"  # of the files, in the site


@dataclass(frozen=True)
class Picture:
    """A figure as HTML, and the files that its links lead to: name -> content."""

    html: str
    files: dict[str, bytes]


def picture(data: dict, metadata: dict, name: str) -> Picture:
    """The figure in an output; `name` is its id and its files'.

    Errors: ValueError for a picture without an SVG or without alternative text.
    """
    alt = metadata.get("image/svg+xml", {}).get("alt", "").strip()
    if "image/svg+xml" not in data or not alt:
        raise ValueError(
            "a picture needs the form image/svg+xml and, in its metadata, an 'alt' in words, "
            f"found {', '.join(data)} and {alt!r}"
        )
    files = {f"{name}.svg": data["image/svg+xml"].encode()}
    if "image/png" in data:
        files[f"{name}.png"] = base64.b64decode(data["image/png"])
    drawings = [drawing(data["image/svg+xml"], alt, f"{name}-wide", "wide" if NARROW in data else "")]
    drawings += [drawing(data[NARROW], alt, f"{name}-narrow", "narrow")] if NARROW in data else []
    made = f'<figure class="chart" id="{name}">{"".join(drawings)}{links(name, files)}</figure>'
    return Picture(made, files)


def links(name: str, files: dict[str, bytes]) -> str:
    """The line below a figure: its files, and its address."""
    taken = (
        f'<a href="{FOLDER}/{file}" download>{file.rpartition(".")[2].upper()}</a>' for file in sorted(files)
    )
    own = f'<a class="headerlink" href="#{name}" title="Link to this figure">¶</a>'
    return f'<div class="taken">{" ".join(taken)} {own}</div>'


def drawing(svg: str, alt: str, prefix: str, kind: str) -> str:
    """One SVG with ids of its own, in the theme's colours, no wider than drawn."""
    width, height = (float(size) for size in re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups())
    inside = svg[svg.index(">", svg.index("<svg")) + 1 :]
    inside = re.sub(r"<(metadata|title)>.*?</\1>|<!--.*?-->", "", inside, flags=re.DOTALL)
    inside = re.sub(r'((?<=\sid=")|(?<=url\(#)|(?<=href="#))', f"{prefix}-", inside)
    inside = re.sub(r"(<style[^>]*>)\s*\*", rf"\1#{prefix} *", inside)  # it would style the whole page
    inside = re.sub("|".join(VARIABLE), lambda found: VARIABLE[found[0].lower()], inside, flags=re.IGNORECASE)
    return (
        f'<svg id="{prefix}" class="{kind}" role="img" aria-label="{html(alt)}" '
        f'viewBox="0 0 {width:g} {height:g}" style="max-width:{width * POINT:.0f}px">'
        f"{inside.strip()}"
    )
