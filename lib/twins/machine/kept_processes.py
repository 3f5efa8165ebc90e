"""Processes that are kept: a call in one of them costs no start of Python and no import of libraries.

Each is a Python of its own, started at the first call with its number and ended with the process that asks,
however that ends. One call runs at a time in a process; after it the process frees what the call held, so
that the next one finds what a fresh process finds, but for the libraries. What must find a fresh process
(memory, settings of the environment) is called by fresh_process.py instead.
"""

import atexit
import contextlib
import importlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from twins.machine import fresh_process

CHANGED = "changed"  # what a process answers whose modules' files are not those it imported
STARTED = "from twins.machine import kept_processes as own; own.main()"  # as a module that `find` finds
LOAD = "twins.machine.kept_processes:load"
_KEPT: dict[int, "Kept"] = {}


class Kept:
    """One kept process; the number of a kept process that ended is given to a new one."""

    def __init__(self):
        self.environment = dict(os.environ)
        self.log = tempfile.TemporaryFile("a+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-c", STARTED],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            bufsize=1,
            start_new_session=True,  # so that all it starts, such as a compiler, ends with it
        )

    def usable(self) -> bool:
        """Whether it runs, in the environment that a process started now would have."""
        return self.process.poll() is None and self.environment == dict(os.environ)

    def send(self, target: str, arguments: dict) -> None:
        """Begin a call."""
        self.log.truncate(0)
        assert self.process.stdin
        with contextlib.suppress(BrokenPipeError):  # it ended: `receive` says how
            self.process.stdin.write(json.dumps([target, arguments]) + "\n")

    def receive(self, target: str) -> Any:
        """What the call returned. Errors: RuntimeError with the last line the process wrote, if it ended."""
        assert self.process.stdout
        answer = self.process.stdout.readline()
        if answer:
            return json.loads(answer)
        status = self.process.wait()
        self.log.seek(0)
        raise fresh_process.failure(target, status, self.log.read())

    def end(self) -> None:
        """End it and all that it started."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # macOS refuses where only a zombie is left
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.log):
            if stream:
                stream.close()


def _kept(index: int) -> Kept:
    """The kept process of this number, started where there is none that can be used."""
    if index in _KEPT and not _KEPT[index].usable():
        _KEPT.pop(index).end()
    if index not in _KEPT:
        _KEPT[index] = Kept()
    return _KEPT[index]


def _all(indices: range, target: str, arguments: dict) -> list:
    """What `target` returns in each of these processes, in which it runs at the same time."""
    try:
        for index in indices:
            _kept(index).send(target, arguments)
        return [_KEPT[index].receive(target) for index in indices]
    except BaseException:
        for index in indices:
            if index in _KEPT:
                _KEPT.pop(index).end()
        raise


def prepare(count: int, module: str) -> None:
    """Let the first `count` kept processes import a module, all at the same time.

    One whose modules changed on disk since it imported them is replaced. Errors: RuntimeError.
    """
    arguments = {"module": module}
    answers = _all(range(count), LOAD, arguments)
    for index, answer in enumerate(answers):
        if answer == CHANGED:
            _KEPT.pop(index).end()
    if CHANGED in answers:
        _all(range(count), LOAD, arguments)


def call(index: int, target: str, arguments: dict) -> Any:
    """What `target` ("package.module:function") returns for these keyword arguments, in a kept process.

    Errors: RuntimeError with the last line the process wrote when it fails; it is kept no longer.
    """
    return _all(range(index, index + 1), target, arguments)[0]


def end() -> None:
    """End every kept process."""
    while _KEPT:
        _KEPT.popitem()[1].end()


atexit.register(end)


def load(module: str) -> str:
    """The work of a kept process: import a module; CHANGED where a file of one it knows is another now."""
    if any(_times(path) != time for path, time in _SEEN.items()):
        return CHANGED
    importlib.import_module(module)
    return module


_SEEN: dict[str, int | None] = {}  # files of modules that are no installed library, and when they changed


def _times(path: str) -> int | None:
    file = Path(path)
    return file.stat().st_mtime_ns if file.exists() else None


def _note_files() -> None:
    """Remember when the files of modules changed that are no part of Python or of an installed library."""
    paths = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    for path in paths:
        if path and path not in _SEEN and not path.startswith((sys.prefix, sys.base_prefix)):
            _SEEN[path] = _times(path)


def _requests(lines: queue.SimpleQueue) -> None:
    """Hand over what is asked; when nobody can ask any more, end this process and all that it started."""
    rest = b""
    while piece := os.read(0, 2**16):
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            lines.put(line)
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def main() -> None:
    """The kept process's side: one call after another; standard output is kept for the results alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that asks ends it
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    lines: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=_requests, args=(lines,), daemon=True).start()
    while True:
        target, arguments = json.loads(lines.get())
        result = json.dumps(fresh_process.find(target)(**arguments))
        if "twins.frameworks" in sys.modules:
            sys.modules["twins.frameworks"].release()
        _note_files()
        print(result, file=output, flush=True)
