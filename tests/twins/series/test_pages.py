"""The reader of executed notebooks and the formulas, without Sphinx around them."""

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

sys.path.insert(0, str(Path(__file__).parents[3] / "lib" / "site" / "_ext"))

import maths
import pages
import pictures

from twins.series import show

SVG = """<?xml version="1.0"?>
<svg width="360pt" height="180pt" viewBox="0 0 360 180" xmlns="http://www.w3.org/2000/svg">
 <metadata><title>no tooltip</title></metadata>
 <defs><style type="text/css">*{stroke-linejoin: round}</style><path id="m1" d="M 0 0"/></defs>
 <g clip-path="url(#p1)" style="fill: #0072B2; stroke: #ffffff"><use xlink:href="#m1"/></g>
 <clipPath id="p1"><rect width="1" height="1"/></clipPath>
</svg>"""
ALT = {"image/svg+xml": {"alt": 'MLX is "faster" & smaller'}}


def read(*cells, present=()):
    return pages.read(nbformat.writes(new_notebook(cells=list(cells))), present).notebook.cells


def shown(data, metadata=None, source="plots.ratio(records)"):
    output = new_output("display_data", data=data, metadata=metadata or {})
    return read(new_code_cell(source, outputs=[output]))[0].outputs[0].data


def test_figure_follows_the_theme_and_names_itself():
    html = shown({"image/svg+xml": SVG, "image/png": "eA=="}, ALT)["text/html"]
    assert 'role="img" aria-label="MLX is &#34;faster&#34; &amp; smaller"' in html
    assert "fill: var(--twins-mlx); stroke: var(--twins-paper)" in html
    assert "max-width:480px" in html and "min-width" not in html  # a phone has a drawing of its own
    assert "<title>" not in html and "<metadata>" not in html and "<?xml" not in html
    assert re.search(r"<style[^>]*>#page-1-0-wide \*\{", html)


def test_a_phone_has_a_drawing_of_its_own_and_a_reader_the_files():
    narrow = SVG.replace("0 0 360 180", "0 0 200 180")
    data = {"image/svg+xml": SVG, "image/png": "eA==", pictures.NARROW: narrow}
    cell = new_code_cell("", outputs=[new_output("display_data", data=data, metadata=ALT)])
    page = pages.read(nbformat.writes(new_notebook(cells=[cell])), (), "02_x")
    html = page.notebook.cells[0].outputs[0].data["text/html"]
    assert re.findall(r'<svg id="([^"]+)" class="(\w+)"', html) == [
        ("02_x-1-0-wide", "wide"),
        ("02_x-1-0-narrow", "narrow"),
    ]
    assert page.files == {"figures/02_x-1-0.png": b"x", "figures/02_x-1-0.svg": SVG.encode()}
    for path in page.files:
        assert f'<a href="{path}" download>' in html
    assert 'id="02_x-1-0"' in html and 'href="#02_x-1-0"' in html


def test_ids_of_two_equal_figures_differ_and_their_references_hold():
    figures = [pictures.drawing(SVG, "alt", prefix, "") for prefix in ("figure-1-0", "figure-2-0")]
    ids = [set(re.findall(r'\sid="([^"]+)"', html)) for html in figures]
    used = [set(re.findall(r'(?:url\(|href=")#([^")]+)', html)) for html in figures]
    assert ids[0] == {"figure-1-0", "figure-1-0-m1", "figure-1-0-p1"}
    assert ids[0].isdisjoint(ids[1])
    assert used[0] < ids[0] and used[1] < ids[1]


@pytest.mark.parametrize("data", [{"image/svg+xml": SVG}, {"image/png": "eA=="}])
def test_a_picture_without_alternative_text_names_its_cell(data):
    with pytest.raises(ValueError, match=r"cell 1 \('plots\.ratio\(records\)'\): a picture needs"):
        shown(data)


def test_a_widget_is_refused():
    with pytest.raises(ValueError, match=r"cell 1 .*: a widget needs scripts of another machine"):
        shown({pages.WIDGET: {"model_id": "1"}, "text/plain": "HBox()"})


def test_pair_becomes_tabs_that_switch_together():
    made = shown({pages.PAIR: {"MLX": "f()", "PyTorch": "g()"}, "text/markdown": "**MLX**"})
    assert list(made) == ["text/markdown"]
    assert ":sync-group: framework" in made["text/markdown"]
    assert ":::{tab-item} PyTorch\n:sync: pytorch\n\n```python\ng()\n```\n:::" in made["text/markdown"]


def test_other_outputs_stay():
    assert shown({"text/plain": "3"}) == {"text/plain": "3"}


def test_an_answer_becomes_a_box():
    told = {"sentences": ["**MLX** 2× as fast, see [it](02_x.ipynb).", "b"], "not_covered": "phones."}
    box = shown({show.ANSWER: told, "text/markdown": "In short"})["text/markdown"]
    assert box.startswith("::::{div} short") and "- **MLX** 2× as fast, see it (not in this report)." in box
    assert ":::{div} uncovered\nNot covered: phones.\n:::" in box
    assert "uncovered" not in pages.in_short(told | {"not_covered": ""})


