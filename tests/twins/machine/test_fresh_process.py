"""A function called in a fresh process: what comes back, and what a failure says."""

import os

import pytest

from twins.machine import fresh_process


def test_json_goes_in_and_comes_out():
    assert fresh_process.call("json:loads", {"s": '{"a": [1, 2.5, null]}'}) == {"a": [1, 2.5, None]}


def test_it_is_another_process():
    assert len({fresh_process.call("os:getpid", {}), fresh_process.call("os:getpid", {}), os.getpid()}) == 3


def test_what_the_function_prints_is_not_the_result():
    assert fresh_process.call("os:system", {"command": "echo noise; echo '{}'"}) == 0


def test_a_failure_says_the_last_line():
    with pytest.raises(RuntimeError) as raised:
        fresh_process.call("json:loads", {"s": "["})
    assert str(raised.value) == (
        "json:loads in a process of its own ended with 1: "
        "json.decoder.JSONDecodeError: Expecting value: line 1 column 2 (char 1)"
    )


def test_a_killed_process_is_a_failure():
    with pytest.raises(RuntimeError, match=r"^os:abort in a process of its own ended with -6: "):
        fresh_process.call("os:abort", {})


@pytest.mark.parametrize("target", ["json:nowhere", "no_such_module:f"])
def test_an_unknown_target_is_named(target):
    with pytest.raises(RuntimeError, match=rf"^{target} .*(nowhere|no_such_module)"):
        fresh_process.call(target, {})
