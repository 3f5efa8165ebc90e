"""One line on the terminal for what takes longer than five seconds: the step, and about how long is left.

It is written to stderr if that is a terminal, or if MLX_COREML_PROGRESS=1 asks for it; 0 forbids it.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE = 5.0  # seconds without a line
BEAT = 1.0  # seconds between two versions of the line


class Progress:
    """The steps of one piece of work, each with its share (0 to 1) of the whole time."""

    def __init__(self, name: str):
        self.name = name
        self.shown = False
        self._step, self._share, self._start = "", 0.0, time.monotonic()
        self._reached = self._start  # when the last step began
        self._ended = threading.Event()

    def at(self, step: str, share: float) -> None:
        """The work is at a step; `share` of it lies behind."""
        self._step, self._share, self._reached = step, share, time.monotonic()

    def line(self, now: float) -> str:
        """The line at a time, as time.monotonic tells it."""
        spent = now - self._start
        text = f"{self.name}: {self._step}, {spent:.0f} s"
        if not self._share:
            return text
        left = max((self._reached - self._start) / self._share - spent, 0.0)
        return text + (f", about {left:.0f} s left" if left >= 1 else ", nearly done")

    @contextmanager
    def shown_while(self) -> Iterator[Progress]:
        """Show the line in the block, from PATIENCE seconds on, and wipe it off after it."""
        if not wanted():
            yield self
            return
        thread = threading.Thread(target=self._show, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            thread.join()
            if self.shown:
                sys.stderr.write("\r\x1b[K")
                sys.stderr.flush()

    def _show(self) -> None:
        wait = PATIENCE
        while not self._ended.wait(wait):
            self.shown, wait = True, BEAT
            sys.stderr.write(f"\r\x1b[K{self.line(time.monotonic())[:110]}")
            sys.stderr.flush()


def wanted() -> bool:
    """Whether a line may be written: on a terminal, or where the environment asks for it."""
    asked = os.environ.get("MLX_COREML_PROGRESS", "")
    return asked == "1" or (asked != "0" and sys.stderr is not None and sys.stderr.isatty())
