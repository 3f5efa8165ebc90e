"""`make share` and `make merge`: one machine's records as one file, and such files added to the repository.

A shared file is JSON lines: a header (format, schema, machine, number of records, SHA-256 of their lines)
and the records. Two Macs of one model have the same machine id, so a shared file's id ends in a random tag
of its own (identity.tag): merged records lie in folders of their own, never pooled.
"""

import argparse
import hashlib
import sys
from pathlib import Path

import msgspec
from msgspec.structs import replace

from twins.evidence import plausibility
from twins.records import leaks, store
from twins.records.record_types import Machine
from twins.records.store import ROOT, Record

FORMAT = "twins records"
FOLDER = ROOT / "data" / "results"
TARGET = ROOT / "build" / "share"
MANY = 100_000_000  # bytes; a file of every page is one million


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first line of a shared file; `sha256` is that of all lines after it."""

    format: str
    schema: int
    machine: str
    records: int
    sha256: str


def renamed(record: Record, machine: str) -> Record:
    """A record under another machine's id."""
    body = replace(record.body, id=machine) if isinstance(record.body, Machine) else record.body
    return replace(record, machine=machine, body=body)


def shared(records: list[Record], machine: str) -> str:
    """The text of a shared file. Errors: ValueError when a record is impossible or names this computer."""
    renamed_records = [renamed(record, machine) for record in records]
    lines = [store.json_line(record) for record in renamed_records]
    _check(renamed_records, lines, machine)
    for number, record in enumerate(renamed_records, 2):
        if what := leaks.leaks(msgspec.json.encode(record).decode()):
            raise ValueError(f"line {number} (from {record.notebook}) is not shared: it names {what[0]!r}")
    text = "".join(f"{line}\n" for line in lines)
    header = Header(FORMAT, store.SCHEMA, machine, len(lines), _digest(text))
    return f"{store.json_line(header)}\n{text}"


def share(machine: str, since: str = "", folder: Path = FOLDER, target: Path = TARGET) -> Path:
    """Write one file with the records of a machine (its folder's name) from runs since a date.

    Errors: ValueError naming what is missing, impossible or private; nothing is written then.
    """
    paths = sorted((folder / machine).glob("*.jsonl"))
    found = [store.read_file(path) for path in paths]
    if problems := [problem for each in found for problem in each.problems]:
        raise ValueError(f"nothing is shared: {problems[0]}")
    records = [record for each in found for record in each.records if record.run > since]
    if not records:
        raise ValueError(f"there is no record of {machine} since {since or 'ever'}; `make report` makes them")
    from twins.machine import identity  # which loads both frameworks; merging needs neither

    name = f"{machine}-{identity.tag()}"
    text = shared(records, name)
    return _put(target / f"{name}.jsonl", text)


def read(path: Path) -> list[Record]:
    """The records of a shared file, all checked. Errors: ValueError naming file and line."""
    try:
        if path.stat().st_size > MANY:
            raise ValueError(f"it has {path.stat().st_size} bytes, at most {MANY} are read")
        header, text = _opened(path.read_bytes().decode())
        lines = text.splitlines()
        if len(lines) != header.records:
            raise ValueError(f"it holds {len(lines)} records, its first line says {header.records}")
        if _digest(text) != header.sha256:
            raise ValueError("its records were edited: their SHA-256 is not the one in its first line")
        records = [_parsed(number, line) for number, line in enumerate(lines, 2)]
        _check(records, lines, header.machine)
        if what := leaks.leaks(text):
            raise ValueError(f"it names {what[0]!r}, a folder or a computer")
    except (OSError, ValueError, OverflowError) as error:  # OverflowError: an integer above every float
        told = (error.strerror or error) if isinstance(error, OSError) else error
        raise ValueError(f"{path.name}: {told}") from None
    return records


