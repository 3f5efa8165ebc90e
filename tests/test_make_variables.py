"""What is given to make reaches a program as it is: neither make nor the shell reads it.

A Python that only writes down its arguments stands in for the environment; make, the shell, the Makefile and
lib/environment.sh are real, in a folder whose own name holds what a shell would read.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PYTHON = """#!/bin/sh
case "$*" in *distributed.launch) set -- "$@" "SET=$GIVEN_SET" "HOSTS=$GIVEN_HOSTS" "OUT=$GIVEN_OUT";; esac
printf '%s\\n' --- "$@" >>"$SAID"
"""
NASTY = [
    "plain",
    "two  words",
    "$(touch ran)",
    "`touch ran`",
    "$(shell touch ran)",
    "${HOME}",
    "$HOME",
    "'; touch ran; '",
    '"; touch ran; "',
    "a;b&c|d>ran<e",
    "a # b",
    "größe=2 数 é",
    "back\\slash",
    "$$",
    "a'b\"c",
    "--help",
    "*",
    "%.x",
    "a\\ b",
]
CALLS = [  # a target, its variable, and the argument that a program gets
    ("report", "SET", "--set={}"),
    ("report-12", "SET", "--set={}"),
    ("report", "PROFILE", "--profile={}"),
    ("publish", "PROFILE", "--profile={}"),
    ("site", "PROFILE", "--profile={}"),
    ("share", "SINCE", "--since={}"),
    ("merge", "FILES", "--merge={}"),
    ("ios", "PACKAGE", "{}"),
    ("train", "SET", "SET={}"),  # a program of so many variables takes them from the environment
    ("train", "HOSTS", "HOSTS={}"),
    ("train", "OUT", "OUT={}"),
]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone with an environment, in a folder with a name that shells dislike."""
    folder = tmp_path_factory.mktemp("clone") / "a b $(touch ran) 'c' \"d\" ; # é"
    (folder / "lib").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copy(ROOT / "lib" / "environment.sh", folder / "lib")
    (folder / "venv" / "bin").mkdir(parents=True)
    (folder / "venv" / "bin" / "python").write_text(PYTHON)
    (folder / "venv" / "bin" / "python").chmod(0o755)
    (folder / "venv" / ".twins-ready").touch()
    return folder


def called(clone, *given, **environment):
    """The calls of Python that make made, each a list of its arguments; nothing else was run."""
    said = clone / "said"
    said.unlink(missing_ok=True)
    env = {name: os.environ[name] for name in ("PATH", "HOME")} | environment
    env |= {"VIRTUAL_ENV": str(clone / "venv"), "SAID": str(said), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(["make", *given], cwd=clone, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in clone.iterdir()) == ["Makefile", "build", "lib", "said", "venv"]
    calls = said.read_text("utf-8").split("---\n")[1:]
    return [call.removesuffix("\n").split("\n") for call in calls if "twins.machine.doctor" not in call]


@pytest.mark.parametrize(("target", "variable", "argument"), CALLS, ids=[" ".join(c[:2]) for c in CALLS])
def test_a_variable_is_one_argument_as_it_was_given(clone, target, variable, argument):
    for text in NASTY if variable == "FILES" else [" ".join(NASTY)]:  # one by one where it is quickest
        calls = called(clone, target, f"{variable}={text}")
        assert any(argument.format(text) in call for call in calls), (text, calls)


def test_a_variable_of_the_environment_is_no_other(clone):
    for text in [" ".join(NASTY), *NASTY[2:5]]:
        (call,) = called(clone, "merge", FILES=text)
        assert call[-1] == f"--merge={text}"


def test_a_page_is_one_argument_too(clone):
    for page in ("12", "$(touch ran)", "1;touch ran", "`touch ran`"):
        (call,) = called(clone, f"report-{page}")
        assert call[-1] == f"--only={page}"


def test_a_program_lies_where_the_clone_is(clone):
    (call,) = called(clone, "report", "SET=batch=4")
    assert call == ["-m", "twins.series.runner", "--profile=quick", "--set=batch=4"]
