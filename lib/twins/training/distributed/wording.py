"""What workers say, in marked lines that can be told from what launchers and libraries print."""

import contextlib
import os
import time

TOLD, FAILED, ENDED = "told", "failed", "ended"
MARK = "twins-train"
EVERY = 10.0  # seconds between two lines of progress


def say(kind: str, text: str) -> None:
    """Write a marked line at once, in one call, so that lines of several workers do not mix.

    Where nobody reads any longer, training still ends as it should.
    """
    with contextlib.suppress(BrokenPipeError):
        os.write(1, f"{MARK} {kind} {' '.join(text.split())}\n".encode())


def heard(line: str) -> tuple[str, str] | None:
    """The kind and the text of a marked line; None for any other."""
    mark, _, rest = line.strip().partition(" ")
    kind, _, text = rest.partition(" ")
    return (kind, text) if mark == MARK and kind in (TOLD, FAILED, ENDED) else None


def duration(seconds: float) -> str:
    """Seconds in words, to the precision that a time left has."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Progress:
    """Says every ten seconds how far training is, and how much time is left at the mean speed so far."""

    def __init__(self, first: int, steps: int):
        self.first, self.steps, self.began = first, steps, time.monotonic()
        self.said = self.began - EVERY  # the first step is told

    def tell(self, done: int, loss: float) -> None:
        """Say it for `done` steps of all, at most every ten seconds and at the end."""
        now = time.monotonic()
        if now - self.said < EVERY and done < self.steps:
            return
        self.said = now
        left = (now - self.began) / (done - self.first) * (self.steps - done)
        say(TOLD, f"step {done} of {self.steps}, loss {loss:.4f}, {duration(left)} left")
