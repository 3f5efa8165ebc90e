"""Judges cases in worker processes that are reused, because importing coremltools takes seconds.

A worker that a case ends, or that exceeds the time limit, is replaced, and the case's outcome says so.
"""

import faulthandler
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue

from mlx_coreml.coverage.cases.case import Case
from mlx_coreml.coverage.outcomes import Outcome
from mlx_coreml.coverage.usage_cases.usage import Usage

START = 120.0  # seconds a worker may take to begin


class Worker:
    """A process that judges one case at a time."""

    def __init__(self, precision: str, log: Path, to: str = "coreml"):
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, precision, str(log), to), daemon=True)
        self.process.start()
        theirs.close()
        try:
            begun = self.pipe.poll(START) and self.pipe.recv()
        except EOFError:
            begun = False
        if not begun:
            self.process.kill()
            raise RuntimeError(f"a worker process did not start; its output is in {log}")

    def judge(self, case: Case | Usage, limit: float) -> Outcome | None:
        """The outcome, a timeout after `limit` seconds; None when the worker is gone."""
        try:
            self.pipe.send((case.group, case.name))
            if self.pipe.poll(limit):
                return self.pipe.recv()
        except (EOFError, ConnectionError):
            self.stop()
            return None
        self.process.kill()
        self.stop()
        return Outcome(case.group, case.name, "timeout", f"more than {limit:g} s", seconds=limit)

    def stop(self) -> None:
        """End the process, which leaves when its pipe is closed."""
        self.pipe.close()
        self.process.join(timeout=10)
        self.process.kill()


def judge_all(
    cases: Sequence[Case | Usage], jobs: int, precision: str, limit: float, log: Path, to: str = "coreml"
) -> Iterator[Outcome]:
    """The outcomes in order, from `jobs` workers at once; `limit` is in seconds per case."""
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    free: SimpleQueue[Worker | None] = SimpleQueue()
    for _ in range(jobs):
        free.put(None)

    def one(case: Case | Usage) -> Outcome:
        worker = free.get()
        try:
            worker = worker or Worker(precision, log, to)
            outcome = worker.judge(case, limit)
        finally:
            free.put(worker if worker and worker.process.is_alive() else None)
        gone = f"the process ended with {worker.process.exitcode}"
        return outcome or Outcome(case.group, case.name, "crash", gone)

    threads = ThreadPoolExecutor(jobs)
    try:
        yield from threads.map(one, cases)
    finally:
        threads.shutdown(cancel_futures=True)
        for worker in filter(None, (free.get() for _ in range(jobs))):
            worker.stop()


def serve(pipe: Connection, precision: str, log: str, to: str) -> None:
    """The worker's loop: it receives names of cases and sends outcomes; what it prints goes to the log."""
    file = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ["TQDM_DISABLE"] = "1"
    faulthandler.enable(file)
    from mlx_coreml import coverage
    from mlx_coreml.coverage.judge import judge

    known = {(case.group, case.name): case for case in coverage.find()}
    pipe.send("ready")
    while True:
        try:
            key = pipe.recv()
        except EOFError:
            return
        pipe.send(judge(known[key], precision, to))
