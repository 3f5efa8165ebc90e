"""The line that says how far a run has come: page, section, what is being measured, and the time left.

In a terminal it is one line that is written over; elsewhere each section and each measurement is a line.
"""

import re
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TextIO

from twins.timing.progress import PROGRESS

HEADING = re.compile(r"^#{1,4}\s+(.+?)\s*$", re.M)
ERASE = "\r\x1b[K"  # to the line's begin, and clear it


def told(seconds: float) -> str:
    """A time that is left, in words."""
    return f"about {round(seconds / 60)} min left" if seconds >= 90 else "about a minute left"


class Remaining:
    """The time that is left: the seconds that pages are expected to take, less what this one took so far."""

    def __init__(
        self,
        expected: Mapping[str, float],
        pages: Sequence[str],
        clock: Callable[[], float] = time.monotonic,
    ):
        self.expected, self.waiting, self.clock = dict(expected), list(pages), clock
        self.page, self.began = "", clock()

    def start(self, page: str) -> None:
        """A page begins, or is found to be up to date and ends at once."""
        self.page, self.began = page, self.clock()
        self.waiting = [each for each in self.waiting if each != page]

    def end(self) -> None:
        """The page is done."""
        self.page = ""

    def seconds(self) -> float | None:
        """Seconds until the last page is done; None when nothing is known of one of them."""
        pages = [*self.waiting, *filter(None, [self.page])]
        if not set(pages) <= set(self.expected):
            return None
        passed = min(self.clock() - self.began, self.expected[self.page]) if self.page else 0
        return sum(self.expected[each] for each in pages) - passed

    def __str__(self) -> str:
        left = self.seconds()
        return "" if left is None else told(left)


class Line:
    """Writes what is going on: a line that is written over in a terminal, otherwise plain lines."""

    def __init__(self, remaining: Remaining, stream: TextIO | None = None):
        self.stream = stream or sys.stdout
        self.remaining, self.live = remaining, self.stream.isatty()

    def say(self, text: str) -> None:
        """A line that stays."""
        print(f"{ERASE if self.live else ''}{text}", file=self.stream, flush=True)

    def show(self, head: str, *parts: str) -> None:
        """What is going on now; in a terminal cut to its width, with the time left."""
        words = "  ".join(filter(None, [head, *parts]))
        if not self.live:
            print(words, file=self.stream, flush=True)
            return
        left = str(self.remaining)
        width = shutil.get_terminal_size().columns - 1 - (len(left) + 2 if left else 0)
        shown = words if len(words) <= width else f"{words[: max(0, width - 1)]}…"
        print(f"{ERASE}{shown}{f'  {left}' if left else ''}", end="", file=self.stream, flush=True)

    def clear(self) -> None:
        """Take the live line away, before something else is printed."""
        if self.live:
            print(ERASE, end="", file=self.stream, flush=True)


class Progress:
    """Where papermill writes what a notebook prints: its sections and progress lines go to the line."""

    def __init__(self, head: str, name: str, line: Line):
        self.head, self.name, self.line, self.section = head, name, line, ""

    def start(self, cell: dict, cell_index: int, **_) -> None:
        """A cell begins; one with a heading begins a section."""
        found = HEADING.findall(cell["source"]) if cell["cell_type"] == "markdown" else []
        if found:
            self.section = found[-1]
            self.tell("")

    def write(self, text: str) -> None:
        """A cell printed something."""
        for line in text.splitlines():
            if line.startswith(PROGRESS):
                self.tell(line.removeprefix(PROGRESS) if self.line.live else line)

    def tell(self, what: str) -> None:
        """Show the section and what is measured in it."""
        self.line.show(self.head if self.line.live else f"  {self.name}", self.section, what)

    def flush(self) -> None:
        """Nothing is held back."""