def test_an_input_is_shown_only_where_it_is_the_point():
    said = [new_output("stream", text="x")]
    cells = [
        new_code_cell("a = 1", outputs=said),
        new_code_cell("b = 1", outputs=said, metadata={"tags": ["show-code", "hide-input"]}),
        new_code_cell("c = 1", metadata={"tags": ["parameters"]}),
        new_code_cell("d = 1", outputs=[new_output("display_data", data={"text/plain": ""})]),
        new_code_cell("e = 1", outputs=[new_output("stream", name="stderr", text="x")]),
        new_code_cell("f = 1", outputs=said, metadata={"tags": ["remove-cell"]}),
        new_code_cell("g = 1", metadata={"tags": ["show-code"]}),
    ]
    found = read(*cells)
    assert [cell.source[0] for cell in found] == ["a", "b", "c", "g"]
    tags = [["remove-input"], ["show-code"], ["parameters", "hide-input"], ["show-code"]]
    assert [cell.metadata["tags"] for cell in found] == tags
    assert found[2].metadata["mystnb"]["code_prompt_show"] == "Parameters of this run"


@pytest.mark.parametrize("fold", ["### Machine and software", "### Something else"])
def test_what_ran_where_stands_in_the_fold_for_it(fold):
    """Without that fold it stays at the top, where a notebook has it."""
    said = [new_output("stream", text="x")]
    found = read(
        new_code_cell("line = 1", outputs=said, metadata={"tags": ["machine-line"]}),
        new_code_cell("given = 1", metadata={"tags": ["parameters"]}),
        new_code_cell("figure = 1", outputs=said),
        new_markdown_cell(fold),
        new_code_cell("table = 1", outputs=said),
    )
    order = [2, 3, 0, 1, 4] if fold == pages.MACHINE_FOLD else [0, 1, 2, 3, 4]
    names = ["line", "given", "figure", fold[:4], "table"]
    assert [cell.source[: len(names[i])] for cell, i in zip(found, order, strict=True)] == [
        names[i] for i in order
    ]


def test_link_to_a_missing_notebook_says_so():
    text = "see [ours](01_machine.ipynb#ceilings), [theirs](09_coreml_ship.ipynb) and [x](https://a.b)"
    made = "see [ours](01_machine.ipynb#ceilings), theirs (not in this report) and [x](https://a.b)"
    assert read(new_markdown_cell(text), present={"01_machine"})[0].source == made
    text_of_docs = "see [ours](../../notebooks/01_machine.ipynb#ceilings)"
    assert pages.link(text_of_docs, {"01_machine"}) == "see [ours](/01_machine.ipynb#ceilings)"
    text_of_page = (
        "[gate](../docs/glossary.md#fairness-gate), [a](../docs/mlx_coreml/api.md), [b](../docs/b.md)"
    )
    made_of_page = "[gate](/glossary.md#fairness-gate), [a](/mlx_coreml/api.md), b (not in this report)"
    assert pages.link(text_of_page, {"glossary", "mlx_coreml/api"}) == made_of_page
    output = new_output("display_data", data={"text/markdown": text})
    cell = read(new_code_cell("", outputs=[output]), present={"01_machine"})[0]
    assert cell.outputs[0].data["text/markdown"] == made


DEFAULTS = """\
steps = 200  # updates
rate: float = 3e-4  # AdamW's
sizes = [
    32,
    64,
]  # tokens
name = "µm # no comment"  # text"""


def parameters(injected, source=DEFAULTS, tag="parameters"):
    return read(
        new_code_cell(source, metadata={"tags": [tag]}),
        new_code_cell(injected, metadata={"tags": ["injected-parameters"]}),
    )


def test_parameters_show_what_ran_in_the_words_of_the_defaults():
    (cell,) = parameters('# Parameters\nname = "é"\nsizes = [8]\nrate = 0.0003\nsteps = 20\n')
    assert cell.source == (
        'steps = 20  # updates\nrate: float = 3e-4  # AdamW\'s\nsizes = [8]  # tokens\nname = "é"  # text'
    )


def test_two_parameters_on_one_line():
    (cell,) = parameters("a = 10\nb = 20", "a = 1; b = 2")
    assert cell.source == "a = 10; b = 20"


def test_parameters_without_a_default_are_an_error():
    with pytest.raises(ValueError, match=r"the injected parameter 'stepz' has no default"):
        parameters("stepz = 1")
    with pytest.raises(ValueError, match="no cell is tagged 'parameters'"):
        parameters("steps = 1", tag="other")


@pytest.mark.parametrize("inline", [True, False])
def test_formula_is_paths_in_the_colour_of_the_text(inline):
    root = ElementTree.fromstring(maths.svg(r"\frac{a}{b} < 1", inline))
    assert root.get("role") == "img" and root.get("aria-label") == r"\frac{a}{b} < 1"
    assert not [e for e in root.iter() if "id" in e.attrib]
    assert {e.get("fill") for e in root.iter() if e.get("fill")} == {"currentColor"}
    _, top, width, height = map(float, root.get("viewBox").split())
    size = dict(part.split(":") for part in root.get("style").split(";"))
    assert float(size["width"][:-2]) * maths.EM == pytest.approx(width, abs=0.02)
    assert float(size["height"][:-2]) * maths.EM == pytest.approx(height, abs=0.02)
    assert ("vertical-align" in size) == inline
    if inline:
        assert float(size["vertical-align"][:-2]) * maths.EM == pytest.approx(-(height + top), abs=0.02)


def test_faulty_formulas_are_errors():
    with pytest.raises(ValueError, match="a formula is empty"):
        maths.svg("  ", False)
    with pytest.raises(ValueError, match=r"uses \\foo, which"):
        maths.svg(r"\foo{x} + \alpha", True)


def test_dark_palette_has_every_colour_and_enough_contrast():
    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    assert pictures.DARK.keys() == pictures.LIGHT.keys()
    for palette in (pictures.LIGHT, pictures.DARK):
        for name in ("ink", "muted", "mlx", "torch"):
            dim, bright = sorted((luminance(palette[name]), luminance(palette["paper"])))
            assert (bright + 0.05) / (dim + 0.05) >= 4.5, (name, palette[name])
