"""What others published: MLX against PyTorch, the sizes of what they ran, findings about it, Apple's chips.

Where they come from, and what was cleaned: data/published/README.md.
"""

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[4] / "data" / "published"
_TIMES = {"ms": 1e-3, "s": 1.0, "us": 1e-6}
_RATES = ("images/s", "samples/s", "it/s", "tokens/s")
# What the columns of these names hold, whichever table they are in.
_ALLOWED = {
    "task": ("train", "inference", "op", "transfer"),
    "favours": ("MLX", "PyTorch", "neither", "void"),
    "known": ("executed", "computed", "counted", "read", "seen"),
}
_ADDRESSES = ("url", "pytorch_source", "mlx_source")
_FILLED = ("source_id", "finding", "where")
_DATE = re.compile(r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?")
_DATES = {"date_from": "", "date_to": "", "seen": None}  # and what may stand in place of a date


class PublishedError(ValueError):
    """A row of a published table does not match its columns."""


@dataclass(frozen=True)
class Benchmark:
    """One published pair of figures; a range has a low below its high, None is not stated."""

    source_id: str
    url: str
    date_from: str
    date_to: str
    chip: str
    gpu_cores: int | None
    memory_gb: float | None
    workload: str
    task: str
    metric: str
    unit: str
    pytorch_low: float | None
    pytorch_high: float | None
    mlx_low: float | None
    mlx_high: float | None
    pytorch_backend: str
    framework_versions: str
    notes: str

    @property
    def ratio(self) -> float | None:
        """PyTorch's time over MLX's (above 1 MLX is faster); None for ranges, one side or other units."""
        single = self.pytorch_low == self.pytorch_high and self.mlx_low == self.mlx_high
        if not (single and self.pytorch_low and self.mlx_low):
            return None
        if self.unit in _TIMES:
            return self.pytorch_low / self.mlx_low
        return self.mlx_low / self.pytorch_low if self.unit in _RATES else None

    def seconds(self, framework: str) -> float | None:
        """Seconds of what one framework's figure times (of an iteration for it/s); None for others."""
        low, high = (getattr(self, f"{framework.lower()}_{end}") for end in ("low", "high"))
        if low is None or low != high:
            return None
        if self.unit in _TIMES:
            return low * _TIMES[self.unit]
        return 1 / low if self.unit == "it/s" else None

    @property
    def on_gpu(self) -> bool:
        """Whether PyTorch ran on an Apple GPU, as far as is stated."""
        return not self.pytorch_backend.startswith(("cpu", "cuda"))

    @property
    def model(self) -> str:
        """The chip's plain name, such as M3 Max, or an empty string where it is not stated."""
        found = re.match(r"M\d( (Pro|Max|Ultra))?", self.chip)
        return found.group() if found else ""

    @property
    def generation(self) -> str:
        """M1 to M6, or an empty string where the chip is not stated."""
        found = re.match(r"M\d", self.chip)
        return found.group() if found else ""


@dataclass(frozen=True)
class Chip:
    """One Apple chip: peaks on paper; `unsourced` where a figure was inferred (the notes say which)."""

    chip: str
    cpu_cores_p: int | None
    cpu_cores_e: int | None
    cpu_cores_m: int | None
    gpu_cores: int | None
    memory_bandwidth_gb_per_s: float | None
    fp32_tflops: float | None
    fp16_tflops: float | None
    ane_tops: float | None
    max_memory_gb: float | None
    year: int | None
    source_url: str
    unsourced: bool
    notes: str


@dataclass(frozen=True)
class Audited:
    """One finding about a published comparison.

    `favours` says who looks faster by it than in a fair run; void: the figure is not of what its name says.
    `known` says how: executed, computed or counted by the audit, read in the source, seen in public text.
    `live` names the Finding of audit.py that reproduces it, or is empty.
    """

    source_id: str
    benchmark: str
    finding: str
    favours: str
    known: str
    live: str
    where: str
    url: str


@dataclass(frozen=True)
class Workload:
    """The size of one published timing in float32: enough for its operations and its least traffic.

    `label` is its short name; `multiply_adds` are of one example's forward pass; `gathered` of the
    `parameters` lie in tables of which a forward pass reads single rows. `updated` is false where forward and
    backward alone are timed.
    """

    source_id: str
    workload: str
    label: str
    training_batches: int
    forward_batches: int
    examples: int
    multiply_adds: int
    parameters: int
    gathered: int
    updated: bool
    known: str
    url: str
    note: str

    @property
    def flops(self) -> int:
        """Operations of the timed span: two per multiply-add, three passes' worth in a training step."""
        passes = 3 * self.training_batches + self.forward_batches
        return 2 * passes * self.examples * self.multiply_adds


@dataclass(frozen=True)
class Platform:
    """A system with a processor, and whether each framework runs there; None where it was not seen."""

    platform: str
    pytorch: bool | None
    mlx: bool | None
    pytorch_source: str
    mlx_source: str
    seen: str
    notes: str


def benchmarks(path: Path = FOLDER / "published_benchmarks.csv") -> list[Benchmark]:
    """Every published pair of figures, checked; PublishedError names the file and line of a bad row."""
    return _rows(path, Benchmark, _check_benchmark)


def chips(path: Path = FOLDER / "apple_chips.csv") -> list[Chip]:
    """Every chip, checked; PublishedError names the file and line of a bad row."""
    return _rows(path, Chip, lambda chip: "" if chip.chip else "chip is empty")


def audit(path: Path = FOLDER / "audit.csv") -> list[Audited]:
    """Every finding, checked; PublishedError names the file and line of a bad row."""
    return _rows(path, Audited)


def workloads(path: Path = FOLDER / "workloads.csv") -> list[Workload]:
    """Every workload, checked against the benchmarks; PublishedError names the file and line of a bad row."""
    known = {(row.source_id, row.workload) for row in benchmarks()}
    return _rows(path, Workload, lambda row: _check_workload(row, known))


def platforms(path: Path = FOLDER / "platforms.csv") -> list[Platform]:
    """Every platform, checked; PublishedError names the file and line of a bad row."""
    return _rows(path, Platform)


def _rows(path: Path, kind: type, check: Callable = lambda row: "") -> list:
    rows = []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        names = [field.name for field in fields(kind)]
        if reader.fieldnames != names:
            raise PublishedError(f"{path}, line 1: found columns {reader.fieldnames}, allowed {names}.")
        for cells in reader:
            where = f"{path}, line {reader.line_num}"
            if None in cells or None in cells.values():
                raise PublishedError(f"{where}: the row does not have {len(names)} cells.")
            row = kind(**{f.name: _typed(f.name, cells[f.name], f.type, where) for f in fields(kind)})
            if fault := check(row):
                raise PublishedError(f"{where}: {fault}.")
            rows.append(row)
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


def _check_benchmark(row: Benchmark) -> str:
    for name in ("pytorch", "mlx"):
        low, high = getattr(row, f"{name}_low"), getattr(row, f"{name}_high")
        if (low is None) != (high is None) or (low is not None and low > high):
            return f"{name} runs from {low} to {high}, allowed is a low up to a high"
    return ""


def _check_workload(row: Workload, known: set[tuple[str, str]]) -> str:
    if (row.source_id, row.workload) not in known:
        return f"workload {row.workload!r} of {row.source_id!r} is in no row of published_benchmarks.csv"
    if not row.flops or not row.parameters:
        return f"operations are {row.flops} and parameters {row.parameters}, allowed are numbers above 0"
    return (
        "" if row.gathered <= row.parameters else f"gathered is {row.gathered} of {row.parameters} parameters"
    )
