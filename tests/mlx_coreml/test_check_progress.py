"""The line on the terminal, and the time that a check may take."""

import io
from types import SimpleNamespace

import pytest

from mlx_coreml.conversion import budget, progress
from mlx_coreml.conversion.budget import Budget, weights_in
from mlx_coreml.conversion.progress import Progress


@pytest.fixture
def terminal(monkeypatch):
    """A terminal that is written to, after no wait."""
    written = io.StringIO()
    written.isatty = lambda: True
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=written))  # pytest has its own in sys
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    monkeypatch.setattr(progress, "BEAT", 0.001)
    return written


def wait_for(written: io.StringIO, text: str) -> None:
    for _ in range(10_000):
        if text in written.getvalue():
            return
        progress.time.sleep(0.001)
    raise AssertionError(f"{text!r} is not in {written.getvalue()!r}")


def test_one_line_is_rewritten_and_wiped_off(terminal):
    with Progress("Llama").shown_while() as line:
        line.at("lowers", 0.1)
        wait_for(terminal, "Llama: lowers")
    assert "\n" not in terminal.getvalue() and terminal.getvalue().endswith("\r\x1b[K")


def test_what_is_done_soon_and_what_is_no_terminal_is_not_written_to(terminal, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 60.0)
    with Progress("Llama").shown_while():
        pass
    terminal.isatty = lambda: False
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    with Progress("Llama").shown_while():
        progress.time.sleep(0.01)
    assert terminal.getvalue() == ""


def test_the_environment_asks_for_the_line_or_forbids_it(terminal, monkeypatch):
    monkeypatch.setenv("MLX_COREML_PROGRESS", "0")
    assert not progress.wanted()
    terminal.isatty = lambda: False
    monkeypatch.setenv("MLX_COREML_PROGRESS", "1")
    assert progress.wanted()


def test_the_time_left_follows_from_the_share_that_is_done(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    line = Progress("Llama")
    assert line.line(101.0) == "Llama: , 1 s"
    now[0] = 110.0
    line.at("checks zeros", 0.25)
    assert line.line(112.0) == "Llama: checks zeros, 12 s, about 28 s left"
    assert line.line(150.0).endswith("nearly done")


def test_a_large_model_is_called_again_only_while_there_is_time(monkeypatch, tmp_path):
    now = [0.0]
    monkeypatch.setattr(budget.time, "monotonic", lambda: now[0])
    (tmp_path / "weight.bin").write_bytes(b"12345")
    assert weights_in(tmp_path) == 5
    large, small = Budget(10.0, budget.LARGE, 4), Budget(10.0, 5, 4)
    for limits in (large, small):
        with limits.spent():
            now[0] += 4
    now[0] = 6.0
    assert large.allows_another() and small.allows_another() and large.share == 0.6
    assert small.share == 0.25
    now[0] = 6.5
    assert not large.allows_another() and small.allows_another()
