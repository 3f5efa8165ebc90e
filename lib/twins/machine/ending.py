"""How processes end: when they are asked to, and with the process that started them, however that ended.

https://man7.org/linux/man-pages/man7/signal.7.html. Systems give the children of a process that was killed to
another one, which is how a child learns of it on every system.
"""

import contextlib
import os
import signal
import sys
import threading
import time

KILLED = "was killed, as a system does when memory runs out"
LOOK = 0.5  # seconds between two looks at which process is the parent
# What a process runs that must not outlive the one of this number: `python -c ENDS module arguments`.
ENDS = """\
import runpy, sys
from twins.machine import ending
ending.end_with({parent})
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def end_with(parent: int) -> None:
    """End this process as soon as another one than `parent`, which started it, is its parent."""

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()


def command(module: str, *arguments: object) -> list[str]:
    """The command line of a Python module in a process that ends with this one."""
    return [sys.executable, "-c", ENDS.format(parent=os.getpid()), module, *map(str, arguments)]


def _stop(number: int, frame: object) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # once is enough
    raise KeyboardInterrupt


def stop_when_asked() -> None:
    """SIGTERM and a terminal that is closed end this process as Ctrl-C does, with what it started.

    Where the second is ignored, as under nohup, it stays so.
    """
    signal.signal(signal.SIGTERM, _stop)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _stop)


def say(text: str) -> None:
    """A last sentence on standard error, where there still is one."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)
