"""Kept processes: what comes back, what stays, how they fail, and that none outlives the one that asks."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from twins.machine import kept_processes

HERE = Path(__file__).parent
HELD: list[int] = []
IMPORTED_BY = os.getpid()
if os.environ.get("TEST_THREADS") == "2":
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()


def hold(number: int) -> dict:
    """Called in a fresh process: what it has held so far, and whether another process imported this file."""
    HELD.append(number)
    return {"held": HELD, "copied": os.getpid() != IMPORTED_BY}


def seed() -> int:
    """Called in a fresh process: what its seed of hashes makes of a text."""
    return hash("twins")


def ignore_end() -> None:
    """Called in a kept process: a child of it that would run on, and a call that does not return."""
    subprocess.Popen(["sleep", "600"])
    time.sleep(600)


def held(size: int) -> dict:
    """Called in a fresh process: a reading of memory that says which process it was made in."""
    return {"resident": size + os.getpid() % 2, "allocator": os.getpid()}


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
    """The number of the process that a call runs in."""
    return kept_processes.call(index, "os:getpid", {})


def kept(index: int) -> int:
    """The number of the kept process, of which that one is a copy."""
    return kept_processes.call(index, "os:getppid", {})


def gone(*pids: int) -> bool:
    """Whether processes have ended, or do within seconds."""
    there = [psutil.Process(each) for each in pids if psutil.pid_exists(each)]
    living = psutil.wait_procs(there, timeout=20)[1]
    return not [each for each in living if each.status() != psutil.STATUS_ZOMBIE]


def test_json_goes_in_and_comes_out():
    assert kept_processes.call(0, "json:loads", {"s": '{"a": [1, 2.5, null]}'}) == {"a": [1, 2.5, None]}


def test_every_call_is_a_process_of_its_own():
    found = [pid(index) for index in (0, 1, 2, 0, 1, 2)]
    assert len({*found, os.getpid()}) == 7


@pytest.mark.usefixtures("importable")
@pytest.mark.parametrize("threads", [1, 2])
def test_nothing_is_left_from_call_to_call_but_what_was_imported(threads, monkeypatch):
    """Whether it is copied or, where libraries run threads, ends with its call."""
    monkeypatch.setenv("TEST_THREADS", str(threads))
    kept_processes.prepare(2, ["test_kept_processes"])
    for index in (0, 1, 0):
        first, second = (
            kept_processes.call(index, "test_kept_processes:hold", {"number": n}) for n in (1, 2)
        )
        assert (first["held"], second["held"]) == ([1], [2])
        assert first["copied"] == second["copied"] == (threads == 1)


@pytest.mark.usefixtures("importable")
def test_kept_processes_differ_in_what_is_fixed_for_a_process():
    """The seed of hashes stands for all of it."""
    seeds = [kept_processes.call(index, "test_kept_processes:seed", {}) for index in (0, 1, 0)]
    assert seeds[0] == seeds[2] != seeds[1]


@pytest.mark.skipif(not kept_processes.THREADS.exists(), reason="not run here: needs Linux")
def test_the_frameworks_can_be_imported_and_copied(monkeypatch):
    """One thread: an import that starts another would cost seconds at every call."""
    from twins import frameworks  # not at the top: the processes of the other tests import this file

    monkeypatch.setenv("TWINS_DEVICE", "cpu")
    if "cuda" in frameworks.TORCH.available():
        pytest.skip("not run here: CUDA runs threads of its own")
    kept_processes.prepare(1, ["twins.timing.variants", *frameworks.COMPILER])
    assert len({kept_processes.call(0, "os:getppid", {}) for _ in range(2)}) == 1


def test_what_the_function_prints_is_not_the_result():
    assert kept_processes.call(0, "os:system", {"command": "echo noise; echo '{}'"}) == 0


def test_a_failure_is_the_last_line_and_ends_the_kept_process():
    before = kept(0)
    with pytest.raises(RuntimeError) as raised:
        kept_processes.call(0, "json:loads", {"s": "["})
    assert str(raised.value) == (
        "json:loads in a process of its own ended with 1: "
        "json.decoder.JSONDecodeError: Expecting value: line 1 column 2 (char 1)"
    )
    assert kept(0) != before and gone(before)


def test_a_killed_process_is_a_failure():
    with pytest.raises(RuntimeError, match=r"^os:abort in a process of its own ended with -6: "):
        kept_processes.call(0, "os:abort", {})


def test_one_that_died_between_calls_is_replaced():
    before = kept(0)
    os.kill(before, signal.SIGKILL)
    assert gone(before) and kept(0) != before


@pytest.mark.parametrize("target", ["json:nowhere", "no_such_module:f"])
def test_an_unknown_target_is_named(target):
    with pytest.raises(RuntimeError, match=rf"^{target} .*(nowhere|no_such_module)"):
        kept_processes.call(0, target, {})


def test_a_module_that_cannot_be_imported_fails_for_all():
    with pytest.raises(RuntimeError, match="no_such_module"):
        kept_processes.prepare(2, ["no_such_module"])


def test_another_environment_is_another_process(monkeypatch):
    before = kept(0)
    monkeypatch.setenv("TWINS_SOMETHING", "new")
    assert kept_processes.call(0, "os:getenv", {"key": "TWINS_SOMETHING"}) == "new"
    assert kept(0) != before and gone(before)


def test_changed_code_is_imported_again(tmp_path, monkeypatch):
    file = tmp_path / "module_of_a_reader.py"
    file.write_text("def f(): return 1\n")
    paths = [str(tmp_path), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    kept_processes.prepare(1, [file.stem])
    before = kept(0)
    kept_processes.prepare(1, [file.stem])
    assert kept(0) == before
    file.write_text("def f(): return 22\n")
    kept_processes.prepare(1, [file.stem])
    assert kept_processes.call(0, f"{file.stem}:f", {}) == 22 and gone(before)


ASKER = """
import os, signal, sys
from twins.machine import kept_processes
print(*[kept_processes.call(index, "os:getppid", {}) for index in (0, 1)], flush=True)
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
    while not (children := busy.children(recursive=True)[1:]):
        time.sleep(0.05)
    made.send_signal(how)
    with made:
        assert made.wait(timeout=60) != 0
    assert gone(*pids, children[0].pid)


