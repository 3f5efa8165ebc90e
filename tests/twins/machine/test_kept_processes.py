"""Kept processes: what comes back, what stays, how they fail, and that none outlives the one that asks."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from twins.machine import kept_processes

HERE = Path(__file__).parent
HELD: list[int] = []


def hold(number: int) -> list[int]:
    """Called in a kept process: what it has held so far."""
    HELD.append(number)
    return HELD


def ignore_end() -> None:
    """Called in a kept process: a child of it that would run on, and a call that does not return."""
    subprocess.Popen(["sleep", "600"])
    time.sleep(600)


@pytest.fixture(autouse=True)
def ended():
    """No process is left by a test."""
    yield
    kept_processes.end()


@pytest.fixture
def importable(monkeypatch):
    """Let kept processes import this file."""
    paths = [str(HERE), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


def pid(index: int) -> int:
    return kept_processes.call(index, "os:getpid", {})


def gone(*pids: int) -> bool:
    """Whether processes have ended, or do within seconds."""
    there = [psutil.Process(each) for each in pids if psutil.pid_exists(each)]
    living = psutil.wait_procs(there, timeout=20)[1]
    return not [each for each in living if each.status() != psutil.STATUS_ZOMBIE]


def test_json_goes_in_and_comes_out():
    assert kept_processes.call(0, "json:loads", {"s": '{"a": [1, 2.5, null]}'}) == {"a": [1, 2.5, None]}


def test_each_number_is_a_process_and_stays_it():
    found = [pid(index) for index in (0, 1, 2, 0, 1, 2)]
    assert found[:3] == found[3:] and len({*found, os.getpid()}) == 4


@pytest.mark.usefixtures("importable")
def test_it_is_the_same_python_from_call_to_call():
    kept_processes.prepare(2, "test_kept_processes")
    told = [kept_processes.call(0, "test_kept_processes:hold", {"number": n}) for n in (1, 2)]
    assert told == [[1], [1, 2]]
    assert kept_processes.call(1, "test_kept_processes:hold", {"number": 3}) == [3]


def test_what_the_function_prints_is_not_the_result():
    assert kept_processes.call(0, "os:system", {"command": "echo noise; echo '{}'"}) == 0


def test_a_failure_is_the_last_line_and_the_next_call_has_a_new_process():
    before = pid(0)
    with pytest.raises(RuntimeError) as raised:
        kept_processes.call(0, "json:loads", {"s": "["})
    assert str(raised.value) == (
        "json:loads in a process of its own ended with 1: "
        "json.decoder.JSONDecodeError: Expecting value: line 1 column 2 (char 1)"
    )
    assert pid(0) != before and gone(before)


def test_a_killed_process_is_a_failure():
    with pytest.raises(RuntimeError, match=r"^os:abort in a process of its own ended with -6: "):
        kept_processes.call(0, "os:abort", {})


def test_one_that_died_between_calls_is_replaced():
    before = pid(0)
    os.kill(before, signal.SIGKILL)
    assert gone(before) and pid(0) != before


@pytest.mark.parametrize("target", ["json:nowhere", "no_such_module:f"])
def test_an_unknown_target_is_named(target):
    with pytest.raises(RuntimeError, match=rf"^{target} .*(nowhere|no_such_module)"):
        kept_processes.call(0, target, {})


def test_a_module_that_cannot_be_imported_fails_for_all():
    with pytest.raises(RuntimeError, match="no_such_module"):
        kept_processes.prepare(2, "no_such_module")


def test_another_environment_is_another_process(monkeypatch):
    before = pid(0)
    monkeypatch.setenv("TWINS_SOMETHING", "new")
    assert kept_processes.call(0, "os:getenv", {"key": "TWINS_SOMETHING"}) == "new"
    assert pid(0) != before and gone(before)


def test_changed_code_is_imported_again(tmp_path, monkeypatch):
    file = tmp_path / "module_of_a_reader.py"
    file.write_text("def f(): return 1\n")
    paths = [str(tmp_path), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    kept_processes.prepare(1, file.stem)
    before = pid(0)
    kept_processes.prepare(1, file.stem)
    assert pid(0) == before
    file.write_text("def f(): return 22\n")
    kept_processes.prepare(1, file.stem)
    assert kept_processes.call(0, f"{file.stem}:f", {}) == 22 and gone(before)


ASKER = """
import os, signal, sys
from twins.machine import kept_processes
print(*[kept_processes.call(index, "os:getpid", {}) for index in (0, 1)], flush=True)
if sys.argv[1] == "busy":
    kept_processes.call(0, "test_kept_processes:ignore_end", {})
if sys.argv[1] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[1] == "raise":
    raise SystemExit(3)
"""


def asker(how: str) -> tuple[subprocess.Popen, list[int]]:
    """A process that keeps two, and their numbers."""
    signal_free = {"start_new_session": True, "stdout": subprocess.PIPE, "text": True}
    made = subprocess.Popen([sys.executable, "-c", ASKER, how], **signal_free)
    return made, [int(each) for each in made.stdout.readline().split()]


@pytest.mark.parametrize("how", ["return", "raise", "killed"])
def test_none_outlives_the_process_that_asks(how):
    made, pids = asker(how)
    with made:
        made.wait(timeout=60)
    assert gone(*pids)


@pytest.mark.usefixtures("importable")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_none_outlives_it_in_the_middle_of_a_call(how):
    made, pids = asker("busy")
    busy = psutil.Process(pids[0])
    while not (children := busy.children()):
        time.sleep(0.05)
    made.send_signal(how)
    with made:
        assert made.wait(timeout=60) != 0
    assert gone(*pids, children[0].pid)
