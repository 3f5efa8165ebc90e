"""The hosts of a run and whether they can be reached, in the form of file that mlx.launch takes.

A list of {"ssh": name, "ips": [address, ...]}, or an object with it as "hosts" beside "backend" and "envs":
https://ml-explore.github.io/mlx/build/html/usage/distributed.html. PyTorch's runs use the addresses.
"""

import json
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

WAIT = 5  # seconds for an answer


@dataclass(frozen=True)
class Host:
    """One host: the name that ssh takes, its first address, and its entry in the file."""

    ssh: str
    ip: str
    entry: dict


def read(path: Path) -> tuple[list[Host], dict]:
    """The hosts of a file, and what else it holds. Errors: ValueError, one sentence."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ValueError(f"HOSTS: {path} cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise ValueError(f"HOSTS: {path} is not JSON ({error})") from None
    rest = content if isinstance(content, dict) else {}
    entries = rest.get("hosts") if rest else content
    if not isinstance(entries, list) or len(entries) < 2 or not all(map(_fits, entries)):
        raise ValueError(
            f"HOSTS: {path} holds no list of hosts; allowed are two or more of "
            '{"ssh": "name", "ips": ["address"]}'
        )
    hosts = [Host(entry["ssh"], entry["ips"][0], entry) for entry in entries]
    return hosts, {name: value for name, value in rest.items() if name != "hosts"}


def _fits(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("ssh"), str)
        and isinstance(entry.get("ips"), list)
        and bool(entry["ips"])
        and all(isinstance(ip, str) for ip in entry["ips"])
    )


def count(path: Path) -> int:
    """How many hosts a file names. Errors: ValueError, one sentence."""
    return len(read(path)[0])


def is_local(host: Host) -> bool:
    """Whether a host is this machine."""
    own = {address.address for addresses in psutil.net_if_addrs().values() for address in addresses}
    return host.ip in own | {"localhost", socket.gethostname()} or host.ip.startswith("127.")


def place(hosts: list[Host]) -> int:
    """Which of the hosts this machine is. Errors: ValueError when it is none of them."""
    for index, host in enumerate(hosts):
        if is_local(host):
            return index
    raise ValueError(
        f"this machine has not one of the addresses {', '.join(host.ip for host in hosts)}; PyTorch's "
        "launcher is started on every host of the file, with the same command"
    )


def check_reachable(hosts: list[Host], port: int, by_ssh: bool) -> None:
    """Try every other host. Errors: ValueError, one sentence, naming the first that does not answer.

    A host that refuses the port answers. `by_ssh`: it must also let this user in without a password.
    """
    for host in hosts:
        if is_local(host):
            continue
        try:
            socket.create_connection((host.ip, port), WAIT).close()
        except ConnectionRefusedError:
            pass
        except OSError as error:
            raise ValueError(f"host {host.ssh} does not answer at {host.ip} ({error})") from None
        if by_ssh:
            _check_ssh(host)


def _check_ssh(host: Host) -> None:
    command = ["ssh", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={WAIT}", host.ssh, "true"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise ValueError("mlx.launch starts other hosts by ssh, which is not installed here") from None
    if done.returncode:
        why = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise ValueError(f"host {host.ssh} does not let ssh in without a password ({why.strip()})")


def check_free(ip: str, ports: range) -> None:
    """Errors: ValueError, one sentence, for a port of this machine that another process uses."""
    for port in ports:
        with socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind((ip, port))
            except OSError as error:
                raise ValueError(
                    f"port {port} of {ip} is not free ({error.strerror}); PORT=number names another"
                ) from None


def free_ports(count: int) -> int:
    """The first of so many neighbouring ports of this machine that were free when they were tried."""
    while True:
        with socket.socket() as trial:
            trial.bind(("127.0.0.1", 0))
            first = trial.getsockname()[1]
        try:
            check_free("127.0.0.1", range(first, first + count))
        except (ValueError, OverflowError):
            continue
        return first
