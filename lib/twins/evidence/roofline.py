"""Rooflines: the least time a step can take, from its operations, its bytes and a machine's two ceilings.

Williams, Waterman and Patterson 2009, https://doi.org/10.1145/1498765.1498785: time is at least operations
over peak and at least bytes over bandwidth; the larger of the two binds. Bytes are compulsory ones
(memory_traffic.py), float32. A chip's ceilings are theoretical figures, which no program reaches; this
machine's ceilings are measured by the probes, float32 products and STREAM.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd
from msgspec.structs import replace

from twins.evidence.published.published_benchmarks import Benchmark, Chip, Workload
from twins.records import measurements, store
from twins.records.record_types import Machine, Timing, Traffic, Work
from twins.timing import comparison, statistics, wording
from twins.timing.ceilings import ceilings

WORD = 4  # bytes of a float32
ARITHMETIC, MEMORY = "arithmetic", "memory"
SHARE = "minimum, % of the time"
MARK = " *"  # after the name of a chip with a figure that was inferred


@dataclass(frozen=True)
class Roof:
    """A machine's two ceilings: FLOP/s in float32 and bytes per second."""

    name: str
    flops: float
    bandwidth: float

    @property
    def ridge(self) -> float:
        """Operations per byte above which arithmetic binds."""
        return self.flops / self.bandwidth


@dataclass(frozen=True)
class Load:
    """The work of one training step of a twin: operations, and bytes in both counts."""

    twin: str
    case: dict
    flops: int
    compulsory: int
    unfused: int

    @property
    def label(self) -> str:
        """The network's name for people and its batch size."""
        return f"{wording.name(self.twin)}, batch {self.case['batch']}"

    @property
    def intensity(self) -> float:
        """Operations per compulsory byte."""
        return self.flops / self.compulsory


def bound(flops: float, moved: float, roof: Roof) -> tuple[float, str]:
    """The least seconds that operations and bytes take under a roof, and which of the two binds."""
    arithmetic, memory = flops / roof.flops, moved / roof.bandwidth
    return max(arithmetic, memory), ARITHMETIC if arithmetic >= memory else MEMORY


def loads(bodies: Iterable[Work | Traffic]) -> list[Load]:
    """Operations and bytes of the steps that both are counted of."""
    bodies = list(bodies)
    counted = {_key(body.twin, body.case): body.flops for body in bodies if isinstance(body, Work)}
    return [
        Load(body.twin, body.case, counted[_key(body.twin, body.case)], body.compulsory, body.unfused)
        for body in bodies
        if isinstance(body, Traffic) and _key(body.twin, body.case) in counted
    ]


def largest(found: Iterable[Load]) -> list[Load]:
    """Each twin at its largest batch."""
    best: dict[str, Load] = {}
    for load in found:
        if load.twin not in best or load.case["batch"] > best[load.twin].case["batch"]:
            best[load.twin] = load
    return list(best.values())


def _key(twin: str, case: dict) -> tuple:
    """A step's twin and sizes, without the entries that say whether a timing is filled and what bounds it."""
    left_out = ("twin", "filled", "bound")
    return twin, *sorted((name, str(value)) for name, value in case.items() if name not in left_out)


def same_step(load: Load, timed: Timing) -> bool:
    """Whether a timing is of the step that a load was counted of."""
    return _key(load.twin, load.case) == _key(timed.case["twin"], timed.case)


def name(chip: Chip) -> str:
    """The chip's name, marked when one of its figures was inferred."""
    return chip.chip + (MARK if chip.unsourced else "")


def roofs(chips: Iterable[Chip], names: list[str] | None = None) -> list[Roof]:
    """The roof of every chip, or of the named ones, that has both figures.

    Errors: ValueError for a name that is no chip of the table or has no roof.
    """
    made = {
        chip.chip: Roof(name(chip), chip.fp32_tflops * 1e12, chip.memory_bandwidth_gb_per_s * 1e9)
        for chip in chips
        if chip.fp32_tflops and chip.memory_bandwidth_gb_per_s
    }
    for wanted in names or []:
        if wanted not in made:
            raise ValueError(f"chips: {wanted!r} has no roof in apple_chips.csv; there are {', '.join(made)}")
    return [made[each] for each in names or made]


def timed(found: store.Found, machine: str) -> list[Timing]:
    """The training steps of this machine, each with the processes of all its sessions."""
    own = measurements.of(found.records, machine, *comparison.SERIES)
    same = measurements.by_case(own, "training step")
    return [replace(each[0], runs=[run for record in each for run in record.runs]) for each in same]


def here(machine: Machine, products: list[Timing], streams: list[Timing]) -> Roof | None:
    """The probed roof of this machine in float32; None when a ceiling is missing."""
    peak, width = ceilings.ceiling(products), ceilings.bandwidth(streams)
    return Roof(machine.chip, peak, width) if peak and width else None


def load_table(found: Iterable[Load]) -> pd.DataFrame:
    """Operations, bytes in both counts and operations per byte of every step."""
    rows = [
        (x.label, x.flops / 1e6, x.compulsory / 1e6, x.unfused / 1e6, x.intensity, x.flops / x.unfused)
        for x in found
    ]
    columns = ["training step", "MFLOP", "compulsory MB", "unfused MB", "FLOP per compulsory byte"]
    return pd.DataFrame(rows, columns=[*columns, "per unfused byte"])


