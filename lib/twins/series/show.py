"""What a notebook shows besides figures: the source of both twins, tables, sentences computed from records.

Each reads well in JupyterLab and on a code host as it is; the site (`lib/site/_ext/pages.py`) takes the same
outputs and makes tabs of a `Pair`. Protocol: https://ipython.readthedocs.io/en/stable/config/integrating.html
"""

import inspect
import re
import textwrap
import uuid
from dataclasses import dataclass

from IPython.display import display, update_display

from twins.records import markup
from twins.records.markup import html

ANSWER = "application/vnd.twins.answer+json"
PAIR = "application/vnd.twins.pair+json"
NARROW = "application/vnd.twins.narrow-svg"  # a figure's second SVG, for a phone
LONG = 32  # characters; a column with longer text is one of sentences
COLUMN = 736  # CSS pixels of the site's column of text
WIDTHS = (("", 8.0, 16), ("dense", 6.8, 11))  # look, pixels of a character, pixels around a cell


class Pair:
    """Shows the source of what ran, a function or class per label, as in `Pair(MLX=f, PyTorch=g)`."""

    def __init__(self, **twins):
        self.sources = {label: source(twin) for label, twin in twins.items()}

    def _repr_mimebundle_(self, include=None, exclude=None):
        fenced = (f"**{label}**\n\n{fence(code)}" for label, code in self.sources.items())
        plain = (f"{label}\n\n{code}" for label, code in self.sources.items())
        return {PAIR: self.sources, "text/markdown": "\n\n".join(fenced), "text/plain": "\n\n".join(plain)}


class Opening:
    """The top of a page: its answer in short, a figure and a table, filled once the page has computed them.

    A cell near the top ends with the opening and the last cell fills it: Jupyter then replaces what the first
    one showed, so that an executed notebook begins with its answer. The message:
    https://jupyter-client.readthedocs.io/en/stable/messaging.html#update-display-data
    """

    def __init__(self, parts: int = 3):
        self.parts = [f"opening-{uuid.uuid4()}" for _ in range(parts)]

    def _ipython_display_(self) -> None:
        empty = Shown({"text/plain": ""})
        waiting = [note("**In short**: computed at the end of this page."), *[empty] * len(self.parts)]
        for part, content in zip(self.parts, waiting, strict=False):
            display(content, display_id=part)

    def fill(self, answer, *more) -> None:
        """Show an answer (`twins.evidence.answers.answer.Answer`) and what belongs to it, in order.

        Errors: ValueError where there are not as many things to show as parts.
        """
        contents = [in_short(answer), *more]
        if len(contents) != len(self.parts):
            raise ValueError(f"this opening has {len(self.parts)} parts, found {len(contents)} to show")
        for part, content in zip(self.parts, contents, strict=True):
            update_display(content, display_id=part)


@dataclass(frozen=True)
class Shown:
    """One output in several forms, MIME type -> text; a front end takes the richest it knows."""

    forms: dict[str, object]

    def _repr_mimebundle_(self, include=None, exclude=None):
        return self.forms


def source(twin) -> str:
    """The source of a function or class as its file has it, moved to the left margin."""
    try:
        return textwrap.dedent(inspect.getsource(twin)).rstrip()
    except (OSError, TypeError) as error:
        raise ValueError(f"Pair() shows functions and classes written in Python, not {twin!r}") from error


def fence(code: str) -> str:
    """A fenced Python block, its fence longer than any run of backticks in the code."""
    ticks = "`" * max(3, 1 + max(map(len, re.findall("`+", code)), default=0))
    return f"{ticks}python\n{code}\n{ticks}"


def note(text: str) -> Shown:
    """A Markdown sentence whose numbers the notebook has computed; markup of others is shown as text."""
    return Shown({"text/markdown": str(markup.sentence(text)), "text/plain": markup.plain(text)})


