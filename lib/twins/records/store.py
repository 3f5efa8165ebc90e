"""Records: what was measured, typed and versioned, appended as JSON lines under data/results/<machine>/.

Each line holds a header (machine, versions, notebook, profile and run) and one body. Reading keeps
every good line and names every bad one; records of different machines or versions are never
compared unless asked for. https://jsonlines.org
"""

import contextlib
import fcntl
import json
import os
import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from msgspec import structs

from twins.records import bounds
from twins.records.bounds import Label, Name
from twins.records.markup import plain
from twins.records.record_types import KINDS, Body, Machine

SCHEMA = 1
ROOT = Path(__file__).resolve().parents[3]
RUN = "%Y-%m-%dT%H:%M:%S.%fZ"  # the name of a run: when it began
LONGEST = 300  # characters of a sentence that quotes a line
NAMED = 20  # bad lines of a file that are named; the rest is counted
UNTYPED = {"case", "runs", "checks"}  # fields whose values have no type of their own
Kind = typing.TypeVar("Kind", bound=Body)


class Record(msgspec.Struct, typing.Generic[Kind], frozen=True, forbid_unknown_fields=True):
    """One line of a results file."""

    schema: int
    kind: str
    machine: Name
    device: Label
    versions: dict[Label, Label]
    notebook: Name
    profile: Name
    run: Label
    body: Kind


@dataclass(frozen=True)
class Found:
    """What a folder of results holds: the good records, and one sentence per line that is not."""

    records: list[Record]
    problems: list[str]

    def bodies(self, kind: type, **match: object) -> list:
        """The bodies of one kind whose fields equal what is asked for, in the order written."""
        bodies = [record.body for record in self.records if isinstance(record.body, kind)]
        return [body for body in bodies if all(getattr(body, k) == v for k, v in match.items())]

    def on(self, device: str) -> "Found":
        """The records that were computed on one device, such as "Apple GPU": a machine may have two."""
        return Found([record for record in self.records if record.device == device], self.problems)


class _Head(msgspec.Struct):
    """The fields that decide how the rest of a line is read."""

    schema: int
    kind: str


_HEAD = msgspec.json.Decoder(_Head)
_READERS: dict[str, msgspec.json.Decoder] = {
    name: msgspec.json.Decoder(Record[kind])  # type: ignore[valid-type]
    for name, kind in KINDS.items()
}


def parse(line: str) -> Record:
    """A record from its line. Errors: ValueError saying where, what was found and what is allowed."""
    try:
        if len(line) > bounds.LINE:
            raise ValueError(f"{len(line)} characters, at most {bounds.LINE} are read")
        head = _HEAD.decode(line)
        if head.schema != SCHEMA:
            raise ValueError(f"schema version {head.schema!r:.40}; this version of twins reads {SCHEMA}")
        if head.kind not in _READERS:
            raise ValueError(f"kind {head.kind!r:.40}; known: {', '.join(KINDS)}")
        record = _READERS[head.kind].decode(line)
        for name in UNTYPED & set(record.body.__struct_fields__):
            bounds.check(getattr(record.body, name), f"$.body.{name}")
    except (msgspec.DecodeError, RecursionError) as error:  # its message may quote the line
        told = bounds.explained(str(error)).encode("unicode_escape").decode()
        raise ValueError(told[:LONGEST]) from None
    return record


def json_line(values: msgspec.Struct) -> str:
    """A record, a body or a header as one line of JSON, without its end. Errors: ValueError for NaN."""
    return json.dumps(values, default=structs.asdict, allow_nan=False)


def append(path: Path, records: Iterable[Record]) -> None:
    """Add records to a file, all or none: when the disk is full the file stays as it was.

    A last line that was never finished, because its process was killed or the power failed, is removed.
    Another process that adds to the file at the same time waits. Errors: OSError naming the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(f"{json_line(record)}\n" for record in records).encode()
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    fcntl.flock(descriptor, fcntl.LOCK_EX)  # until it is closed
    size = os.fstat(descriptor).st_size
    try:
        unfinished, whole = _last(descriptor, size)
        if whole:
            data = b"\n" + data
        elif unfinished:
            size -= unfinished
            os.ftruncate(descriptor, size)
        written = 0
        while written < len(data):
            written += os.write(descriptor, data[written:])
        os.fsync(descriptor)
    except OSError as error:
        os.ftruncate(descriptor, size)
        raise OSError(
            error.errno, f"{os.strerror(error.errno or 0)}; no record was added", str(path)
        ) from None
    finally:
        os.close(descriptor)


def _last(descriptor: int, size: int) -> tuple[int, bool]:
    """Bytes of a file's last line where it has no end, and whether it is JSON all the same."""
    start = max(0, size - bounds.LINE)
    line = os.pread(descriptor, size - start, start).rpartition(b"\n")[2]
    try:
        msgspec.json.decode(line)
        return len(line), True
    except (msgspec.DecodeError, RecursionError):
        return len(line), False