def _opened(text: str) -> tuple[Header, str]:
    """A shared file's header and the lines after it."""
    first, _, rest = text.partition("\n")
    try:
        header = msgspec.json.decode(first, type=Header)
    except msgspec.DecodeError:
        raise ValueError("line 1: not the header of a shared file; `make share` writes one") from None
    if header.format != FORMAT or header.schema != store.SCHEMA:
        raise ValueError(
            f"line 1: {header.format!r:.40} of schema {header.schema!r:.40}; "
            f"this version of twins reads {FORMAT!r} of schema {store.SCHEMA}"
        )
    return header, rest


def _parsed(number: int, line: str) -> Record:
    try:
        record = store.parse(line)
        store.json_line(record)  # what is nested too deeply to be written again is refused here
    except (ValueError, RecursionError) as error:
        raise ValueError(f"line {number}: {error}") from None
    return record


def _check(records: list[Record], lines: list[str], machine: str) -> None:
    """Refuse impossible records: ValueError naming the line, the header being line 1."""
    if not any(isinstance(record.body, Machine) for record in records):
        raise ValueError("no record says what machine it is; the notebooks write one first")
    seen: dict[str, int] = {}
    for number, (record, line) in enumerate(zip(records, lines, strict=True), 2):
        if record.machine != machine:
            raise ValueError(f"line {number}: machine is {record.machine!r}, the file is of {machine!r}")
        if what := plausibility.problem(record):
            raise ValueError(f"line {number}: {what}")
        if record.kind == "timing" and seen.setdefault(line, number) != number:
            raise ValueError(f"line {number}: the same samples as line {seen[line]}")
    for place, what in plausibility.rates(records):
        raise ValueError(f"line {place + 2}: {what}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _put(path: Path, text: str) -> Path:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def merge(paths: list[Path], folder: Path = FOLDER) -> tuple[list[Path], list[str]]:
    """Add shared files to a results folder, each whole or not at all: files written, sentences of refusal.

    A run that is there under any machine's name is a duplicate.
    """
    known = {(r.notebook, r.run): r.machine for r in store.read(folder).records}
    written, refused = [], []
    for path in paths:
        try:
            records = read(path)
            _refuse_known(path, records, known)
        except ValueError as error:
            refused.append(str(error))
            continue
        text = "".join(f"{store.json_line(record)}\n" for record in records)
        machine = records[0].machine
        written.append(_put(folder / machine / f"shared-{_digest(text)[:12]}.jsonl", text))
        known |= {(r.notebook, r.run): machine for r in records}
    return written, refused


def _refuse_known(path: Path, records: list[Record], known: dict[tuple[str, str], str]) -> None:
    """Errors: ValueError naming the first run that is there already."""
    for number, record in enumerate(records, 2):
        if there := known.get((record.notebook, record.run)):
            newest = max(run for (_, run), machine in known.items() if machine == there)
            raise ValueError(
                f"{path.name}: line {number}: run {record.run} of {record.notebook} is already there, under "
                f"{there}; later runs alone come by `make share SINCE={newest}`"
            )


def main() -> None:
    """The command line: share this machine's records, or merge files of others."""
    parser = argparse.ArgumentParser(
        prog="python -m twins.series.sharing", description=__doc__.splitlines()[0]
    )
    parser.add_argument("files", nargs="*", type=Path, help="shared files to add; none: share this machine's")
    parser.add_argument("--merge", action="store_true", help="add the files")
    parser.add_argument("--since", default="", help="only runs after this time, as records write it")
    given = parser.parse_args()
    if given.merge and not given.files:
        sys.exit("error: make merge needs files: make merge FILES='one.jsonl two.jsonl'")
    if given.merge:
        written, refused = merge(given.files)
        for path in written:
            print(f"added {path.relative_to(ROOT)}")
        sys.exit("\n".join(f"refused: {sentence}" for sentence in refused) or 0)
    from twins.machine import identity

    try:
        print(share(identity.fingerprint().id, given.since).relative_to(ROOT))
    except ValueError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
