"""Figures that others published: benchmarks of MLX against PyTorch, and Apple's chips.

Where they come from, and what was cleaned: data/published/README.md.
"""

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "data" / "published"
_TASKS = ("train", "inference", "op", "transfer")
_TIMES = ("ms", "s", "us")
_RATES = ("images/s", "samples/s", "it/s", "tokens/s")
_DATE = re.compile(r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?")


class PublishedError(ValueError):
    """A row of a published table is not what its columns promise."""


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


def benchmarks(path: Path = FOLDER / "published_benchmarks.csv") -> list[Benchmark]:
    """Every published pair of figures, checked; PublishedError names the file and line of a bad row."""
    return _rows(path, Benchmark, _check_benchmark)


def chips(path: Path = FOLDER / "apple_chips.csv") -> list[Chip]:
    """Every chip, checked; PublishedError names the file and line of a bad row."""
    return _rows(path, Chip, lambda chip: "" if chip.chip else "chip is empty")


def _rows(path: Path, kind: type, check: Callable) -> list:
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
            row = kind(**{f.name: _typed(cells[f.name], f.type, f"{where}: {f.name}") for f in fields(kind)})
            if fault := check(row):
                raise PublishedError(f"{where}: {fault}.")
            rows.append(row)
    return rows


def _typed(text: str, kind: object, where: str) -> object:
    if kind is str:
        return text
    if kind is bool:
        if text not in ("0", "1"):
            raise PublishedError(f"{where} is {text!r}, allowed are 0 and 1.")
        return text == "1"
    if not text:
        return None
    try:
        value = int(text) if kind == int | None else float(text)
    except ValueError:
        raise PublishedError(f"{where} is {text!r}, allowed is a number or nothing.") from None
    if not 0 <= value < float("inf"):
        raise PublishedError(f"{where} is {text!r}, allowed are finite numbers from 0.")
    return value


def _check_benchmark(row: Benchmark) -> str:
    if row.task not in _TASKS:
        return f"task is {row.task!r}, allowed are {', '.join(_TASKS)}"
    if not row.url.startswith("http"):
        return f"url is {row.url!r}, allowed is an address"
    for date in (row.date_from, row.date_to):
        if date and not _DATE.fullmatch(date):
            return f"date is {date!r}, allowed is YYYY, YYYY-MM or YYYY-MM-DD"
    for name in ("pytorch", "mlx"):
        low, high = getattr(row, f"{name}_low"), getattr(row, f"{name}_high")
        if (low is None) != (high is None) or (low is not None and low > high):
            return f"{name} runs from {low} to {high}, allowed is a low up to a high"
    return ""
