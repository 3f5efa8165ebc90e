"""A run that is unlucky: a full or read-only disk, a closed terminal, no memory left, another run."""

import fcntl
import os
import pty
import shutil
import signal
import subprocess
import termios
import time
from pathlib import Path

import psutil
import pytest
from test_runner import command, project, run, states, write  # noqa: F401  (project is a fixture)

from twins.machine import ending

WAITS = "import os, time\nprint('· waiting', os.getpid(), flush=True)\ntime.sleep({seconds})"


@pytest.fixture
def small(project, tmp_path_factory):  # noqa: F811
    """The same report on a disk of one megabyte."""
    folder = tmp_path_factory.mktemp("disk")
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("not run here: needs the right to mount a file system")
    try:
        shutil.copytree(project, folder, dirs_exist_ok=True)
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_is_one_sentence_and_what_is_finished_stays(small):
    write(small, "02_b", "print('x' * 3_000_000)")
    done = run(small)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("error: ") and "No space left on device" in done.stderr
    write(small, "02_b", "print('b')")
    assert states(run(small)) == {"01_a": "unchanged", "02_b": "done", "00_summary": "done"}


def test_a_read_only_folder_is_one_sentence(small):
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    done = run(small)
    assert done.returncode == 1
    assert done.stderr == f"error: [Errno 30] Read-only file system: '{small}/build'\n"


def test_a_page_whose_process_is_killed_is_one_sentence_and_the_others_run(project):  # noqa: F811
    write(project, "01_a", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    done = run(project)
    assert states(done) == {"01_a": "FAILED", "02_b": "done", "00_summary": "done"}
    assert done.stderr == f"error: 01_a: its process ended by itself or {ending.KILLED}\n"


def test_a_closed_terminal_ends_the_run_and_its_page(project):  # noqa: F811
    write(project, "02_b", WAITS.format(seconds=600))
    ours, terminal = pty.openpty()

    def controlled() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    streams = {"stdin": terminal, "stdout": terminal, "stderr": terminal}
    going = subprocess.Popen(command(project), **streams, preexec_fn=controlled)
    os.close(terminal)
    said = b""
    while b"waiting" not in said:
        said += os.read(ours, 1000)
    kernels = psutil.Process(going.pid).children(recursive=True)
    assert kernels
    os.close(ours)
    assert going.wait(timeout=60) != 0
    assert not psutil.wait_procs(kernels, timeout=20)[1]
    write(project, "02_b", "print('b')")
    assert states(run(project)) == {"01_a": "unchanged", "02_b": "done", "00_summary": "done"}


def test_a_second_run_waits_for_the_first_and_finds_its_pages(project):  # noqa: F811
    write(project, "02_b", WAITS.format(seconds=3))
    pipe = subprocess.PIPE
    first = subprocess.Popen(command(project), stdout=pipe, text=True)
    assert any("waiting" in line for line in first.stdout)
    second = run(project)
    other = f"the report of profile quick, process {first.pid}"
    assert second.stderr == f"waiting until {other}, no longer works in {project}/build\n"
    assert set(states(second).values()) == {"unchanged"}
    assert first.communicate() and first.returncode == 0


def test_what_a_killed_page_started_ends_with_it(project):  # noqa: F811
    """The runner is killed; the page measures in a process of its own."""
    code = "from twins.machine import fresh_process\nimport os\nprint('· waiting', os.getpid(), flush=True)\n"
    write(project, "02_b", code + "fresh_process.call('test_unlucky:measured', {})")
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    going = subprocess.Popen(command(project), stdout=subprocess.PIPE, text=True, env=environment)
    line = next(line for line in going.stdout if "waiting" in line)
    kernel = psutil.Process(int(line.split()[-1]))
    while not (measuring := kernel.children()):
        pass
    going.send_signal(signal.SIGKILL)
    going.communicate()
    assert not psutil.wait_procs([kernel, *measuring], timeout=20)[1]


def measured() -> None:
    """What a process of its own does in the test above."""
    time.sleep(600)
