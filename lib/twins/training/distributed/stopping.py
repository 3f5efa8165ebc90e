"""A clean stop: what a signal or the launcher asks for, heard while a collective blocks the main thread.

SIGINT, SIGTERM, and SIGHUP of a lost ssh connection ask for it, and so does a line "stop" on standard input,
which mlx.launch hands to every worker (_distributed_utils/launch.py) and torchrun's workers inherit. So does
the end of the launcher or of what started it, whose process is looked at every second: the kernel tells only
on Linux. MLX's collectives have no timeout: a step that outlasts its limit ends the process.
"""

import os
import select
import signal
import socket
import sys
import threading
import time

import psutil

from twins.training.distributed.wording import FAILED, say

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOP = b"stop\n"
FRONT_END = "TWINS_FRONT_END"  # the process that shows what workers say; other hosts do not have it
LOOK = 1.0  # seconds between two looks at other processes and at the time
FIRST = 300.0  # seconds that the first step may take, in which kernels are compiled


def front_end() -> psutil.Process | None:
    """The process that shows what workers say; None where there is none on this host."""
    try:
        return psutil.Process(int(os.environ.get(FRONT_END, "")))
    except (ValueError, psutil.NoSuchProcess):
        return None


def ended(process: psutil.Process) -> bool:
    """Whether a process has ended, be it waited for or not."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Stop:
    """Whether this worker was asked to stop, and a limit on how long the step at hand may still take.

    `patience` in seconds; to it the longest step so far is added twice. `together`: other workers take part,
    so that a step may wait for one that no longer answers.
    """

    def __init__(self, rank: int, patience: float, together: bool = False):
        self.rank, self.patience, self.longest, self.together = rank, patience, 0.0, together
        self.asked, self.left = threading.Event(), threading.Event()
        self._began = self._asked_at = 0.0  # not yet
        self._launcher, self._front_end = os.getppid(), front_end()
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        self._kept = theirs  # or the interpreter writes to a closed descriptor
        signal.set_wakeup_fd(theirs.fileno())
        for number in SIGNALS:
            signal.signal(number, lambda *_: None)
        threading.Thread(target=self._listen, args=(ours,), daemon=True).start()

    def _listen(self, signals: socket.socket) -> None:
        """Hear a signal or the line, and look at processes and the time, until training is left."""
        readable = [signals.fileno(), sys.__stdin__.fileno()] if sys.__stdin__ else [signals.fileno()]
        while not self.left.is_set():
            for descriptor in select.select(readable, [], [], LOOK)[0]:
                content = _read(descriptor)
                if descriptor == signals.fileno() or STOP in content:
                    self._ask()
                elif not content:
                    readable.remove(descriptor)
            if self._alone():
                self._ask()
            self._check_time()

    def _ask(self) -> None:
        self._asked_at = self._asked_at or time.monotonic()
        self.asked.set()

    def _alone(self) -> bool:
        """Whether the launcher, or what started it, has ended."""
        return os.getppid() != self._launcher or bool(self._front_end and ended(self._front_end))

    def _check_time(self) -> None:
        """End the process where the step at hand takes too long, of itself or after a stop was asked for."""
        now, limit = time.monotonic(), self.patience + 2 * self.longest
        told = f"its step did not end within {limit:.0f} s, so another worker no longer answers"
        if self.left.is_set():
            return
        if self._asked_at and now - self._asked_at > limit:
            say(FAILED, f"rank {self.rank} was asked to stop and gives up: {told}; the checkpoints stay")
            os._exit(1)
        limit = limit if self.longest else FIRST
        if self.together and self._began and now - self._began > limit:
            say(FAILED, f"rank {self.rank}: {told}; the same command continues after the last checkpoint")
            os._exit(1)

    def step_begins(self) -> None:
        """Note that a step begins."""
        self._began = time.monotonic()

    def step_took(self, seconds: float) -> None:
        """Note that a step has ended, and how long it took."""
        self._began, self.longest = 0.0, max(self.longest, seconds)


def _read(descriptor: int) -> bytes:
    """What is there to read; nothing at the end, or from a terminal that is another's."""
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""
