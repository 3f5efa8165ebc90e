"""Checkpoints of a run: safetensors written atomically, the last two kept, each with a checksum.

A file holds arrays, and facts as JSON beside them (https://huggingface.co/docs/safetensors, the metadata of
the format). The checksum is SHA-256 over names, types, shapes, bytes and facts.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

KEPT = 2
PATTERN = "step-*.safetensors"
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state after `step` updates: arrays by name, and facts that JSON can hold."""

    step: int
    arrays: Arrays
    facts: dict


def digest(arrays: Mapping[str, np.ndarray], facts: str) -> str:
    """SHA-256 of arrays and facts."""
    sha = hashlib.sha256(facts.encode())
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        sha.update(f"{name} {array.dtype.str} {array.shape}".encode())
        sha.update(array.reshape(-1).view(np.uint8).data)
    return sha.hexdigest()


def write(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint beside the others and keep the last two; a crash leaves the old ones as they were.

    Errors: OSError naming the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{checkpoint.step:09d}.safetensors"
    arrays = {name: np.asarray(array, order="C") for name, array in checkpoint.arrays.items()}
    facts = json.dumps(checkpoint.facts | {"step": checkpoint.step}, sort_keys=True)
    content = safetensors.numpy.save(arrays, {"facts": facts, "sha256": digest(arrays, facts)})
    descriptor, scratch = tempfile.mkstemp(suffix=".part", dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(scratch).replace(path)
    except OSError:
        Path(scratch).unlink(missing_ok=True)
        raise
    _sync(folder)
    for old in sorted(folder.glob(PATTERN))[:-KEPT]:
        old.unlink(missing_ok=True)  # another worker may have removed it
    return path


def _sync(folder: Path) -> None:
    """Wait until the disk holds the folder's new entries, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path) -> Checkpoint:
    """A checkpoint whose checksum is right. Errors: ValueError, one sentence, for one that is corrupt."""
    try:
        with safetensors.safe_open(path, "numpy") as file:
            told = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path.name} is corrupt: {error}") from None
    facts = told.get("facts", "")
    if not facts or digest(arrays, facts) != told.get("sha256"):
        raise ValueError(f"{path.name} is corrupt: its checksum is not the one it was written with")
    held = json.loads(facts)
    return Checkpoint(held["step"], arrays, held)


def forms(arrays: Mapping[str, np.ndarray]) -> dict[str, list]:
    """Type and shape of each array, as JSON can hold them."""
    return {name: [array.dtype.str, list(array.shape)] for name, array in arrays.items()}


def blank(forms: Mapping[str, list]) -> Arrays:
    """Arrays of zeros of these types and shapes."""
    return {name: np.zeros(shape, dtype) for name, (dtype, shape) in forms.items()}


def newest(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint that is not corrupt, and one sentence for each newer one that is."""
    problems: list[str] = []
    for checkpoint in _readable(folder, problems):
        return checkpoint, problems
    return None, problems


def _readable(folder: Path, problems: list[str]) -> Iterator[Checkpoint]:
    for path in sorted(folder.glob(PATTERN), reverse=True):
        try:
            yield read(path)
        except ValueError as error:
            problems.append(str(error))


def set_aside(folder: Path) -> None:
    """Rename the corrupt files, so that they do not count among the checkpoints that are kept."""
    for path in folder.glob(PATTERN):
        try:
            read(path)
        except ValueError:
            path.replace(path.with_suffix(".corrupt"))
