"""What `make train` was asked for, read from the variables that were given to make."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from twins.machine.given import assignment, words
from twins.records.store import ROOT

FRAMEWORKS = ("mlx", "torch")
WHOLE = {
    "NPROC": 1,
    "STEPS": 1000,
    "BATCH": 16,
    "SEED": 0,
    "EVERY": 100,
    "PORT": 29500,
}  # with their defaults


@dataclass(frozen=True)
class Run:
    """One training run, the same on every rank.

    `batch` is the global batch, which all `processes` share; `every`: steps between two checkpoints; `sizes`
    change the model's and the data's defaults (tasks.py); `backend`: of the framework's collectives, empty
    for its own choice; `patience`: seconds that a collective or a stop may wait for another worker.
    """

    model: str
    framework: str
    out: str
    processes: int = 1
    steps: int = WHOLE["STEPS"]
    batch: int = WHOLE["BATCH"]
    seed: int = WHOLE["SEED"]
    every: int = WHOLE["EVERY"]
    learning_rate: float = 1e-3
    sizes: dict = field(default_factory=dict)
    backend: str = ""
    patience: float = 20.0

    def __post_init__(self):
        if self.batch % self.processes:
            raise ValueError(
                f"BATCH is {self.batch}, which {self.processes} processes cannot share equally; "
                f"allowed are multiples of {self.processes}"
            )

    @property
    def folder(self) -> Path:
        """Where checkpoints, records and the engine's log are."""
        return Path(self.out)

    def same_curve(self) -> dict:
        """What a checkpoint must share with the run that continues it; the rest may change."""
        kept = ("framework", "batch", "seed", "learning_rate", "sizes")
        return {"model": Path(self.model).stem, **{name: asdict(self)[name] for name in kept}}


@dataclass(frozen=True)
class Asked:
    """A run, and how it is spread: processes on each host, a hosts file or None, the first port."""

    run: Run
    each: int
    hosts: Path | None
    port: int


def to_json(run: Run) -> str:
    """A run as one argument of a worker."""
    return json.dumps(asdict(run))


def whole(given: Mapping[str, str], name: str, least: int) -> int:
    """A whole number of what was given. Errors: ValueError, one sentence."""
    text = given.get(name) or str(WHOLE[name])
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise ValueError(f"{name} is {text!r}; allowed is a whole number from {least} up")
    return int(text)


def asked(given: Mapping[str, str], count_hosts) -> Asked:
    """What the variables ask for; `count_hosts` gives the number of hosts in a file.

    Errors: ValueError, one sentence, for a value that is missing or not allowed.
    """
    model, framework = given.get("MODEL", ""), given.get("FRAMEWORK", "")
    if not model:
        raise ValueError("MODEL is not set; allowed is a model of twins.models or the path of a .py file")
    if framework not in FRAMEWORKS:
        raise ValueError(f"FRAMEWORK is {framework!r}; allowed: {', '.join(FRAMEWORKS)}")
    hosts = Path(given["HOSTS"]) if given.get("HOSTS") else None
    numbers = {name: whole(given, name, 0 if name == "SEED" else 1) for name in WHOLE}
    rate = given.get("LEARNING_RATE") or "0.001"
    try:
        learning_rate = float(rate)
    except ValueError:
        raise ValueError(f"LEARNING_RATE is {rate!r}; allowed is a number such as 0.001") from None
    run = Run(
        model=str(Path(model).resolve()) if model.endswith(".py") else model,
        framework=framework,
        out=str(Path(given.get("OUT") or default_folder(model, framework)).resolve()),
        processes=numbers["NPROC"] * (count_hosts(hosts) if hosts else 1),
        learning_rate=learning_rate,
        sizes=dict(map(assignment, words(given.get("SET", "")))),
        backend=given.get("BACKEND", ""),
        **{name.lower(): numbers[name] for name in ("STEPS", "BATCH", "SEED", "EVERY")},
    )
    return Asked(run, numbers["NPROC"], hosts, numbers["PORT"])


def default_folder(model: str, framework: str) -> Path:
    """Where a run is kept that names no folder of its own."""
    return ROOT / "build" / "train" / f"{Path(model).stem}-{framework}"
