"""What ranks must share before they train together, and a checkpoint with the run that continues it."""

import hashlib
import platform
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from twins.frameworks import MLX, TORCH
from twins.training.distributed.checkpoints import Checkpoint

PACKAGE = Path(__file__).resolve().parents[2]
NAMES = {
    "run": "settings of the run",
    "data": "data",
    "code": "code",
    "versions": "versions of Python and the frameworks",
}


def code_digest(model: str) -> str:
    """SHA-256 of the package's modules, and of the model's file when it is a reader's own."""
    sha = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        sha.update(path.relative_to(PACKAGE).as_posix().encode() + path.read_bytes())
    if model.endswith(".py"):
        sha.update(Path(model).read_bytes())
    return sha.hexdigest()


def versions() -> str:
    """The versions that decide arithmetic, in words."""
    found = {"Python": platform.python_version(), "mlx": MLX.version, "torch": str(TORCH.version)}
    return ", ".join(f"{name} {version}" for name, version in {**found, "numpy": np.__version__}.items())


def _short(value: object) -> str:
    """A digest's beginning, anything else whole."""
    text = str(value)
    return text[:12] if len(text) == 64 else text


def check_ranks(told: Sequence[dict]) -> None:
    """Compare what every rank told. Errors: ValueError, one sentence, naming the first that differs."""
    for rank, mine in enumerate(told):
        for name, words in NAMES.items():
            if mine[name] != told[0][name]:
                raise ValueError(
                    f"rank {rank} has other {words} than rank 0 ({_short(mine[name])} and "
                    f"{_short(told[0][name])}); all ranks must have the same"
                )


def check_checkpoint(found: Checkpoint, facts: dict) -> None:
    """Refuse to continue another run. Errors: ValueError, one sentence, naming what differs."""
    before, now = found.facts["run"], facts["run"]
    changed = [f"{k} {before.get(k)!r}, now {now[k]!r}" for k in now if before.get(k) != now[k]]
    if found.facts["data"] != facts["data"]:
        changed.append("other data")
    if changed:
        raise ValueError(
            f"the checkpoint of step {found.step} is of another run ({'; '.join(changed)}); "
            "OUT=folder starts a new one"
        )
