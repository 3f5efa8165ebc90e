"""`make record`: one session of this machine's records in minutes, added only if nothing disturbed it.

The pages of the profile `record` run into build/record/<run>. A session that was disturbed, failed a gate or
is faster than the machine can be stays there; another is added to data/results in one file of its own, so
that earlier sessions are neither changed nor chosen among.
"""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from twins.evidence import plausibility
from twins.evidence.published import published_benchmarks
from twins.evidence.published.published_benchmarks import Chip
from twins.frameworks import compile_fault
from twins.machine import conditions, ending
from twins.machine.conditions import Conditions, Disturbance
from twins.records import store, writing
from twins.records.markup import plain
from twins.records.record_types import Gate, Machine, Timing, Work
from twins.records.store import ROOT, Record
from twins.series import runner
from twins.timing import comparison, statistics
from twins.timing.ceilings import ceilings

PROFILE = "record"
TARGET = ROOT / "build" / "record"
FOLDER = ROOT / "data" / "results"
WATCHED = 5.0  # seconds the machine is looked at before anything runs
IDLE = 0.5  # cores that other processes may use before
ABOVE = 1.05  # of a ceiling; what lies above is a fault of the measurement
SAME = timedelta(minutes=2)  # the time of boot is reckoned from a clock that is set now and then
SHOWN = ("training step", "training step by type", "prefill", "token")
UNFIT = (
    Disturbance(
        lambda c: c.power == "battery", lambda c: 0, "the machine runs on battery; connect it to mains"
    ),
    Disturbance(lambda c: bool(c.low_power), lambda c: 0, "low power mode is on; switch it off"),
    Disturbance(
        lambda c: c.load_before > c.cores / 2,
        lambda c: c.load_before,
        "the machine is not idle: its load is {size:.1f} on {cores} cores; close what runs, wait a minute",
    ),
    Disturbance(
        lambda c: c.others > IDLE,
        lambda c: c.others,
        "the machine is not idle: other processes use {size:.1f} of {cores} cores; close what runs",
    ),
    Disturbance(
        lambda c: (c.pressure or 0) > 0 or c.throttled > 0,
        lambda c: c.pressure or 0,
        "the machine is hot: thermal pressure is {size:.0f} of 4 or the processor is throttled; let it cool",
    ),
    Disturbance(
        lambda c: bool(c.swapped) or c.memory_share > 0.9,
        lambda c: 100 * c.memory_share,
        "memory is short: {size:.0f} % are in use, or it is swapped; close what needs it",
    ),
)
CLAIMED = (
    'From one machine a page may say "on this chip, with these versions"; from a few, "k of N machines", the '
    "chips listed, with median and range and one point per machine; from five on, a mean over machines with "
    "a prediction interval."
)


def unfit(seen: Conditions) -> list[str]:
    """Why no session can begin now, a sentence each."""
    found = [kind for kind in UNFIT if kind.happened(seen)]
    return [kind.sentence.format(size=kind.size(seen), cores=seen.cores) for kind in found]


def observed(seconds: float = WATCHED) -> Conditions:
    """What the machine does while this process waits."""
    with conditions.watch() as seen:
        time.sleep(seconds)
    return seen()


def refusals(records: list[Record], chips: Iterable[Chip] = ()) -> list[str]:
    """Why a session is not added, a sentence each; empty when it is."""
    bodies = [record.body for record in records]
    timings = [body for body in bodies if isinstance(body, Timing)]
    if not timings:
        return ["Nothing was timed."]
    runs = [run for timing in timings for run in comparison.runs(timing)]
    gates = [body for body in bodies if isinstance(body, Gate) and not body.passed]
    impossible = [what for what in map(plausibility.problem, records) if what]
    impossible += [what for _, what in plausibility.rates(records)]
    return [
        *statistics.warnings(runs),
        *(f"The gate of {gate.twin} failed: {_failed(gate)}." for gate in gates),
        *(f"A record cannot be true: {what}." for what in impossible),
        *above_probe(timings, [body for body in bodies if isinstance(body, Work)]),
        *above_paper(timings, next(body for body in bodies if isinstance(body, Machine)), chips),
    ]


def _failed(gate: Gate) -> str:
    return ", ".join(f"{check['name']} at {check['where']}" for check in gate.checks if not check["passed"])


def above_probe(timings: list[Timing], works: list[Work]) -> Iterator[str]:
    """Training steps faster than the products that this session probed the machine with, a sentence each."""
    peaks = ceilings.peaks(timings)
    for twin in dict.fromkeys(work.twin for work in works):
        own = [t for t in timings if t.subject == "training step" and t.case["twin"] == twin]
        shares = ceilings.utilisation(own, [work for work in works if work.twin == twin], peaks)
        if ceilings.TOO_LOW in set(shares[ceilings.SHARE]):
            yield (
                f"A training step of {twin} is above {ceilings.LIMIT} % of the machine's ceiling, "
                f"{ceilings.named(peaks['float32'], 'float32')}."
            )