def chip_table(found: list[Load], chips: Iterable[Chip]) -> pd.DataFrame:
    """Every chip's ceilings, and for every step the least milliseconds, with a word where memory binds."""
    rows = []
    for chip in chips:
        if not (made := roofs([chip])):
            continue
        roof = made[0]
        row = {"chip": roof.name, "TFLOP/s": roof.flops / 1e12, "GB/s": roof.bandwidth / 1e9}
        for load in found:
            seconds, side = bound(load.flops, load.compulsory, roof)
            row[f"{load.label}, ms"] = f"{1e3 * seconds:.3g}{'' if side == ARITHMETIC else f', {side}'}"
        rows.append(row)
    labels = [f"{load.label}, ms" for load in found]
    return pd.DataFrame(rows, columns=["chip", "TFLOP/s", "GB/s", *labels])


def inferred(chips: Iterable[Chip]) -> pd.DataFrame:
    """What was inferred about every marked chip that has a roof, as the table of chips says it."""
    rows = [(name(chip), chip.notes) for chip in chips if chip.unsourced and roofs([chip])]
    return pd.DataFrame(rows, columns=["chip", "what was inferred"])


def least_bytes(workload: Workload) -> int:
    """Compulsory bytes of a published workload: as in memory_traffic.py, with AdamW's two moments.

    Without an update: two reads and the gradient's write. A forward pass alone reads the weights once.
    """
    dense = workload.parameters - workload.gathered
    step = 9 * dense + 8 * workload.gathered if workload.updated else 3 * dense + workload.gathered
    return WORD * (workload.training_batches * step + workload.forward_batches * dense)


def _reduced(chip: Chip, row: Benchmark) -> Roof | None:
    """The chip's roof, its peak scaled to the GPU cores a row states when these are fewer."""
    if not (made := roofs([chip])):
        return None
    share = row.gpu_cores / chip.gpu_cores if row.gpu_cores and chip.gpu_cores else 1.0
    if share >= 1:
        return made[0]
    return Roof(f"{chip.chip}, {row.gpu_cores} cores{MARK}", made[0].flops * share, made[0].bandwidth)


def published_shares(
    workloads: Iterable[Workload], benchmarks: list[Benchmark], chips: Iterable[Chip]
) -> pd.DataFrame:
    """Published times whose work is known: the bound on their chip, and their share of it."""
    table, rows = {chip.chip: chip for chip in chips}, []
    for work in workloads:
        same = [b for b in benchmarks if (b.source_id, b.workload) == (work.source_id, work.workload)]
        for row in (b for b in same if b.chip in table and _reduced(table[b.chip], b)):
            roof = _reduced(table[row.chip], row)
            least, side = bound(work.flops, least_bytes(work), roof)
            for framework in comparison.FRAMEWORKS:
                if seconds := row.seconds(framework):
                    made = (work.label, roof.name, framework, 100 * least / seconds, seconds, least, side)
                    rows.append((*made, work.source_id))
    columns = ["workload", "chip", "framework", SHARE, "published s", "minimum s", "limited by", "source"]
    return pd.DataFrame(rows, columns=columns)


def here_table(found: Iterable[Load], timings: Iterable[Timing], roof: Roof | None) -> pd.DataFrame:
    """This machine's measured steps: the bound under its probed ceilings, and each framework's share."""
    timed, rows = {_key(t.case["twin"], t.case): comparison.runs(t) for t in timings}, []
    for load in found:
        runs = timed.get(_key(load.twin, load.case))
        if runs is None or roof is None:
            continue
        least, side = bound(load.flops, load.compulsory, roof)
        told = ceilings.named(*((roof.flops, "float32") if side == ARITHMETIC else (roof.bandwidth,)))
        for framework in comparison.FRAMEWORKS:
            seconds = statistics.median(runs, comparison.best(runs, framework))
            share = ceilings.percent(least, seconds)
            rows.append((load.label, framework, share, 1e3 * seconds, 1e3 * least, side, told))
    columns = ["training step", "framework", SHARE, "measured ms", "minimum ms", "limited by", "ceiling"]
    return pd.DataFrame(rows, columns=columns)


def sides(found: list[Load], over: list[Roof]) -> str:
    """Which side binds in how many of the pairs of a step and a roof, in one sentence."""
    if not found or not over:
        return "No step was counted."
    binds = [bound(load.flops, load.compulsory, roof)[1] for load in found for roof in over]
    return (
        f"Arithmetic limits {binds.count(ARITHMETIC)} and memory {binds.count(MEMORY)} of {len(binds)} pairs "
        "of a training step and a chip."
    )


def reached(table: pd.DataFrame, what: str) -> str:
    """How many times the theoretical minimum some runs took: lowest to highest, and at the median.

    `what` names the runs of the table: "published runs".
    """
    shares = pd.to_numeric(table[SHARE], errors="coerce").dropna()
    if shares.empty:
        return f"There is no theoretical minimum for {what}."
    times, name = 100 / shares, f"{what[0].upper()}{what[1:]}"
    return (
        f"{name} took {wording.between([times.min(), times.max()])} the theoretical minimum, "
        f"{wording.times(float(times.median()))} at the median ({wording.many(len(times), 'run')})."
    )


def share_table(table: pd.DataFrame) -> pd.DataFrame:
    """Published times as the page shows them: a run with its chip and source, and its theoretical minimum."""
    run = table["workload"] + ", " + table["chip"] + " (" + table["source"] + ")"
    shown = table[["framework", "published s", "minimum s", SHARE, "limited by"]]
    return pd.concat([run.rename("run"), shown], axis=1)
