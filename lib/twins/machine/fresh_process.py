"""Call a function in a fresh Python process: JSON in, JSON out, whatever else it prints set aside."""

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

from twins.machine import ending


class EndedError(RuntimeError):
    """A process ended instead of answering; `how` says it in words, with the last line it wrote."""

    def __init__(self, target: str, how: str):
        super().__init__(f"{target} in a process of its own {how}")
        self.how = how


def call(target: str, arguments: dict, environment: Mapping[str, str] | None = None) -> Any:
    """What `target` ("package.module:function") returns for these keyword arguments, in a new process.

    `environment` is added to this process's own. Errors: EndedError with the last line the process wrote
    when it fails.
    """
    command = ending.command("twins.machine.fresh_process", target)
    done = subprocess.run(
        command,
        input=json.dumps(arguments),
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise failure(target, done.returncode, done.stderr)
    return json.loads(done.stdout)


def failure(target: str, status: int, written: str) -> EndedError:
    """The error of a process that ended with `status` instead of answering, with the last line it wrote."""
    last = (written.strip().splitlines() or ["no message"])[-1]
    how = ending.KILLED if status == -signal.SIGKILL else f"ended with {status}"
    return EndedError(target, f"{how}: {last}")


def find(target: str) -> Callable[..., Any]:
    """The object a "package.module:name" names."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def main() -> None:
    """The child's side: standard output is kept for the result alone."""
    output = os.dup(1)
    os.dup2(2, 1)
    result = json.dumps(find(sys.argv[1])(**json.load(sys.stdin)))
    with os.fdopen(output, "w") as stream:
        stream.write(result)


if __name__ == "__main__":
    main()