def above_paper(timings: list[Timing], machine: Machine, chips: Iterable[Chip]) -> Iterator[str]:
    """Probes above the published peak of an Apple chip's GPU; nothing for other devices and unknown chips."""
    known = {f"Apple {chip.chip}": chip for chip in chips}
    chip = known.get(machine.chip) if machine.device == "Apple GPU" else None
    if chip is None:
        return
    cores = machine.gpu_cores / chip.gpu_cores if machine.gpu_cores and chip.gpu_cores else 1.0
    halves = max(ceilings.ceiling(timings, dtype) for dtype in ("float16", "bfloat16"))
    for what, reached, peak, unit in (
        ("A float32 product", ceilings.ceiling(timings) / 1e12, chip.fp32_tflops, "TFLOP/s"),
        ("A product in a half type", halves / 1e12, chip.fp16_tflops, "TFLOP/s"),
        ("Memory", ceilings.bandwidth(timings) / 1e9, chip.memory_bandwidth_gb_per_s, "GB/s"),
    ):
        limit = peak and peak * (min(1.0, cores) if unit == "TFLOP/s" else 1)
        if limit and reached > ABOVE * limit:
            yield f"{what} reaches {reached:.3g} {unit}; the published peak of {chip.chip} is {limit:.3g}."


def add(records: list[Record], folder: Path) -> Path:
    """Add a session to its machine's folder in one new file, whole or not at all. Errors: OSError."""
    name = min(record.run for record in records).lower().translate({ord(c): None for c in "-:."})
    path = folder / records[0].machine / f"record-{name}.jsonl"
    if path.exists():
        raise FileExistsError(f"{path} is there already; a session is added once")
    try:
        store.append(path, records)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return path


def boots(records: list[Record], machine: Machine, pages: list[str]) -> list[str]:
    """When the system had started before each session of this machine: of the page that ran the fewest times.

    A session counts with the same versions, device and host; records without a host do not.
    """
    seen: dict[str, dict[str, str]] = {page: {} for page in pages}
    for record in records:
        body = record.body
        if isinstance(body, Machine) and record.notebook in seen and record.profile in runner.KEPT:
            same = (record.machine, record.versions, record.device, body.host)
            if same == (machine.id, machine.versions, machine.device, machine.host):
                seen[record.notebook][record.run] = body.boot
    return [boot for _, boot in sorted(min(seen.values(), key=len).items())]


def advice(started: list[str]) -> str:
    """How many sessions there are, and whether another is wanted; `started` are their times of boot."""
    if len(started) == 1:
        return (
            "This is the first session of this machine with these versions: its figures are provisional. "
            "Run it again after a restart."
        )
    times = [datetime.strptime(boot, "%Y-%m-%dT%H:%MZ") for boot in started]
    told = f"This machine now has {len(started)} sessions with these versions."
    if any(abs(times[-1] - earlier) <= SAME for earlier in times[:-1]):
        return f"{told} An earlier one has the same time of boot: a session after a restart tells more."
    return told


def cases(records: list[Record]) -> list[str]:
    """What was recorded, a line for each case and mode: PyTorch's time over MLX's."""
    lines = []
    for record in records:
        if isinstance(body := record.body, Timing) and body.subject in SHOWN:
            named = [str(body.case[name]) for name in ("twin", "model", "dtype") if name in body.case]
            label = ", ".join([*named, body.subject, comparison.size(body.case)])
            lines += [f"{each.label}: {each.ratio}" for each in comparison.by_mode(body, label)]
    return lines


def run(out: Path) -> tuple[list[Record], list[str], list[str]]:
    """Run the pages into a folder: their records, why they cannot be added, and the pages' names."""
    results = out / "results"
    os.environ |= {"TWINS_RESULTS": str(results), "TWINS_PROFILE": PROFILE}
    paths = runner.pages(PROFILE, [])
    names = [path.stem for path in paths]
    given = runner.parameters(paths, PROFILE, [])
    line = runner.begin(paths, given, out / "notebooks", results, PROFILE, PROFILE)
    wrong = runner.run(paths, given, out / "notebooks", results, line, PROFILE)
    found = store.read(results)
    wrong += found.problems + refusals(found.records, published_benchmarks.chips())
    return found.records, wrong, names


def main() -> None:
    """Record a session; exit with 1 and one sentence for each reason why it was refused."""
    ending.stop_when_asked()
    out = TARGET / datetime.now(UTC).strftime("%Y%m%dt%H%M%Sz")
    try:
        if wrong := unfit(observed()) + list(filter(None, [compile_fault()])):
            sys.exit("\n".join(f"not started: {each}" for each in wrong))
        with writing.alone(TARGET.parent, "`make record`"):
            records, wrong, names = run(out)
        if wrong:
            kept = f"nothing was added to data/results; what ran stays in {runner.shown(out)}"
            sys.exit("\n".join([*(f"refused: {each}" for each in wrong), kept]))
        path = add(records, FOLDER)
        machine = next(record.body for record in records if isinstance(record.body, Machine))
        started = boots(store.read(FOLDER).records, machine, names)
        lines = [
            "PyTorch's time over MLX's, and where another session's lies; above 1 MLX is faster:",
            *cases(records),
        ]
        print("\n".join([*lines, f"added {runner.shown(path)}", advice(started), CLAIMED]))
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(plain(f"error: {error}"))
    except KeyboardInterrupt:
        sys.exit(f"stopped; nothing was added to data/results, what ran stays in {runner.shown(out)}")


if __name__ == "__main__":
    main()