def test_what_is_begun_is_used_and_has_the_environment_of_then(monkeypatch, importable):
    kept_processes.begin(2, ["test_kept_processes"])
    monkeypatch.setenv("TWINS_LATER", "1")
    monkeypatch.delenv("TWINS_LATER")
    kept_processes.prepare(2, ["json"])
    begun = [kept(index) for index in range(2)]
    assert len(set(begun)) == 2
    assert [kept(index) for index in range(2)] == begun
    kept_processes.begin(1, ["json"])
    assert kept(0) == begun[0]


def test_what_cannot_be_begun_is_said_when_it_is_needed():
    kept_processes.begin(1, ["no_such_module"])
    with pytest.raises(RuntimeError, match="No module named 'no_such_module'"):
        kept_processes.prepare(1, ["no_such_module"])


def test_memory_is_read_in_several_processes_and_every_reading_is_kept(importable):
    read = kept_processes.memory("test_kept_processes:held", {"size": 4}, 3, at_once=2)
    assert len(read["readings"]) == 3 and read["readings"] == sorted(read["readings"])
    assert read["resident"] == read["readings"][1] and set(read["readings"]) <= {4, 5}
    assert read["allocator"] != os.getpid()


def test_shared_work_comes_back_in_order_from_processes_of_its_own(importable):
    found = kept_processes.shared("test_kept_processes:hold", [{"number": each} for each in range(5)], 2)
    assert [each["held"] for each in found] == [[each] for each in range(5)]
    assert len(kept_processes._KEPT) <= 2
    assert kept_processes.shared("test_kept_processes:hold", [], 2) == []


def test_a_failure_of_shared_work_is_told(importable):
    with pytest.raises(RuntimeError, match=r"unexpected keyword argument 'digit'"):
        kept_processes.shared("test_kept_processes:hold", [{"number": 1}, {"digit": 2}], 2)
