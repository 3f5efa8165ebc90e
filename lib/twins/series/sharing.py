"""`make share` and `make merge`: one machine's records as one file, and such files added to the repository.

A shared file is JSON lines: a header (format, schema, machine, number of records, SHA-256 of their lines)
and the records. Two Macs of one model have the same machine id, so a shared file's id ends in a random tag
of its own (identity.tag): merged records lie in folders of their own, never pooled.
"""

import argparse
import hashlib
import re
import sys
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from twins.evidence import plausibility
from twins.machine.given import words
from twins.records import bounds, leaks, store, writing
from twins.records.markup import plain
from twins.records.record_types import Machine
from twins.records.store import ROOT, Record

FORMAT = "twins records"
FOLDER = ROOT / "data" / "results"
TARGET = ROOT / "build" / "share"
MOST = 200_000  # records of a file; one of every page has a thousand
PACKED = (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")  # how compressed files begin
FAULTS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
TAGGED = re.compile(rf"{bounds.FOLDER}-[0-9a-f]{{6}}")  # the id of a machine that shared


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first line of a shared file; `sha256` is that of all lines after it."""

    format: Annotated[str, Meta(max_length=100)]
    schema: int
    machine: bounds.Name
    records: Annotated[int, Meta(ge=0, le=MOST)]
    sha256: Annotated[str, Meta(max_length=64)]


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
    return writing.write(target / f"{name}.jsonl", text)


def read(path: Path) -> list[Record]:
    """The records of a shared file, all checked. Errors: ValueError naming file and line."""
    try:
        header, text = _opened(_bytes(path).decode())
        lines = text.split("\n")[:-1] if text.endswith("\n") else text.split("\n")
        if len(lines) != header.records:
            raise ValueError(f"it holds {len(lines)} records, its first line says {header.records}")
        if _digest(text) != header.sha256:
            raise ValueError("its records were edited: their SHA-256 is not the one in its first line")
        if not TAGGED.fullmatch(header.machine):
            raise ValueError(
                f"its machine is {header.machine!r}, it must end in a tag of six hexadecimal digits, which "
                "`make share` adds: without one its records would be taken for those of a machine of yours"
            )
        records = [_parsed(number, line) for number, line in enumerate(lines, 2)]
        _check(records, lines, header.machine)
        _show(records)
        if what := leaks.leaks(text):
            raise ValueError(f"it names {what[0]!r}, a folder or a computer")
    except (OSError, ValueError, OverflowError) as error:  # OverflowError: an integer above every float
        told = (error.strerror or error) if isinstance(error, OSError) else error
        raise ValueError(plain(f"{path.name}: {told}")) from None
    return records


def _bytes(path: Path) -> bytes:
    """What a plain file holds. Errors: ValueError for a link, or what is compressed or too large."""
    if path.is_symlink():
        raise ValueError("it is a link; name the file itself")
    if path.exists() and not path.is_file():
        raise ValueError("it is no file")
    with path.open("rb") as file:
        found = file.read(bounds.FILE + 1)
    if len(found) > bounds.FILE:
        raise ValueError(f"it has {path.stat().st_size} bytes, at most {bounds.FILE} are read")
    if found.startswith(PACKED):
        raise ValueError("it is compressed; unpack it first")
    return found


def _opened(text: str) -> tuple[Header, str]:
    """A shared file's header and the lines after it."""
    first, _, rest = text.partition("\n")
    try:
        header = msgspec.json.decode(first, type=Header)
    except (msgspec.DecodeError, RecursionError) as error:
        told = bounds.explained(str(error))
        raise ValueError(f"line 1: not the header that `make share` writes: {told:.200}") from None
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


def merge(paths: list[Path], folder: Path = FOLDER) -> tuple[list[Path], list[str]]:
    """Add shared files to a results folder, each whole or not at all: files written, sentences of refusal.

    A run that is there under any machine's name is a duplicate, and no file that is there is written again.
    """
    checked, refused = [], []
    for path in paths:
        try:
            checked.append((path, read(path)))
        except ValueError as error:
            refused.append(str(error))
    if not checked:
        return [], refused
    with writing.alone(folder, "`make merge`"):
        writing.sweep(folder)
        written, more = _added(checked, folder)
    return written, refused + more


def _added(checked: list[tuple[Path, list[Record]]], folder: Path) -> tuple[list[Path], list[str]]:
    """Files that were written for the records of others, and sentences of refusal."""
    known = {(r.notebook, r.run): r.machine for r in store.read(folder).records}
    written, refused = [], []
    for path, records in checked:
        text = "".join(f"{store.json_line(record)}\n" for record in records)
        target = folder / records[0].machine / f"shared-{_digest(text)[:12]}.jsonl"
        try:
            _refuse_known(path, records, known)
            _refuse_own(path, target)
        except ValueError as error:
            refused.append(str(error))
            continue
        written.append(writing.write(target, text))
        known |= {(r.notebook, r.run): records[0].machine for r in records}
    return written, refused


def _show(records: list[Record]) -> None:
    """Compute what pages say of a machine's records. Errors: ValueError where that fails."""
    from twins.evidence import summary  # these load tables and figures, which sharing does not need
    from twins.evidence.answers import pages
    from twins.evidence.verdicts import claims
    from twins.series.pages import front_page, machines

    found = store.Found(records, [])
    try:
        known = machines.known(found)
        front_page.answers(known, set(), found)
        front_page.page_lines(dict.fromkeys(pages.MAKERS, ""), known, set())
        summary.runs(found)
        for own in known:
            summary.gates(own.records)
            summary.everything(own.records)
            [claims.verdict(claim, own.records) for claim in claims.load()]
    except FAULTS as error:
        raise ValueError(f"its records cannot be shown: {type(error).__name__}: {error!s:.200}") from None


def _refuse_own(path: Path, target: Path) -> None:
    """Errors: ValueError where a file would be written over, through a link, or among a machine's own."""
    if target.exists() or target.parent.is_symlink():
        raise ValueError(plain(f"{path.name}: {target.name} is there already, or its folder is a link"))
    if own := [each.name for each in target.parent.glob("*.jsonl") if not each.name.startswith("shared-")]:
        raise ValueError(plain(f"{path.name}: {target.parent.name} has records of its own here, as {own[0]}"))


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
    parser.add_argument("--merge", metavar="FILES", help="add these files, in one text as a shell has them")
    parser.add_argument("--since", default="", help="only runs after this time, as records write it")
    given = parser.parse_args()
    try:
        if given.merge is None:
            from twins.machine import identity

            print(share(identity.fingerprint().id, given.since).relative_to(ROOT))
        elif files := words(given.merge):
            written, refused = merge(list(map(Path, files)))
            for path in written:
                print(f"added {path.relative_to(ROOT)}")
            sys.exit("\n".join(f"refused: {sentence}" for sentence in refused) or 0)
        else:
            raise ValueError("make merge needs files: make merge FILES='one.jsonl two.jsonl'")
    except (ValueError, OSError) as error:
        sys.exit(plain(f"error: {error}"))


if __name__ == "__main__":
    main()
