"""Texts of others: shown as text in HTML, in Markdown and on a terminal, whatever they hold."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from twins.records import markup
from twins.records.markup import Html, Markdown, html, inline, plain, quoted, sentence

LIB = Path(markup.__file__).parents[2]
PARSER = MarkdownIt("commonmark")  # as MyST and code hosts read it
PIECES = [
    *("<img src=x onerror=a>", "<script>", "</td>", "<!--", "<a:b>", "<https://x.y>", "&lt;", "\x1b[31m"),
    "\0",
    *("![x](https://x.y/z.png)", "[x](javascript:a)", "[x](//x.y)", "[x]: data:a", "[x]", "`", "``", "```"),
    *("\n", "\n\n", "\\", "{raw} html", "$", ":::", "~~~", "# ", "- ", "1. ", "    ", "*", "_"),
    *("|", "**", "> ", "a", " "),
]
HOSTILE = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=12).map("".join)
ACTIVE = {"html_block", "html_inline", "image"}


def tokens(text):
    return [each for top in PARSER.parse(text) for each in (top, *(top.children or ()))]


@settings(max_examples=600, deadline=None, database=None)
@given(HOSTILE)
def test_a_text_of_others_is_shown_and_does_nothing(text):
    runs_nothing(text)
    is_read_as_itself(text)
    has_no_tag(text)


def runs_nothing(text):
    made = sentence(text)
    found = tokens(str(made))
    assert not ACTIVE & {each.type for each in found}
    links = [each.attrGet("href") for each in found if each.type == "link_open"]
    assert all(re.match(r"https://|[\w./#-]*$", link) for link in links)
    assert not any(each.type == "fence" and each.info.lstrip().startswith("{") for each in found)
    assert not markup.HIDDEN.search(made)
    assert sentence(str(made)) == made  # pages are made from sentences that were made once already


def is_read_as_itself(text):
    shown = PARSER.parse(str(quoted(text)))
    wanted = " ".join(plain(text).split())
    assert [top.type for top in shown] == ["paragraph_open", "inline", "paragraph_close"] * bool(wanted)
    children = shown[1].children if shown else ()
    assert {each.type for each in children} <= {"text", "text_special"}
    assert "".join(each.content for each in children) == wanted


def has_no_tag(text):
    assert re.fullmatch(r"([^<>\"'&]|&(lt|gt|amp|#34|#39);)*", html(text))
    assert not re.search(r"<(?!/?(em|strong|code|a|br)\b)|<a href=\"(?!https://|[\w./#-]*\")", inline(text))


def test_what_is_ours_stays_as_it_was():
    for text in (
        "**MLX** is `2 < 3` times as fast; see [it](../docs/glossary.md#a) and [more](https://x.y/z?a=b#c).",
        "- one\n- two\n\n```python\nx = {1: '$<b>'}\n```\n\n| a | b |\n| --- | --- |",
        "5 < 6 & 7 > 2, 0.82 [0.80–0.84]",
    ):
        assert sentence(text) == text
    assert sentence("<b>") == r"\<b>" and sentence("costs $5") == r"costs \$5"


def test_markup_says_what_it_is():
    assert Markdown("**{}**").format("*<b>*") == r"**\*\<b\>\***"
    assert Markdown("a ") + "_b_" == r"a \_b\_" and isinstance(Markdown("a") + "b", Markdown)
    assert quoted(quoted("*")) == quoted("*") and sentence(Markdown("<b>")) == "<b>"
    assert html(html("<")) == "&lt;" and html(Html("<b>")) == "<b>"


def test_a_terminal_gets_no_control_characters():
    assert plain("a\x1b[2J\r\0\u202eb\n") == "a\\x1b[2J\\r\\x00\\u202eb\n"
    assert plain("\udc80") == "\\udc80" and plain("größe 数 é 2.90×") == "größe 数 é 2.90×"


@pytest.mark.parametrize("folder", ["twins", "site"])
def test_no_other_module_escapes(folder):
    found = [path for path in (LIB / folder).rglob("*.py") if path != Path(markup.__file__)]
    assert len(found) > 5
    pattern = re.compile(r"from html import|html\.escape|MarkdownIt")
    assert [path.name for path in found if pattern.search(path.read_text("utf-8"))] == []
