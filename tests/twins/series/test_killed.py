"""Killed at random moments: what was finished stays, nothing is left, the next run ends as if never killed.

Each work runs in processes of its own (killing.py), which are killed with SIGKILL: before a random step that
changes files, or in the middle of a write; and, what takes minutes, at random moments of its time.
"""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import killing
import psutil
import pytest

from twins.machine import ending
from twins.records import writing
from twins.series import site


def moments(how, count, folder, *works):
    """What killing.py did: for each work [moment, status] of every process that it ended."""
    command = [sys.executable, killing.__file__, how, str(count), str(folder), *works]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_killed_at_fifty_steps(tmp_path):
    found = moments("step", 50, tmp_path, "append", "merge", "publish", "pages of a site")
    for work, killed in found.items():
        assert [status for _, status in killed] == [-signal.SIGKILL] * 50, work
        assert len({moment for moment, _ in killed}) > 3, work


def test_a_page_killed_at_a_few_moments(tmp_path):
    (found,) = moments("time", 3, tmp_path, "page").values()
    assert -signal.SIGKILL in [status for _, status in found]


@pytest.mark.oracle
@pytest.mark.parametrize("work", ["append", "merge", "publish", "site", "page"])
def test_killed_at_fifty_moments(work, tmp_path):
    (found,) = moments("time", 50, tmp_path, work).values()
    assert [status for _, status in found].count(-signal.SIGKILL) == 50


def test_sphinx_ends_with_the_building_that_was_killed(tmp_path):
    killing.before_site(tmp_path)
    child = killing.begin(killing.building, tmp_path)
    scratch = tmp_path / "build" / "quick" / ".site.part"
    last = time.monotonic() + 120  # seconds, after which it is given up
    while not (scratch / "doctrees").exists():  # Sphinx works
        assert time.monotonic() < last
        time.sleep(0.05)
    (sphinx,) = psutil.Process(child).children(recursive=True)
    psutil.Process(child).kill()
    killing.os.waitpid(child, 0)
    sphinx.wait(timeout=killing.PATIENCE)
    assert (tmp_path / "build" / "quick" / "site" / "index.html").read_text() == "old"


def test_a_process_ends_with_the_one_that_started_it():
    """Whichever process a system gives orphans to: here it is one between, which lives on."""
    starts = "import subprocess, sys, time; from twins.machine import ending; "
    starts += "p = subprocess.Popen(ending.command('timeit', 'import time; time.sleep(600)')); "
    starts += "print(p.pid, flush=True); time.sleep(600)"
    parent = subprocess.Popen([sys.executable, "-c", starts], stdout=subprocess.PIPE, text=True)
    orphan = psutil.Process(int(parent.stdout.readline()))
    time.sleep(1)
    assert orphan.is_running()
    parent.kill()
    parent.communicate()
    psutil.wait_procs([orphan], timeout=10 * ending.LOOK)
    assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE


def test_a_part_that_a_killed_command_left_is_no_file_of_the_site(tmp_path):
    """Killed after the new site was in its place: the next building finds nothing to do but to clear away."""
    killing.before_site(tmp_path)
    out = tmp_path / "build" / "quick"
    (out / ".site.part" / "source").mkdir(parents=True)
    (out / "site" / site.DIGEST).write_text(
        site.digest(site.finished(out / "notebooks"), "quick", out / "results")
    )
    site.build(out / "notebooks", out / "site", "quick")
    assert not (out / ".site.part").exists() and (out / "site" / "index.html").read_text() == "old"


@pytest.mark.parametrize("whole", [True, False])
def test_two_folders_change_places(tmp_path, monkeypatch, whole):
    if not whole:  # a system without it
        monkeypatch.setattr(writing.ctypes, "CDLL", lambda *_, **__: object())
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text(name)
    writing.exchange(tmp_path / "a", tmp_path / "b")
    assert [(tmp_path / name / "f").read_text() for name in ("a", "b")] == ["b", "a"]
    assert sorted(path.name for path in Path(tmp_path).iterdir()) == ["a", "b"]
