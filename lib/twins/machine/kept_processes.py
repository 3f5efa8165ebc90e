"""Processes that are kept and ready: each call runs in a fresh process that costs no import of libraries.

A kept process imports libraries and nothing else. For each call it makes a copy of itself, which ends with
the call, so that no measurement finds what an earlier one left: memory, caches, compiled code, threads. Only
a process of one thread can be copied so; where libraries start more at once, as on a Mac and with CUDA,
a kept process takes one call itself and ends, and the next ones import at the same time. What is fixed for
a process's life (addresses, hash seeds) differs between kept processes, as between any two.

Processes whose environment must differ are for fresh_process.py.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

from twins.machine import fresh_process

CHANGED = "changed"  # what a process answers whose modules' files are not those it imported
STARTED = "from twins.machine import kept_processes as own; own.main()"  # as a module that `find` finds
LOAD = "twins.machine.kept_processes:load"
THREADS = Path("/proc/self/task")  # Linux: one entry per thread
_KEPT: dict[int, "Kept"] = {}
_BEGUN: list[threading.Thread] = []  # who ask for imports while this process works on


class Kept:
    """One kept process; the number of one that ended is given to a new one."""

    def __init__(self, environment: dict[str, str]):
        self.environment = environment
        self.ended = False
        self.log = tempfile.TemporaryFile("a+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-c", STARTED],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            bufsize=1,
            start_new_session=True,  # so that all it starts, such as a compiler, ends with it
        )

    def usable(self, environment: dict[str, str]) -> bool:
        """Whether it runs, in this environment."""
        return not self.ended and self.process.poll() is None and self.environment == environment

    def send(self, target: str, arguments: dict) -> None:
        """Begin a call."""
        self.log.truncate(0)
        assert self.process.stdin
        with contextlib.suppress(BrokenPipeError):  # it ended: `receive` says how
            self.process.stdin.write(json.dumps([target, arguments]) + "\n")

    def receive(self, target: str) -> Any:
        """What the call returned. Errors: RuntimeError with the last line its process wrote, if it failed."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"ended": self.process.wait()}
        self.ended = "last" in answer
        if "ended" in answer:
            self.log.seek(0)
            raise fresh_process.failure(target, answer["ended"], self.log.read())
        return answer["result"]

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


def _kept(index: int, environment: dict[str, str]) -> Kept:
    """The kept process of this number, started where there is none that can be used."""
    if index in _KEPT and not _KEPT[index].usable(environment):
        _KEPT.pop(index).end()
    if index not in _KEPT:
        _KEPT[index] = Kept(environment)
    return _KEPT[index]


def _all(indices: range, target: str, arguments: dict, environment: dict[str, str] | None = None) -> list:
    """What `target` returns in each of these processes, in which it runs at the same time."""
    try:
        for index in indices:
            _kept(index, environment or dict(os.environ)).send(target, arguments)
        return [_KEPT[index].receive(target) for index in indices]
    except BaseException:
        for index in indices:
            if index in _KEPT:
                _KEPT.pop(index).end()
        raise


def begin(count: int, modules: Sequence[str]) -> None:
    """Let the first `count` kept processes import modules, one for each core at a time, beside this process.

    `prepare` waits for them; it is also what reports a failure.
    """
    environment, cores = dict(os.environ), os.cpu_count() or 1

    def work(first: int) -> None:
        for index in range(first, count, cores):
            with contextlib.suppress(RuntimeError):
                _all(range(index, index + 1), LOAD, {"modules": list(modules)}, environment)

    _await()
    for first in range(min(count, cores)):
        _BEGUN.append(threading.Thread(target=work, args=(first,), daemon=True))
        _BEGUN[-1].start()


def _await() -> None:
    """Wait for what `begin` has begun."""
    while _BEGUN:
        _BEGUN.pop().join()


def prepare(count: int, modules: Sequence[str]) -> None:
    """Let the first `count` kept processes import modules, all at the same time.

    One whose modules changed on disk since it imported them is replaced. Errors: RuntimeError.
    """
    _await()
    arguments = {"modules": list(modules)}
    answers = _all(range(count), LOAD, arguments)
    for index, answer in enumerate(answers):
        if answer == CHANGED:
            _KEPT.pop(index).end()
    if CHANGED in answers:
        _all(range(count), LOAD, arguments)


