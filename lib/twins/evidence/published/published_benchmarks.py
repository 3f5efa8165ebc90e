"""What others published: MLX against PyTorch, the sizes of what they ran, findings about it, Apple's chips.

Where they come from, and what was cleaned: data/published/README.md.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from twins.evidence.published.checked_tables import PublishedError, read

FOLDER = Path(__file__).resolve().parents[4] / "data" / "published"
_TIMES = {"ms": 1e-3, "s": 1.0, "us": 1e-6}
_RATES = ("images/s", "samples/s", "it/s", "tokens/s", "TFLOP/s", "x")


@dataclass(frozen=True)
class Benchmark:
    """One published pair of figures; a range has a low below its high, None is not stated.

    `benchmark` names what the audit calls it, as source/benchmark; `same_as` a row, as source/workload, of
    the same measurement. Both are empty where there is none.
    """

    source_id: str
    url: str
    date_from: str
    date_to: str
    chip: str
    gpu_cores: int | None
    memory_gb: float | None
    workload: str
    task: str
    topic: str
    metric: str
    unit: str
    pytorch_low: float | None
    pytorch_high: float | None
    mlx_low: float | None
    mlx_high: float | None
    pytorch_backend: str
    framework_versions: str
    benchmark: str
    same_as: str
    notes: str

    @property
    def span(self) -> tuple[float, float] | None:
        """PyTorch's time over MLX's, lowest and highest (above 1 MLX is faster); None where there is none."""
        if not (self.pytorch_low and self.pytorch_high and self.mlx_low and self.mlx_high):
            return None
        if self.unit in _TIMES:
            return self.pytorch_low / self.mlx_high, self.pytorch_high / self.mlx_low
        if self.unit in _RATES:
            return self.mlx_low / self.pytorch_high, self.mlx_high / self.pytorch_low
        return None

    @property
    def ratio(self) -> float | None:
        """The middle of the span on a logarithmic scale: the ratio of a pair of single figures."""
        return (self.span[0] * self.span[1]) ** 0.5 if self.span else None

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
        return not self.pytorch_backend.startswith(("cpu", "cuda")) and "NVIDIA" not in self.chip

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
class Link:
    """A link between machines: its peak rate one way in Gb/s, and the page it was seen on."""

    link: str
    gbit_per_s: float
    url: str
    seen: str
    notes: str

    @property
    def bandwidth(self) -> float:
        """Bytes in a second, one way."""
        return self.gbit_per_s * 1e9 / 8


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
    audited = {f"{each.source_id}/{each.benchmark}" for each in audit()}
    rows = read(path, Benchmark, lambda row: _check_benchmark(row, audited))
    kept = {f"{row.source_id}/{row.workload}, {row.chip}, {row.date_from}" for row in rows if not row.same_as}
    for row in rows:
        if row.same_as and f"{row.same_as}, {row.chip}, {row.date_from}" not in kept:
            where = f"{path}, {row.source_id}, {row.workload}, {row.chip}"
            raise PublishedError(
                f"{where}: same_as is {row.same_as!r}, allowed is a kept row of that chip and date."
            )
    return rows


def chips(path: Path = FOLDER / "apple_chips.csv") -> list[Chip]:
    """Every chip, checked; PublishedError names the file and line of a bad row."""
    return read(path, Chip, lambda chip: "" if chip.chip else "chip is empty")


def audit(path: Path = FOLDER / "audit.csv") -> list[Audited]:
    """Every finding, checked; PublishedError names the file and line of a bad row."""
    return read(path, Audited)


def workloads(path: Path = FOLDER / "workloads.csv") -> list[Workload]:
    """Every workload, checked against the benchmarks; PublishedError names the file and line of a bad row."""
    known = {(row.source_id, row.workload) for row in benchmarks()}
    return read(path, Workload, lambda row: _check_workload(row, known))


def platforms(path: Path = FOLDER / "platforms.csv") -> list[Platform]:
    """Every platform, checked; PublishedError names the file and line of a bad row."""
    return read(path, Platform)


def links(path: Path = FOLDER / "links.csv") -> list[Link]:
    """Every link, checked; PublishedError names the file and line of a bad row."""
    return read(path, Link, lambda row: "" if row.gbit_per_s else "gbit_per_s is not above 0")


def _check_benchmark(row: Benchmark, audited: set[str]) -> str:
    if row.benchmark and row.benchmark not in audited:
        return f"benchmark is {row.benchmark!r}, allowed is nothing or a source/benchmark of audit.csv"
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
