"""The live line: what it shows in a terminal and elsewhere, and the time that is left."""

import io

import pytest

from twins.series import live_line
from twins.series.live_line import ERASE, Line, Progress, Remaining


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def remaining(pages: str = "abc", **expected: float) -> tuple[Remaining, list[float]]:
    """What is left of pages that take 600, 300 and 60 s, and the clock, to be set."""
    now = [0.0]
    return Remaining({"a": 600, "b": 300, "c": 60} | expected, list(pages), lambda: now[0]), now


def test_time_left_is_of_the_pages_to_come_and_the_rest_of_this_one():
    left, now = remaining()
    assert left.seconds() == 960
    left.start("a")
    now[0] = 200
    assert left.seconds() == 760
    now[0] = 2000  # it takes longer than expected: no time of the others is counted
    assert left.seconds() == 360
    left.end()
    left.start("b")
    assert left.seconds() == 360
    left.end()
    left.start("c")
    now[0] += 60
    assert left.seconds() == 0


def test_a_page_that_is_up_to_date_takes_no_time():
    left, _ = remaining("bc")
    left.expected.pop("a")
    left.start("a")
    left.end()
    assert left.seconds() == 360


def test_nothing_is_said_of_a_page_that_nothing_is_known_of():
    left, _ = remaining("abx")
    assert left.seconds() is None and str(left) == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "about a minute left"),
        (89, "about a minute left"),
        (90, "about 2 min left"),
        (640, "about 11 min left"),
    ],
)
def test_words(seconds, words):
    assert live_line.told(seconds) == words


CELLS = [
    {"cell_type": "markdown", "source": "# Language model\n\nWho trains it faster?"},
    {"cell_type": "code", "source": "# not a heading"},
    {"cell_type": "markdown", "source": "No heading here, a # sign."},
    {"cell_type": "markdown", "source": "### Over batch size\n\nMore."},
]


def shown(stream: io.StringIO) -> str:
    """What a page with two sections and a progress line writes."""
    line = Line(remaining("c")[0], stream)
    line.remaining.start("c")
    progress = Progress("[3/3] c", "c", line)
    for index, cell in enumerate(CELLS):
        progress.start(cell, index)
    progress.write("· batch 4, process 1 of 5\nthe output of a cell\n")
    progress.flush()
    line.say("[3/3] c  done in 60 s")
    return stream.getvalue()


def test_where_there_is_no_terminal_lines_are_plain():
    lines = shown(io.StringIO()).splitlines()
    assert lines == [
        "  c  Language model",
        "  c  Over batch size",
        "  c  Over batch size  · batch 4, process 1 of 5",
        "[3/3] c  done in 60 s",
    ]


def test_in_a_terminal_one_line_is_written_over():
    written = shown(Terminal())
    assert written.count("\n") == 1 and written.endswith(f"{ERASE}[3/3] c  done in 60 s\n")
    assert written.split(ERASE)[1:4] == [
        "[3/3] c  Language model  about a minute left",
        "[3/3] c  Over batch size  about a minute left",
        "[3/3] c  Over batch size  batch 4, process 1 of 5  about a minute left",
    ]


def test_it_is_cut_to_the_terminals_width(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert all(len(part) < 40 for part in shown(Terminal()).split(ERASE)[:-1])
    assert "[3/3] c  Over bat…  about a minute left" in shown(Terminal())
