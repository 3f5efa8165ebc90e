"""Texts and markup: what others wrote is escaped here, and nowhere else, before it is shown.

A plain `str` is a text, or a sentence of ours in Markdown. `Html` and `Markdown` say that a text is markup:
whatever is formatted into one, or joined to it, is escaped unless it is markup of the same kind
(https://markupsafe.palletsprojects.com). CommonMark: https://spec.commonmark.org/0.31.2/
"""

import re
from typing import Self

from markdown_it import MarkdownIt
from markupsafe import Markup as Html

HIDDEN = re.compile(  # control characters, directions of text, marks without a width, halves of a character
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|!$&~^@])")  # what Markdown, MyST or Jupyter may read as markup
FIRST = re.compile(r"^(\d+)?([-+=%:().])")  # what opens a list, a rule or a comment at the start of a line
CODE = re.compile(r"(?<![\\`])(`+)(?!`)((?:(?!\n\s*\n).)+?|(?<=```).+?)(?<!`)\1(?!`)", re.DOTALL)
ACTIVE = re.compile(r"(?<!\\)(<(?=[A-Za-z/!?])|!(?=\[)|[${])")  # outside code: HTML, picture, formula, role
FENCE = re.compile(r"^(?=\s*(?:`{3,}|~{3,}|:{3,})\s*\{)", re.MULTILINE)  # a directive of MyST
TARGET = re.compile(r"https://|[\w./#-]*$")  # of a link: an address, or a page of the project
FULL, INLINE = MarkdownIt("commonmark"), MarkdownIt("commonmark", {"html": False}).disable("image")
FULL.validateLink = lambda url: True  # type: ignore[method-assign]  # every link is seen, and judged here


class Markdown(Html):
    """A text that is Markdown, as `markupsafe.Markup` is one that is HTML."""

    @classmethod
    def escape(cls, s: object, /) -> Self:
        """A text as Markdown that shows it as it is, in one line."""
        if isinstance(s, cls):
            return s
        line = SPECIAL.sub(r"\\\1", " ".join(plain(str(s)).split()))
        return cls(FIRST.sub(lambda found: f"{found[1] or ''}\\{found[2]}", line))


def plain(text: str) -> str:
    """A text for a terminal: characters that would move its cursor or hide something are shown as codes."""
    return HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def html(text: object) -> Html:
    """A text as HTML that shows it as it is."""
    return text if isinstance(text, Html) else Html.escape(plain(str(text)))


def quoted(text: object) -> Markdown:
    """A text of others as Markdown that shows it as it is, in one line."""
    return Markdown.escape(text)


def sentence(text: str) -> Markdown:
    """A sentence of ours in Markdown: emphasis, code, tables and links to https or to pages of the project.

    HTML, pictures, formulas, directives and other links are shown as text: they come from a name or a message
    that was put into the sentence. Where that cannot be had by escaping them, the whole is shown as text.
    """
    if isinstance(text, Markdown):
        return text
    parts, at = [], 0
    for code in CODE.finditer(text := FENCE.sub(r"\\", plain(text))):
        parts += [ACTIVE.sub(r"\\\1", text[at : code.start()]), code[0]]
        at = code.end()
    made = "".join([*parts, ACTIVE.sub(r"\\\1", text[at:])])
    return Markdown(made) if _harmless(made) else quoted(text)


def _harmless(markdown: str) -> bool:
    """Whether a parser finds nothing in a text that loads, runs or leads elsewhere."""
    names: dict = {}
    tokens = [each for top in FULL.parse(markdown, names) for each in (top, *(top.children or ()))]
    kinds = {each.type for each in tokens}
    links = [str(each.attrGet("href") or "") for each in tokens if each.type == "link_open"]
    links += [each["href"] for each in names.get("references", {}).values()]
    return not kinds & {"html_block", "html_inline", "image"} and all(map(TARGET.match, links))


def inline(text: str) -> Html:
    """A sentence in Markdown as HTML, without a block around it."""
    return Html(INLINE.renderInline(sentence(text)))
