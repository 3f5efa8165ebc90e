"""Files appear whole or not at all; a folder is worked in by one command at a time."""

import os
import signal
import subprocess
import sys

import pytest

from twins.records import writing

WORK = """
import sys, time
from pathlib import Path
from twins.records import writing
with writing.alone(Path(sys.argv[1]), sys.argv[2]):
    with writing.alone(Path(sys.argv[1]), "again"):
        print("works", flush=True)
    sys.stdin.read()
"""


def working(folder, name):
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", WORK, str(folder), name]
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


@pytest.mark.parametrize("killed", [False, True])
def test_the_second_command_waits_and_says_for_whom(tmp_path, killed):
    first = working(tmp_path, "`make one`")
    assert first.stdout.readline() == "works\n"
    second = working(tmp_path, "`make two`")
    told = f"waiting until `make one`, process {first.pid}, no longer works in {tmp_path}\n"
    assert second.stderr.readline() == told
    if killed:
        first.send_signal(signal.SIGKILL)
    first.communicate("")
    assert second.communicate("") == ("works\n", "")
    with writing.alone(tmp_path, "a third"):
        pass


def test_a_file_is_written_whole(tmp_path):
    path = tmp_path / "new" / "a.txt"
    assert writing.write(path, "é") == path and path.read_bytes() == "é".encode()
    assert writing.write(path, b"\0\xff") == path and path.read_bytes() == b"\0\xff"
    assert [each.name for each in path.parent.iterdir()] == ["a.txt"]


FULL = """
import resource, signal, sys
from pathlib import Path
from twins.records import writing
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
writing.write(Path(sys.argv[1]), "x" * 5000)
"""


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path):
    path = writing.write(tmp_path / "a.txt", "before")
    done = subprocess.run([sys.executable, "-c", FULL, path], capture_output=True, text=True, check=False)
    told = f"OSError: [Errno 27] File too large; it is as it was: '{path}'"
    assert done.stderr.splitlines()[-1] == told
    assert path.read_text() == "before" and os.listdir(tmp_path) == ["a.txt"]  # noqa: PTH208


def test_what_a_killed_command_left_is_swept(tmp_path):
    (tmp_path / "m").mkdir()
    for name in (".a.part", "m/.b.part", "m/c.part", "d"):
        (tmp_path / name).write_text("")
    writing.sweep(tmp_path)
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == ["d", "m", "m/c.part"]
