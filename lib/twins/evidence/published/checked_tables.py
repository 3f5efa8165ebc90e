"""Reads tables of published figures, each row checked by what its columns may hold."""

import csv
import functools
import io
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

TOPICS = re.split(
    r",\s+",
    """language model training, BERT training, ResNet training, other vision training,
keyword spotting training, fine-tuning, other training, part of a training step, text generation,
speech transcription, speech synthesis, image generation, other inference, hand-over, single operation""",
)
# What the columns of these names hold, whichever table they are in.
_ALLOWED = {
    "task": ("train", "inference", "op", "transfer"),
    "topic": TOPICS,
    "favours": ("MLX", "PyTorch", "neither", "void"),
    "known": ("executed", "computed", "counted", "read", "seen"),
}
_ADDRESSES = ("url", "pytorch_source", "mlx_source")
_FILLED = ("source_id", "finding", "where")
_DATE = re.compile(r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?")
_DATES = {"date_from": "", "date_to": "", "seen": None}  # and what may stand in place of a date


class PublishedError(ValueError):
    """A row of a published table does not match its columns."""


def read(path: Path, kind: type, check: Callable = lambda row: "") -> list:
    """The rows of a table, none with a fault that `check` names. Errors: PublishedError with its line."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = _rows(path, file.read(), kind)
    for line, row in rows:
        if fault := check(row):
            raise PublishedError(f"{path}, line {line}: {fault}.")
    return [row for _, row in rows]


@functools.cache
def _rows(path: Path, text: str, kind: type) -> list[tuple[int, Any]]:
    """The rows of a table with their lines, read once: every answer asks for them."""
    rows = []
    reader = csv.DictReader(io.StringIO(text, newline=""))
    names = [field.name for field in fields(kind)]
    if reader.fieldnames != names:
        raise PublishedError(f"{path}, line 1: found columns {reader.fieldnames}, allowed {names}.")
    for cells in reader:
        where = f"{path}, line {reader.line_num}"
        if None in cells or None in cells.values():
            raise PublishedError(f"{where}: the row does not have {len(names)} cells.")
        row = kind(**{f.name: _typed(f.name, cells[f.name], f.type, where) for f in fields(kind)})
        rows.append((reader.line_num, row))
    return rows


def _typed(name: str, text: str, kind: object, where: str) -> object:
    if kind is str:
        return _text(name, text, where)
    if kind is bool:
        if text not in ("0", "1"):
            raise PublishedError(f"{where}: {name} is {text!r}, allowed are 0 and 1.")
        return text == "1"
    if not text and kind is not int:
        return None
    if kind == bool | None:
        return _typed(name, text, bool, where)
    try:
        value = int(text) if kind is int or kind == int | None else float(text)
    except ValueError:
        allowed = "a whole number" if kind is int else "a number or nothing"
        raise PublishedError(f"{where}: {name} is {text!r}, allowed is {allowed}.") from None
    if not 0 <= value < float("inf"):
        raise PublishedError(f"{where}: {name} is {text!r}, allowed are finite numbers from 0.")
    return value


def _text(name: str, text: str, where: str) -> str:
    """The text of a cell, checked by the column's name."""
    allowed = ""
    if name in _ALLOWED and text not in _ALLOWED[name]:
        allowed = f"allowed are {', '.join(_ALLOWED[name])}"
    elif name in _ADDRESSES and not text.startswith("http"):
        allowed = "allowed is an address"
    elif name in _DATES and not _DATE.fullmatch(text) and text != _DATES[name]:
        allowed = "allowed is YYYY, YYYY-MM or YYYY-MM-DD"
    elif name in _FILLED and not text:
        raise PublishedError(f"{where}: {name} is empty.")
    if allowed:
        raise PublishedError(f"{where}: {name} is {text!r}, {allowed}.")
    return text
