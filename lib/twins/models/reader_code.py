"""What a reader's own code may not do, because a page runs it: each is one sentence, and the page goes on.

It may not run without end, end the program, print without end, change the working folder, or leave a thread.
Time is looked at between two lines of Python: a library's own endless loop is ended by the limit of a cell.
https://docs.python.org/3/library/signal.html#signal.setitimer
"""

import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import NoReturn, TextIO

VARIABLE = "TWINS_READER_SECONDS"
SECONDS = 60.0  # that one call may take, unless VARIABLE says otherwise
PRINTED = 100_000  # characters that one call may print


class RefusedError(ValueError):
    """What a reader's code did that it may not."""


class _Ended(BaseException):
    """Ends a reader's call; no `except Exception` of its own keeps it."""


class _Limited(io.TextIOBase):
    """Passes on what is printed, until it is too much."""

    def __init__(self, stream: TextIO):
        self.stream, self.left = stream, PRINTED

    def write(self, text: str) -> int:
        self.left -= len(text)
        if self.left < 0:
            raise _Ended(f"prints more than {PRINTED} characters")
        return self.stream.write(text)

    def flush(self) -> None:
        self.stream.flush()


def seconds() -> float:
    """How long one call may take. Errors: ValueError for what is no number above 0."""
    told = os.environ.get(VARIABLE, "")
    try:
        found = float(told or SECONDS)
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise ValueError(f"{VARIABLE} is {told!r:.40}; it must be a number of seconds above 0")
    return found


def _too_long(number: int, frame: object) -> NoReturn:
    raise _Ended(f"takes longer than {seconds():g} s; {VARIABLE}={2 * seconds():g} allows twice that")


@contextlib.contextmanager
def limited(what: str) -> Iterator[None]:
    """A block that calls a reader's code; `what` begins the sentence, such as "mine.py: batch()".

    The working folder is the same afterwards. Time is limited in the main thread alone, where pages run.
    One inside of another is part of it. Errors: RefusedError.
    """
    if signal.getsignal(signal.SIGALRM) is _too_long:  # inside of another one, whose time goes on
        yield
        return
    folder, threads = os.getcwd(), set(threading.enumerate())  # noqa: PTH109
    timed = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGALRM, _too_long) if timed else None
    if timed:
        signal.setitimer(signal.ITIMER_REAL, seconds(), 1.0)  # and again, where the first one was caught
    try:
        out, err = (_Limited(stream) for stream in (sys.stdout, sys.stderr))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            yield
        if new := [each.name for each in threading.enumerate() if each not in threads]:
            raise _Ended(f"leaves a thread running ({new[0]:.40}), which would disturb what is timed")
        if (now := os.getcwd()) != folder:  # noqa: PTH109
            raise _Ended(f"changes the working folder to {now:.80}; give paths from Path(__file__) instead")
    except _Ended as error:
        raise RefusedError(f"{what} {error}") from None
    except SystemExit as error:
        raise RefusedError(f"{what} ends the program (sys.exit with {error.code!r:.40})") from None
    finally:
        if timed:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        os.chdir(folder)
