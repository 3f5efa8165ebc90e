"""What becomes of workers when what started them is killed, and when another worker hangs."""

import signal
import time

import psutil
import pytest
from test_two_processes import GUARD, started, steps_kept, wait_for_step, worker

from twins.training.distributed import settings

PATIENCE = 30.0  # seconds in which a run must end whose worker no longer answers


def gone(processes: list[psutil.Process]) -> bool:
    return not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in processes)


@pytest.mark.parametrize("framework", settings.FRAMEWORKS)
def test_a_killed_front_end_leaves_no_process_and_a_checkpoint_of_the_last_step(framework, tmp_path):
    process = started(framework, tmp_path, PACE="0.2")
    wait_for_step(process, tmp_path, 3)
    left = psutil.Process(process.pid).children(recursive=True)
    assert left
    process.kill()
    last = time.monotonic() + GUARD
    while not gone(left):
        assert time.monotonic() < last, left
        time.sleep(0.2)
    assert steps_kept(tmp_path)[-1] < 24  # stopped, and not trained to its end
    process.communicate()


@pytest.mark.parametrize("framework", settings.FRAMEWORKS)
def test_a_worker_that_hangs_ends_the_run_with_one_sentence(framework, tmp_path):
    process = started(framework, tmp_path, PACE="0.1")
    wait_for_step(process, tmp_path, 3)
    hanging, other = worker(process, 1), worker(process, 0)
    hanging.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    try:
        while not gone([other]):
            assert time.monotonic() < began + GUARD
            time.sleep(0.1)
        took = time.monotonic() - began
        _, error = process.communicate(timeout=GUARD)
    finally:
        if not gone([hanging]):
            hanging.kill()
    assert process.returncode == 1
    (line,) = error.strip().splitlines()
    assert line.startswith("rank 0: ")
    assert "no longer answers" in line
    assert took < PATIENCE
