"""`make train`: starts a framework's own launcher, shows what its workers say, and asks them to stop.

mlx.launch starts MLX's workers, on other hosts by ssh; torchrun starts PyTorch's, once on every host
(https://docs.pytorch.org/docs/2.13/elastic/run.html). All that they and libraries print is in engine.log.
How a run ended is what its workers say: mlx.launch 0.32.4 ends with status 0 even when a worker was killed.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psutil

from twins.machine import given
from twins.training.distributed import hosts as hosts_file
from twins.training.distributed import settings
from twins.training.distributed.hosts import Host
from twins.training.distributed.settings import Asked
from twins.training.distributed.stopping import FRONT_END, SIGNALS, STOP
from twins.training.distributed.wording import ENDED, FAILED, heard

WORKER = "twins.training.distributed.worker"
HANDED_ON = ("PYTHONPATH", "TWINS_DEVICE", "TWINS_THREADS")  # to workers on other hosts
JOIN = 120  # seconds that torchrun waits for the other hosts
GRACE = 5.0  # seconds that the others have to end once a worker has failed; one that hangs heeds no signal


def command(asked: Asked, worker: str = WORKER, told: str = "") -> list[str]:
    """What starts the workers of this host, after checks that name what would fail later.

    `worker` is their module and `told` its argument, which is the run unless another is given.

    Errors: ValueError, one sentence, for a host that does not answer or a port that is in use.
    """
    told = told or settings.to_json(asked.run)
    if asked.run.processes == 1:
        return [sys.executable, "-m", worker, told]
    hosts, rest = hosts_file.read(asked.hosts) if asked.hosts else ([Host("127.0.0.1", "127.0.0.1", {})], {})
    hosts_file.check_reachable(hosts, asked.port, by_ssh=asked.run.framework == "mlx")
    build = {"mlx": _mlx_launch, "torch": _torchrun}[asked.run.framework]
    return [*build(asked, hosts, rest), worker, told]


def _mlx_launch(asked: Asked, hosts: list[Host], rest: dict) -> list[str]:
    """mlx.launch as installed beside this Python, on the hosts of a file that names each once a process."""
    for rank, host in enumerate(hosts):
        if hosts_file.is_local(host):
            first = asked.port + rank * asked.each
            hosts_file.check_free(host.ip, range(first, first + asked.each))
    launcher = Path(sys.executable).parent / "mlx.launch"
    made = [sys.executable, str(launcher), "-n", str(asked.each), "--starting-port", str(asked.port)]
    if asked.hosts:
        file = asked.run.folder / "hosts.json"
        file.write_text(json.dumps(rest | {"hosts": [h.entry for h in hosts for _ in range(asked.each)]}))
        made += ["--hostfile", str(file)]
    if asked.run.backend:
        made += ["--backend", asked.run.backend]
    for name in HANDED_ON:
        made += ["--env", f"{name}={os.environ[name]}"] if os.environ.get(name) else []
    return [*made, "--", sys.executable, "-m"]


def _torchrun(asked: Asked, hosts: list[Host], _rest: dict) -> list[str]:
    """torchrun for this host's share of the processes; the first host's address is where all meet."""
    place = hosts_file.place(hosts)
    if place == 0:
        hosts_file.check_free(hosts[0].ip, range(asked.port, asked.port + 1))
    meeting = ["--master-addr", hosts[0].ip, "--master-port", str(asked.port)]
    nodes = ["--nnodes", str(len(hosts)), "--node-rank", str(place), "--rdzv-conf", f"timeout={JOIN}"]
    share = ["--nproc-per-node", str(asked.each), "--max-restarts", "0"]
    return [sys.executable, "-m", "torch.distributed.run", *share, *nodes, *meeting, "-m"]


def environment(asked: Asked) -> dict[str, str]:
    """This process's, with the cores shared by the host's workers unless TWINS_THREADS says otherwise."""
    threads = max(1, (os.cpu_count() or 1) // asked.each)
    own = {"PYTHONUNBUFFERED": "1", FRONT_END: str(os.getpid())}
    return {"TWINS_THREADS": str(threads), **os.environ, **own}


def marked(output: IO[str], log: Path) -> Iterator[tuple[str, str]]:
    """What workers say in an engine's output, all of which goes to the log."""
    with log.open("a") as file:
        for line in output:
            file.write(line)
            file.flush()
            said = heard(line)
            if said:
                yield said


def run(asked: Asked) -> int:
    """Run to the end and give the exit status: 0 when finished or stopped as asked, otherwise 1.

    Errors: ValueError, one sentence, before anything is started.
    """
    folder = asked.run.folder
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "engine.log"
    engine = subprocess.Popen(
        command(asked),
        env=environment(asked),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # a terminal's SIGINT reaches this process alone, which asks the workers
    )
    assert engine.stdin and engine.stdout
    for number in SIGNALS:
        signal.signal(number, lambda *_: ask_to_stop(engine))
    ended, failed = "", ""
    for kind, text in marked(engine.stdout, log):
        ended, failed = text if kind == ENDED else ended, failed or (text if kind == FAILED else "")
        if kind != FAILED:
            print(text, flush=True)
        else:
            end_after(GRACE, engine)
    engine.wait()
    if ended and not failed:
        return 0
    print(failed or _unsaid(engine.returncode, log), file=sys.stderr, flush=True)
    return 1


def end_after(seconds: float, engine: subprocess.Popen) -> None:
    """End the launcher and what it started, if some seconds from now it still runs."""
    timer = threading.Timer(seconds, kill_all, [engine])
    timer.daemon = True
    timer.start()


def kill_all(engine: subprocess.Popen) -> None:
    """Kill a launcher that still runs, and all that it started on this host."""
    if engine.poll() is None:
        started = [*psutil.Process(engine.pid).children(recursive=True), engine]
        for process in started:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def ask_to_stop(engine: subprocess.Popen) -> None:
    """Tell the workers through the launcher's standard input; asked again, end the launcher and them."""
    assert engine.stdin
    if engine.stdin.closed:
        os.killpg(engine.pid, signal.SIGTERM)
        return
    try:
        engine.stdin.write(STOP.decode())
        engine.stdin.close()
    except OSError:  # it has ended
        return


def _unsaid(status: int, log: Path) -> str:
    """What to say of a run that ended without a word of its workers."""
    last = (log.read_text(errors="replace").strip().splitlines() or ["nothing"])[-1]
    return (
        f"training ended with status {status} and no message of a worker; the last line of {log} is: {last}"
    )


def main() -> int:
    """The exit status of `make train`; errors of a user are one sentence on standard error."""
    try:
        return run(settings.asked(given.variables(os.environ), hosts_file.count))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
