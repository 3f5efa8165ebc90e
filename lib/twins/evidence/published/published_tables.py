"""Tables and sentences of what others published, of the audit, and of breadth."""

from collections import defaultdict
from collections.abc import Iterable

import pandas as pd

from twins.evidence.published import published_benchmarks, published_counts
from twins.evidence.published.published_benchmarks import Audited, Benchmark
from twins.records.record_types import Breadth, Finding
from twins.timing import wording


def sources(rows: Iterable[Benchmark], audited: list[Audited]) -> pd.DataFrame:
    """One row per source: collected and counted figures, the range of the counted, dates and findings."""
    columns = ["source", "figures", "counted", "as fast", "dates", "findings"]
    return pd.DataFrame([_source(*each, audited) for each in _by_source(rows).items()], columns=columns)


def _by_source(rows: Iterable[Benchmark]) -> dict[str, list[Benchmark]]:
    grouped = defaultdict(list)
    for row in rows:
        grouped[row.source_id].append(row)
    return grouped


def _source(name: str, rows: list[Benchmark], audited: list[Audited]) -> tuple:
    counted = published_counts.select(rows, audited).counted
    ends = [end for row in counted for end in row.span]
    dates = sorted({date for row in rows for date in (row.date_from, row.date_to) if date}) or ["not stated"]
    own = [each for each in audited if each.source_id == name or rows[0].url.startswith(f"{each.url}/")]
    span = wording.span(min(ends), max(ends)) if ends else "none"
    when = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    return name, len(rows), len(counted), span, when, len(own)


def addresses(rows: Iterable[Benchmark]) -> pd.DataFrame:
    """One row per source: the chips and kinds of work it has figures of, and its address."""
    made = []
    for name, own in _by_source(rows).items():
        chips = sorted({row.generation for row in own if row.generation}) or ["not stated"]
        tasks = sorted({row.task for row in own})
        made.append((name, ", ".join(chips), ", ".join(tasks), own[0].url))
    return pd.DataFrame(made, columns=["source", "chips", "tasks", "address"])


def unusable() -> pd.DataFrame:
    """What was looked up and gave no figure: what could be read, and why nothing came in."""
    columns = {"read": "could be read", "why": "why no figure", "seen": "looked up", "url": "address"}
    return pd.read_csv(published_benchmarks.FOLDER / "no_figures.csv").rename(columns=columns)


def live(found: Iterable[Finding], audited: Iterable[Audited]) -> pd.DataFrame:
    """Every live reproduction: its source, what was read with the defect and without, and the verdict."""
    origins = {row.live: row.source_id for row in audited if row.live}
    verdicts = {True: "reproduced", False: "NOT reproduced"}
    origin = "no published source"
    rows = [
        (f.name, f.effect, f.control, verdicts[f.reproduced], f.measure, origins.get(f.name, origin))
        for f in found
    ]
    columns = ["finding", "with the flaw", "without", "here", "what is read", "found in"]
    return pd.DataFrame(rows, columns=columns)


def tried(found: Iterable[Finding]) -> pd.DataFrame:
    """Every statement that was tried: how much of it works, the control, and the result in words."""
    rows = [(f.name, f.effect, f.control, f.measure, f.told) for f in found]
    return pd.DataFrame(rows, columns=["statement", "works", "control", "what is counted", "result"])


def findings(audited: Iterable[Audited], found: Iterable[Finding]) -> pd.DataFrame:
    """Every finding about published sources; those that were reproduced here are marked."""
    here = {f.name for f in found if f.reproduced}
    rows = []
    for row in audited:
        known = "reproduced here" if row.live in here else row.known
        rows.append((f"{row.source_id}, {row.benchmark}", row.finding, row.favours, known, row.where))
    return pd.DataFrame(rows, columns=["source", "finding", "favours", "known by", "where"])


def flaws(audited: list[Audited]) -> str:
    """How many findings there are and whom they favour, in one sentence."""
    if not audited:
        return "No finding is recorded."
    counts = {side: sum(row.favours == side for row in audited) for side in ("MLX", "PyTorch", "void")}
    return (
        f"{len(audited)} findings in {len({row.source_id for row in audited})} sources: "
        f"{counts['MLX']} favour MLX, {counts['PyTorch']} favour PyTorch, and {counts['void']} make a figure "
        "void."
    )


def reading(audited: list[Audited], found: list[Finding]) -> str:
    """How many findings there are, whom they favour, and how many were reproduced here."""
    return f"{flaws(audited)} Reproduced here: {reproduced(found)}." if audited else flaws(audited)


def reproduced(found: Iterable[Finding]) -> str:
    """How many findings were reproduced here: "13 of 13 findings that were tried"."""
    found = list(found)
    return f"{sum(f.reproduced for f in found)} of {len(found)} findings that were tried"


NAMED = 8  # of what is lacking; the records hold all


def breadth(found: Iterable[Breadth]) -> pd.DataFrame:
    """Per group and framework: how much of the other's list it has, and the first names it lacks."""
    rows = []
    for row in found:
        has = row.total - len(row.lacking)
        told = f"{has} of {row.total} ({100 * has / row.total:.0f} %)"
        rows.append((row.group, row.framework, told, _some(row.lacking)))
    return pd.DataFrame(rows, columns=["group", "framework", "has", "lacks"])


def _some(names: list[str]) -> str:
    """The names, or some from all over the list and how many more there are."""
    if len(names) <= NAMED:
        return ", ".join(names) or "nothing"
    step = len(names) / NAMED
    shown = [names[int(i * step)] for i in range(NAMED)]
    return f"{', '.join(shown)} and {len(names) - NAMED} more"


def wider(found: Iterable[Breadth]) -> str:
    """In how many groups each framework has the larger share of the other's list, in one sentence."""
    share = {(row.group, row.framework): 1 - len(row.lacking) / row.total for row in found}
    groups = list(dict.fromkeys(group for group, _ in share))
    if not groups:
        return "Nothing was looked up."
    ahead = [group for group in groups if share[group, "PyTorch"] > share[group, "MLX"]]
    return (
        f"PyTorch has the larger share of the other's list in {len(ahead)} of {len(groups)} groups"
        f"{': ' + ', '.join(ahead) if ahead else ''}."
    )