def in_short(answer) -> Shown:
    """The sentences of an answer and what they do not cover."""
    sentences, less = [str(markup.sentence(s)) for s in answer.sentences], markup.sentence(answer.not_covered)
    told = {"sentences": sentences, "not_covered": str(less)}
    lines = ["**In short** (computed)", "", *(f"- {each}" for each in sentences)]
    lines += ["", f"Not covered: {less}"] if less else []
    markdown = "\n".join(lines)
    return Shown({ANSWER: told, "text/markdown": markdown, "text/plain": markdown})


def table(frame, caption: str | None = None) -> Shown:
    """A pandas DataFrame as an accessible table: every column named, numbers on the right.

    A named index becomes the first columns, a numbered one is left out. Floats show four significant digits
    and keep the full value for sorting; a missing value shows as a dash. A frame without columns says that
    nothing was measured, and one without rows that there are none. Each cell carries its heading, with which
    the site makes a card of a row where the table does not fit. ValueError where a column or an index has no
    name.
    """
    frame = named(frame)
    if not frame.shape[1]:
        return note("Nothing was measured.")
    if not len(frame):
        return note(f"{caption}: none." if caption else "None.")
    texts = [column_texts(frame.iloc[:, i]) for i in range(frame.shape[1])]
    columns = [column(frame.iloc[:, i], texts[i], heads_rows=i == 0) for i in range(frame.shape[1])]
    head, *rows = ("".join(cells) for cells in zip(*columns, strict=True))
    headings = [str(name) for name in frame.columns]
    look = " ".join(
        filter(None, ["dataframe", fitting([[h, *t] for h, t in zip(headings, texts, strict=True)])])
    )
    made = [f'<table class="{look}">', *([f"<caption>{html(caption)}</caption>"] if caption else [])]
    made += ["<thead>", f"<tr>{head}</tr>", "</thead>", "<tbody>"]
    made += [*(f"<tr>{row}</tr>" for row in rows), "</tbody>", "</table>"]
    plain = markup.plain(frame.to_string(index=False, float_format=written, na_rep="–"))
    return Shown({"text/html": "\n".join(made), "text/plain": f"{caption}\n{plain}" if caption else plain})


def fitting(columns: list[list[str]]) -> str:
    """How columns of texts fit the site's column: "", "dense" in small type, or "stacked" as cards.

    Text wraps at spaces, so a column is at least as wide as its longest word.
    """
    words = [max((len(word) for text in texts for word in text.split()), default=0) for texts in columns]
    for look, character, padding in WIDTHS:
        if sum(character * word + padding for word in words) <= COLUMN:
            return look
    return "stacked"


def named(frame):
    """The frame with its index as columns; ValueError where a heading would be empty."""
    numbered = frame.index.names == [None] and frame.index.dtype.kind in "iu"
    labels = [*([] if numbered else frame.index.names), *frame.columns]
    if any(label is None or isinstance(label, tuple) or not str(label).strip() for label in labels):
        raise ValueError(f"table() takes an index and columns that each have one name, not {labels}")
    return frame.reset_index(drop=numbered)


def column_texts(series) -> list[str]:
    """The cells of one column as they are shown."""
    return ["–" if gone else written(value) for value, gone in zip(series, series.isna(), strict=True)]


def column(series, texts: list[str], heads_rows: bool) -> list[str]:
    """The heading and the cells of one column; text in the first column heads its row."""
    number, name = series.dtype.kind in "iuf", html(series.name)
    look = f' style="text-align: {"right" if number else "left"}"'
    look += ' class="long"' if max(map(len, texts), default=0) > LONG else ""
    tag, scope = ("th", ' scope="row"') if heads_rows and not number else ("td", "")
    cells = [f'<th scope="col"{look}>{name}</th>']
    for value, text in zip(series, texts, strict=True):
        exact = f' data-value="{float(value)!r}"' if isinstance(value, float) and text != "–" else ""
        cells.append(f'<{tag}{scope}{look}{exact} data-label="{name}">{html(text)}</{tag}>')
    return cells


def written(value) -> str:
    """Four significant digits for a float, without an exponent from 0.0001 up to a million million."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if 9999.5 <= abs(value) < 1e12 else f"{value:.4g}"