def read_file(path: Path) -> Found:
    """Every good record of one file; a bad line is named by file and line number.

    At most bounds.FILE bytes are read of a file, and bounds.LINE of a line; of bad lines NAMED are named.
    """
    records, problems, bad = [], [], 0
    for number, line in enumerate(_lines(path), 1):
        try:
            records.append(parse(line.decode("utf-8-sig" if number == 1 else "utf-8")))
        except ValueError as error:  # UnicodeDecodeError is one
            bad += 1
            if bad <= NAMED:
                problems.append(plain(f"{path.parent.name}/{path.name}, line {number}: {error}"))
    if bad > NAMED:
        problems.append(plain(f"{path.parent.name}/{path.name}: {bad - NAMED} more lines are no records"))
    return Found(records, problems)


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file with their ends, up to its bounds; what is no plain file gives one bad line."""
    if path.is_symlink() or not path.is_file():
        yield b"a link or a folder, no file"
        return
    left = bounds.FILE
    with path.open("rb") as file:
        while left > 0 and (line := file.readline(bounds.LINE + 2)):
            left -= len(line)
            yield line
            while left > 0 and not line.endswith(b"\n") and (line := file.readline(bounds.LINE)):
                left -= len(line)  # the rest of a line that is too long
        if left <= 0:
            yield b"what follows is too large"


def read(folder: Path | None = None) -> Found:
    """Every good record under a results folder, by file and line.

    The default is this session's folder, and for a notebook opened by hand the committed evidence too.
    """
    opened = [] if os.environ.get("TWINS_RESULTS") else [ROOT / "data" / "results"]
    folders = [folder] if folder else [*opened, default_folder()]
    files = [path for each in folders for path in sorted(each.glob("*/*.jsonl"))]
    found = [read_file(path) for path in files]
    return Found([r for each in found for r in each.records], [p for each in found for p in each.problems])


def latest(found: Found, machine: str, notebook: str, profiles: tuple[str, ...] | None = None) -> Found:
    """The records of a notebook's newest run on one machine; empty when it never ran there."""
    own = [r for r in found.records if r.machine == machine and r.notebook == notebook]
    own = [r for r in own if profiles is None or r.profile in profiles]
    newest = max((r.run for r in own), default="")
    return Found([r for r in own if r.run == newest], [])


def comparable(records: list[Record], mixed: bool = False) -> list[Record]:
    """The records, when one machine, device and set of versions made them all, or `mixed` is asked for.

    Errors: ValueError naming what differs.
    """
    for what in ("machine", "device", "versions"):
        seen = {json.dumps(getattr(record, what), sort_keys=True) for record in records}
        if len(seen) > 1 and not mixed:
            raise ValueError(f"records of different {what} are not compared: {'; '.join(sorted(seen))}")
    return records


def default_folder() -> Path:
    """The folder of this session's records: TWINS_RESULTS, or build/interactive/results in the project."""
    return Path(os.environ.get("TWINS_RESULTS") or ROOT / "build" / "interactive" / "results")


def _readable(record: Record) -> None:
    try:
        parse(json_line(record))
    except ValueError as error:
        raise ValueError(f"a record of kind {record.kind} is not written: {error}") from None


def _next_run(path: Path) -> str:
    """The time now, or just after the newest run in a file where a clock that was set back says otherwise."""
    now = datetime.now(UTC)
    newest = max((record.run for record in read_file(path).records), default="") if path.exists() else ""
    with contextlib.suppress(ValueError):  # a run that no clock has named
        now = max(now, datetime.strptime(newest, RUN).replace(tzinfo=UTC) + timedelta(microseconds=1))
    return now.strftime(RUN)


class Book:
    """The records of one notebook's run on one machine; every addition is on disk at once."""

    def __init__(self, notebook: str, machine: Machine, folder: Path | None = None):
        self.machine, self.notebook = machine, notebook
        self.profile = os.environ.get("TWINS_PROFILE", "interactive")
        self.path = (folder or default_folder()) / machine.id / f"{notebook}.jsonl"
        self.run = _next_run(self.path)
        self.records: list[Record] = []
        self.add(machine)

    def add(self, body: Body) -> Body:
        """Append a record with this body and return the body.

        Errors: ValueError where the record could not be read again, such as for a name with markup.
        """
        record = Record(
            schema=SCHEMA,
            kind=type(body).__name__.lower(),
            machine=self.machine.id,
            device=self.machine.device,
            versions=self.machine.versions,
            notebook=self.notebook,
            profile=self.profile,
            run=self.run,
            body=body,
        )
        _readable(record)
        append(self.path, [record])
        self.records.append(record)
        return body

    def extend(self, bodies: Iterable[Body]) -> list[Body]:
        """Append each record as soon as it is made and return all bodies."""
        return [self.add(body) for body in bodies]
