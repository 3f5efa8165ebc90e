"""Every figure, from the committed records, fits a column of text and a phone, and speaks to people."""

import importlib
import pkgutil
import re

import gallery
import pytest

from twins import figures
from twins.figures import axes, fitting, style
from twins.series import show
from twins.timing import wording

COLUMN, PHONE = 736, 350  # CSS pixels
POINT = 4 / 3  # CSS pixels
CLEAR = 1.5  # pixels of a canvas by which rounding may move text
SMALLEST = 10  # CSS pixels of a letter on a phone
IDENTIFIERS = "|".join(each for each in wording.NAMES if each != "whisper")
LARGEST = 200_000  # bytes that a figure adds to a notebook


def beyond(canvas) -> list[str]:
    """The texts of a canvas that its width does not hold."""
    renderer, right = canvas.canvas.get_renderer(), canvas.get_figwidth() * canvas.dpi
    texts = [*canvas.texts, *(text for each in canvas.axes for text in each.texts)]
    for each in (each for each in canvas.axes if each.axison):
        low, high = sorted(each.get_ylim())
        ticks = zip(each.get_yticks(), each.get_yticklabels(), strict=True)
        texts += [label for place, label in ticks if low <= place <= high]
    boxes = {text.get_text(): text.get_window_extent(renderer) for text in texts if text.get_text()}
    return [text for text, box in boxes.items() if box.x0 < -CLEAR or box.x1 > right + CLEAR]


def wide(svg: str) -> float:
    return POINT * float(re.search(r'width="([\d.]+)pt"', svg)[1])


def test_every_figure_function_is_here():
    known = {
        each.name: importlib.import_module(f"{figures.__name__}.{each.name}")
        for each in pkgutil.iter_modules(figures.__path__)
    }
    known = {name: module for name, module in known.items() if name != "fitting"}
    public = {
        f"{name}.{made.__name__}"
        for name, module in known.items()
        for made in vars(module).values()
        if hasattr(made, "__wrapped__") and made.__module__ == module.__name__
    }
    assert {name.partition(",")[0] for name in gallery.FIGURES} == public


def text_of(figure: style.Figure) -> str:
    """Everything that a figure says, in both versions."""
    return " ".join([figure.alt, *re.findall(r"<text[^>]*>([^<]*)</text>", figure.svg + figure.narrow)])


@pytest.mark.parametrize("name", gallery.FIGURES)
def test_a_figure_fits_its_columns_and_speaks_to_people(monkeypatch, name):
    save, outside = fitting.svg, []
    monkeypatch.setattr(fitting, "svg", lambda each, part: outside.extend(beyond(each)) or save(each, part))
    figure = gallery.FIGURES[name]()
    assert COLUMN - 16 < wide(figure.svg) <= COLUMN
    assert PHONE - 16 < wide(figure.narrow) <= PHONE
    assert outside == []
    sizes = [float(size) for size in re.findall(r"font(?:-size)?: (?:[\w]+ )*([\d.]+)px", figure.narrow)]
    assert sizes and min(sizes) * POINT >= SMALLEST
    written = re.findall("<text[^>]*>", figure.svg + figure.narrow)
    assert [text for text in written if "fill:" not in text] == []  # black, which dark pages cannot show
    texts = text_of(figure)
    assert re.findall(rf"\b(?:{IDENTIFIERS})\b", texts) == []
    assert re.findall(r"faster by|× faster|x faster|÷ MLX|eager vs", texts) == []
    assert not re.search(r"(?<![\d.])0\.\d+×", texts)
    if not name.endswith("pictures"):  # noise, which nothing makes smaller
        assert len(figure.svg) + len(figure.narrow) + 4 / 3 * len(figure.png) < LARGEST


def test_the_narrow_form_has_the_name_that_the_site_knows():
    figure = style.nothing("no reason")
    assert style.NARROW == show.NARROW
    assert figure._repr_mimebundle_()[0][show.NARROW] == figure.narrow


def test_a_figure_that_another_asks_for_is_drawn_once():
    calls = []

    @style.twice
    def inner():
        calls.append(fitting.width())
        return style.nothing("inside")

    outer = style.twice(lambda: inner())
    assert outer().narrow.startswith("<svg")
    assert calls == [fitting.WIDE, fitting.NARROW]


def test_numbers_in_words_keep_their_digits_and_places_lose_them():
    figure = style.nothing("0.000123 nats, 3.14159 in all")
    for svg in (figure.svg, figure.narrow):
        words = " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", svg))
        assert words == figure.alt == "Nothing to draw: 0.000123 nats, 3.14159 in all"
        assert not re.search(r' [xy]="[^"]*\.\d{3}', svg)


def test_rows_given_once_are_drawn_twice():
    seen = []

    @style.twice
    def figure(rows):
        seen.append(list(rows))
        return style.nothing("rows")

    figure(iter([1, 2]))
    assert seen == [[1, 2], [1, 2]]


def test_text_is_wrapped_to_its_width():
    lines = fitting.wrapped("one two three four five six seven", 1.0, 10).split("\n")
    assert len(lines) > 2 and " ".join(lines) == "one two three four five six seven"
    assert fitting.wrapped("unbreakable", 0.1, 10) == "unbreakable"


def test_names_of_lines_are_pushed_apart():
    assert axes.apart([0.1, 0.5], [0.1, 0.1]) == [0.1, 0.5]
    low, middle, high = axes.apart([0.9, 0.9, 0.9], [0.2, 0.2, 0.2])
    assert high <= 0.9 and middle <= high - 0.2 + 1e-9 and low <= middle - 0.2 + 1e-9


def test_factors_stand_apart():
    assert axes.spaced([1.5, 2], 3, 5) == [1.5, 2]
    assert axes.spaced([1.5, 2, 3, 5, 10, 20, 50], 60, 3) == [3, 10, 50]
