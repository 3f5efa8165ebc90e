"""A process's memory: what it holds and its peak, by the resident set or by macOS's physical footprint."""

import sys

import numpy as np
import pytest

from twins.machine import macos, process_memory

MIB = 2**20


def test_a_peak_is_seen_after_it_was_freed():
    process_memory.reset_peak()
    before = process_memory.held()
    block = np.ones(64 * MIB, np.uint8)
    during = process_memory.held()
    del block
    assert during - before > 48 * MIB
    assert process_memory.peak() - before > 48 * MIB


@pytest.mark.skipif(sys.platform != "linux", reason="clear_refs is of Linux's proc(5)")
def test_a_reset_begins_a_new_peak():
    block = np.ones(128 * MIB, np.uint8)
    high = process_memory.peak()
    del block
    process_memory.reset_peak()
    assert process_memory.peak() < high - 96 * MIB


def test_on_macos_the_physical_footprint_is_read_and_named(monkeypatch):
    monkeypatch.setattr(macos, "footprint", lambda: 5 * MIB)
    monkeypatch.setattr(macos, "peak_footprint", lambda: 9 * MIB)
    assert process_memory.meaning() == "physical footprint"
    assert (process_memory.held(), process_memory.peak()) == (5 * MIB, 9 * MIB)


def test_without_a_footprint_the_resident_set_is_read_and_named(monkeypatch):
    monkeypatch.setattr(macos, "footprint", lambda: None)
    monkeypatch.setattr(macos, "peak_footprint", lambda: None)
    assert process_memory.meaning() == "resident set"
    assert 0 < process_memory.held() <= process_memory.peak() + 8 * MIB