def call(index: int, target: str, arguments: dict) -> Any:
    """What `target` ("package.module:function") returns for these keyword arguments, in a fresh process.

    It has what the kept process of this number imported. Errors: RuntimeError with the last line it wrote
    when it fails.
    """
    _await()
    return _all(range(index, index + 1), target, arguments)[0]


def shared(target: str, jobs: Sequence[dict], at_once: int) -> list:
    """What `target` returns for each job's arguments, so many at the same time, each in a fresh process.

    For work whose result does not depend on what runs beside it. Errors: as `call`.
    """
    at_once = min(len(jobs), at_once)
    if not at_once:
        return []
    prepare(at_once, [target.partition(":")[0]])
    free = list(range(at_once))

    def work(job: dict) -> Any:
        index = free.pop()
        try:
            return call(index, target, job)
        finally:
            free.append(index)

    with ThreadPoolExecutor(at_once) as threads:
        return list(threads.map(work, jobs))


def memory(target: str, arguments: dict, processes: int, at_once: int = 1) -> dict:
    """What `target` reads of its memory in the median one of several processes, and the "readings" of all.

    So many processes run `at_once`: what one holds does not depend on what another does.
    """
    prepare(at_once, [target.partition(":")[0]])
    found: list[dict] = []
    while len(found) < processes:
        found += _all(range(min(at_once, processes - len(found))), target, arguments)
    found.sort(key=lambda read: read["resident"])
    readings = [read["resident"] for read in found]
    return found[processes // 2] | {"resident": round(statistics.median(readings)), "readings": readings}


def end() -> None:
    """End every kept process."""
    _await()
    while _KEPT:
        _KEPT.popitem()[1].end()


atexit.register(end)


def load(modules: list[str]) -> str:
    """The work of a kept process: import modules; CHANGED where a file of one it knows is another now."""
    if any(_times(path) != time for path, time in _SEEN.items()):
        return CHANGED
    for module in modules:
        importlib.import_module(module)
    _note_files()
    return ""


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


def _end_with_the_asker() -> None:
    """Wait until nobody can ask any more; then end this process and all that it started."""
    os.read(0, 1)
    os.killpg(0, signal.SIGKILL)


def _copied(target: str, arguments: dict) -> dict:
    """The answer of a copy of this process, which ends with the call."""
    read, write = os.pipe()
    gc.freeze()  # what is imported stays shared
    child = os.fork()
    if not child:
        _in_copy(target, arguments, write)
    os.close(write)
    said = b""
    with os.fdopen(read, "rb", buffering=0) as answer:
        while True:
            if 0 in select.select([0, answer], [], [])[0]:  # nothing is asked during a call: the asker ended
                _end_with_the_asker()
            piece = answer.read(2**16)
            if not piece:
                break
            said += piece
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {"ended": status} if status else {"result": json.loads(said)}


def _in_copy(target: str, arguments: dict, write: int) -> NoReturn:
    """The copy's side."""
    status = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        result = json.dumps(fresh_process.find(target)(**arguments))
        with os.fdopen(write, "w") as stream:
            stream.write(result)
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def main() -> None:
    """The kept process's side: one request after another; standard output is kept for the answers alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that asks ends it
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    requests = os.fdopen(0, "rb", buffering=0)  # what `select` sees is all there is
    alone = False
    while not alone and (line := requests.readline()):
        target, arguments = json.loads(line)
        if target == LOAD:
            answer = {"result": load(**arguments)}
        elif THREADS.exists() and len(list(THREADS.iterdir())) == 1:
            answer = _copied(target, arguments)
        else:
            alone = True
            threading.Thread(target=_end_with_the_asker, daemon=True).start()
            answer = {"result": fresh_process.find(target)(**arguments), "last": True}
        print(json.dumps(answer), file=output, flush=True)
    sys.stderr.flush()
    os._exit(0)
