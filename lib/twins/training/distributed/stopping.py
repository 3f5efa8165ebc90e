"""A clean stop: what a signal or the launcher asks for, heard while a collective blocks the main thread.

SIGINT, SIGTERM, and SIGHUP of a lost ssh connection ask for it, and so does a line "stop" on standard input,
which mlx.launch hands to every worker (_distributed_utils/launch.py) and torchrun's workers inherit.
"""

import os
import select
import signal
import socket
import sys
import threading

from twins.training.distributed.wording import FAILED, say

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOP = b"stop\n"


class Stop:
    """Whether this worker was asked to stop, and a limit on how long the step at hand may still take.

    `patience` in seconds; to it the longest step so far is added twice.
    """

    def __init__(self, rank: int, patience: float):
        self.rank, self.patience, self.longest = rank, patience, 0.0
        self.asked, self.left = threading.Event(), threading.Event()
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        self._kept = theirs  # or the interpreter writes to a closed descriptor
        signal.set_wakeup_fd(theirs.fileno())
        for number in SIGNALS:
            signal.signal(number, lambda *_: None)
        threading.Thread(target=self._listen, args=(ours,), daemon=True).start()

    def _listen(self, signals: socket.socket) -> None:
        """Wait for a signal or the line, then until the step at hand has ended, or end the process."""
        readable = [signals.fileno(), sys.__stdin__.fileno()] if sys.__stdin__ else [signals.fileno()]
        while not self.asked.is_set():
            for descriptor in select.select(readable, [], [])[0]:
                content = _read(descriptor)
                if descriptor == signals.fileno() or STOP in content:
                    self.asked.set()
                elif not content:
                    readable.remove(descriptor)
        limit = self.patience + 2 * self.longest
        if not self.left.wait(limit):
            say(
                FAILED,
                f"rank {self.rank} was asked to stop and gives up: its step did not end within "
                f"{limit:.0f} s, so another worker no longer answers; the checkpoints stay",
            )
            os._exit(1)

    def step_took(self, seconds: float) -> None:
        """Note how long a step took."""
        self.longest = max(self.longest, seconds)


def _read(descriptor: int) -> bytes:
    """What is there to read; nothing at the end, or from a terminal that is another's."""
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""
