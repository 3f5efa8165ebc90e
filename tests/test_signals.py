"""The tests may run in the background of a script: what they start can be interrupted all the same."""

import subprocess
import sys
from pathlib import Path

import pytest

CHILD = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}], check=True)"


@pytest.mark.parametrize(
    ("first", "interrupted"), [("", "False"), ("import signals; signals.restore(); ", "True")]
)
def test_a_process_in_the_background_starts_children_that_can_be_interrupted(first, interrupted):
    background = ["sh", "-c", '"$0" -c "$1" & wait $!', sys.executable, first + PARENT]
    done = subprocess.run(background, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [interrupted]


@pytest.mark.parametrize(("first", "ends"), [("", "False"), ("import signals; signals.restore(); ", "True")])
def test_what_nohup_runs_starts_children_that_a_closed_terminal_ends(first, ends):
    child = "import signal; print(signal.getsignal(signal.SIGHUP) is signal.SIG_DFL)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    kept = ["sh", "-c", 'trap "" HUP; "$0" -c "$1"', sys.executable, first + parent]
    done = subprocess.run(kept, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [ends]
