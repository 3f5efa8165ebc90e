"""Files that appear whole or not at all, and folders that one command at a time works in.

Only the standard library, and only what Python 3.9 knows: `make doctor` reads what is written so.
https://man7.org/linux/man-pages/man2/flock.2.html, https://man7.org/linux/man-pages/man2/rename.2.html
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path

LOCK = ".lock"  # in a folder: who works in it; however a process ends, the system unlocks it
PART = ".part"  # ends the hidden name of a file that is being written
_AT_FDCWD, _EXCHANGE = {"linux": (-100, 2), "darwin": (-2, 2)}.get(
    sys.platform, (0, 0)
)  # <fcntl.h>, <stdio.h>
_held: set[Path] = set()


def write(path: Path, content: str | bytes) -> Path:
    """Write a file, which is there as it was or as it will be whenever anybody looks, or the power fails.

    Two processes must not write one file at once (`alone`). Errors: OSError naming the file, which stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}{PART}")
    try:
        with part.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise OSError(error.errno, f"{os.strerror(error.errno or 0)}; it is as it was", str(path)) from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
    return path


def sweep(folder: Path) -> None:
    """Remove from a folder, and from those in it, what `write` left that was killed."""
    for part in [*folder.glob(f".*{PART}"), *folder.glob(f"*/.*{PART}")]:
        part.unlink()


def exchange(first: Path, second: Path) -> None:
    """Give two files or folders each other's name, in one step where the system has one.

    A system or a file system without it takes three, between which `second` has neither content.
    """
    library = ctypes.CDLL(None, use_errno=True)
    call = getattr(library, "renameat2", None) or getattr(library, "renameatx_np", None)
    names = os.fsencode(first), os.fsencode(second)
    if call and not call(_AT_FDCWD, names[0], _AT_FDCWD, names[1], ctypes.c_uint(_EXCHANGE)):
        return
    aside = first.with_name(f"{first.name}.aside")
    second.rename(aside)
    first.rename(second)
    aside.rename(first)


@contextlib.contextmanager
def alone(folder: Path, what: str) -> Iterator[None]:
    """Work in a folder as the only command that does; `what` is this one's name, such as "`make merge`".

    Another one is waited for, which a sentence on standard error says. Within one process it may be nested.
    Errors: OSError naming the file where the folder cannot be written.
    """
    folder = folder.resolve()
    if folder in _held:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _wait(descriptor, folder)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{what}, process {os.getpid()},".encode(), 0)
        _held.add(folder)
        yield
    finally:
        _held.discard(folder)
        os.close(descriptor)


def _wait(descriptor: int, folder: Path) -> None:
    """Take the lock, which another process may have."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        other = os.pread(descriptor, 200, 0).decode(errors="replace") or "another command"
        print(f"waiting until {other} no longer works in {folder}", file=sys.stderr, flush=True)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
