"""Two ranks on this machine, started by each framework's launcher: one run is killed, stopped and finished.

Each framework's run is launched three times in one folder, and its whole loss curve is then compared with
that of one process. What ranks must agree on is one more launch.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from twins.machine.given import PREFIX
from twins.records import store
from twins.records.record_types import Fit
from twins.training import train
from twins.training.distributed import checkpoints, hosts, settings, tasks

PAIR = Path(__file__).with_name("paced_pair.py")
STEPS, BATCH, EVERY, EXACT = 24, 8, 3, 1e-5
GUARD = 240  # seconds after which a test is given up; nothing is asserted of times


def started(framework: str, out: Path, **environment: str) -> subprocess.Popen:
    """`make train` with two processes, as the Makefile calls it; `environment` is read by the pair itself."""
    asked = {
        "MODEL": str(PAIR),
        "FRAMEWORK": framework,
        "NPROC": "2",
        "OUT": str(out),
        "PORT": str(hosts.free_ports(2)),
    }
    given = asked | {"STEPS": str(STEPS), "BATCH": str(BATCH), "EVERY": str(EVERY)}
    environment = environment | {PREFIX + name: text for name, text in given.items()}
    return subprocess.Popen(
        [sys.executable, "-m", "twins.training.distributed.launch"],
        env={**os.environ, "TWINS_DEVICE": "cpu", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_step(process: subprocess.Popen, out: Path, step: int) -> None:
    """Until a checkpoint of this step or a later one is there."""
    last = time.monotonic() + GUARD
    while not any(reached >= step for reached in steps_kept(out)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < last
        time.sleep(0.1)


def steps_kept(out: Path) -> list[int]:
    return sorted(int(path.stem[5:]) for path in (out / "checkpoints").glob(checkpoints.PATTERN))


def worker(process: subprocess.Popen, rank: int) -> psutil.Process:
    """The process of a rank, by the environment that its launcher gave it."""
    for child in psutil.Process(process.pid).children(recursive=True):
        variables = child.environ()
        own = variables.get("RANK") or variables.get("MLX_RANK")
        if own == str(rank) and "twins.training.distributed.worker" in child.cmdline():
            return child
    raise AssertionError(f"no worker of rank {rank}")


def one_process(framework: str) -> list[float]:
    """The losses of the same run by the step that the report trains with, in this process."""
    run = settings.Run(str(PAIR), framework, "", steps=STEPS, batch=BATCH)
    task = tasks.task(run)
    half = task.twin.halves()[settings.FRAMEWORKS.index(framework)]
    return train.fit(half, map(task.draw, range(STEPS)))


@pytest.fixture(scope="module", params=settings.FRAMEWORKS)
def history(request, tmp_path_factory):
    """One run: a worker killed, its newest checkpoint spoilt, continued and stopped, continued to its end."""
    framework, out = request.param, tmp_path_factory.mktemp(request.param)
    told, kept = [], []
    process = started(framework, out, PACE="0.2")
    wait_for_step(process, out, 2 * EVERY)
    worker(process, 1).kill()
    told.append((*process.communicate(timeout=GUARD), process.returncode))
    kept.append(steps_kept(out))
    newest = max((out / "checkpoints").glob(checkpoints.PATTERN))
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1  # one bit of the last array
    newest.write_bytes(content)
    process = started(framework, out, PACE="0.2")
    wait_for_step(process, out, kept[0][-1] + EVERY)
    process.send_signal({"mlx": signal.SIGINT, "torch": signal.SIGTERM}[framework])
    told.append((*process.communicate(timeout=GUARD), process.returncode))
    kept.append(steps_kept(out))
    process = started(framework, out)
    told.append((*process.communicate(timeout=GUARD), process.returncode))
    kept.append(steps_kept(out))
    return framework, out, told, kept


def test_a_killed_worker_ends_the_run_with_one_sentence_and_the_last_whole_step(history):
    _, _, ((_, error, status), *_), (kept, *_) = history
    assert status == 1
    (line,) = error.strip().splitlines()
    assert line.startswith("rank 0: another worker no longer answers (")
    assert line.endswith("the same command continues after the last whole step")
    assert len(kept) == checkpoints.KEPT
    assert kept[-1] >= 2 * EVERY


def test_a_corrupt_checkpoint_is_named_and_the_one_before_it_used(history):
    _, out, (_, (output, error, status), _), (before, *_) = history
    assert (error, status) == ("", 0)
    first, second, *_ = output.splitlines()
    assert first.startswith(f"step-{before[-1]:09d}.safetensors is corrupt: ")
    assert first.endswith("the one before it is used")
    assert second == f"continues after step {before[0]}"
    assert [path.stem for path in (out / "checkpoints").glob("*.corrupt")] == [f"step-{before[-1]:09d}"]


def test_a_signal_stops_all_ranks_after_the_same_step(history):
    _, _, (_, (output, _, status), (last, _, _)), (_, kept, _) = history
    assert status == 0
    assert kept[-1] < STEPS
    assert output.splitlines()[-1].startswith(f"stopped after step {kept[-1]}; ")
    assert last.splitlines()[0] == f"continues after step {kept[-1]}"


def test_the_loss_curve_is_that_of_one_process_through_all_of_it(history):
    framework, out, (*_, (output, error, status)), (*_, kept) = history
    assert (error, status) == ("", 0)
    assert output.splitlines()[-1].startswith(f"finished {STEPS} steps, held-out loss ")
    assert kept[-1] == STEPS
    (fit,) = store.read(out / "results").bodies(Fit)
    (losses,) = fit.losses.values()
    assert losses == pytest.approx(one_process(framework), rel=EXACT)
    assert fit.case["processes"] == 2


@pytest.mark.parametrize("framework", settings.FRAMEWORKS)
def test_ranks_with_different_data_do_not_train(framework, tmp_path):
    process = started(framework, tmp_path, DIFFERENT="1")
    output, error = process.communicate(timeout=GUARD)
    assert process.returncode == 1
    (line,) = error.strip().splitlines()
    assert "rank 1 has other data than rank 0 (" in line
    assert (output, steps_kept(tmp_path)) == ("", [])
