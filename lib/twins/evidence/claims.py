"""Claims that circulate, each with a verdict: data/claims.yaml and records in, verdicts out.

A claim's rule is in the file and was set before the first verdict was computed. A figure supports the claim
when its interval lies above the claim's limit (and the harness's own error), contradicts it when the interval
lies below, and is undecided when the interval contains the limit.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd
import yaml

from twins.evidence import queries
from twins.evidence.published import published_counts
from twins.evidence.published.checked_tables import TOPICS
from twins.evidence.queries import Figure
from twins.records import store
from twins.records.record_types import Machine
from twins.records.store import Record

FILE = store.ROOT / "data" / "claims.yaml"
SUPPORTED, CONTRADICTED, DEPENDS, NOT_HERE = "supported", "contradicted", "depends", "not measured here"
FOR, AGAINST, UNDECIDED = "for", "against", "undecided"
RULES = {"every": all, "any": any}
DEVICES = ("Apple GPU", "CUDA", "CPU", "")
SHOWN = 3  # figures that a sentence names


@dataclass(frozen=True)
class Claim:
    """One claim in our own words: its source, its evidence, and the rule that decides."""

    id: str
    claim: str
    source: str
    query: str
    of: dict
    rule: str
    above: float
    device: str
    chip: str
    needs: str
    published: dict
    note: str

    @property
    def measure(self) -> str:
        """What the figures are, in words."""
        return queries.QUERIES[self.query].measure

    @property
    def decision(self) -> str:
        """The rule in words."""
        who = {"every": "every figure lies", "any": "one figure lies"}[self.rule]
        return (
            f"{self.measure}: supported when {who} above {self.above:g}, contradicted when all lie below, "
            "interval included"
        )


@dataclass(frozen=True)
class Verdict:
    """The verdict on a claim: one of the four words, the reason, and the figures."""

    claim: Claim
    word: str
    why: str
    figures: list[Figure]


class ClaimError(ValueError):
    """The file of claims has an entry that cannot be judged."""


def load(path: Path = FILE) -> list[Claim]:
    """Every claim. Errors: ClaimError naming the claim, what was found and what is allowed."""
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    claims = [_claim(path, entry) for entry in entries]
    names = [claim.id for claim in claims]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ClaimError(
            f"{path.name}: claims share the id {', '.join(sorted(repeated))}; each needs its own"
        )
    return claims


def _claim(path: Path, entry: dict) -> Claim:
    where = f"{path.name}, claim {entry.get('id', '?')!r}"
    values = {"published": {}, "note": "", "chip": ""} | entry
    known = [field.name for field in fields(Claim)]
    if wrong := sorted(values.keys() ^ set(known)):
        raise ClaimError(f"{where}: fields missing or unknown: {', '.join(wrong)}; known: {', '.join(known)}")
    for name, allowed in (("query", queries.QUERIES), ("rule", RULES), ("device", DEVICES)):
        if values[name] not in allowed:
            raise ClaimError(f"{where}: {name} is {values[name]!r}; allowed: {', '.join(map(repr, allowed))}")
    if unknown := set(values["published"].get("topics", ())) - set(TOPICS):
        raise ClaimError(f"{where}: published topics {sorted(unknown)}; allowed: {', '.join(TOPICS)}")
    if not isinstance(values["above"], int | float):
        raise ClaimError(f"{where}: above is {values['above']!r}; it must be a number")
    if not values["source"].startswith("http"):
        raise ClaimError(f"{where}: source is {values['source']!r}; it must be an address")
    return Claim(**values)


def side(figure: Figure, above: float) -> str:
    """Whether a figure supports a claim, contradicts it, or leaves it undecided."""
    if figure.low > max(above, figure.band):
        return FOR
    return AGAINST if figure.high < above else UNDECIDED


def judge(claim: Claim, figures: list[Figure]) -> tuple[str, str]:
    """The verdict of some figures and why, in words; without figures nothing is decided."""
    if not figures:
        return NOT_HERE, f"needs {claim.needs}"
    sides = [(figure, side(figure, claim.above)) for figure in figures]
    told = [figure for figure, each in sides if each == FOR]
    if RULES[claim.rule](each == FOR for _, each in sides):
        return SUPPORTED, f"{len(told)} of {len(sides)} above {claim.above:g}, {_named(told)}"
    if all(each == AGAINST for _, each in sides):
        return CONTRADICTED, f"0 of {len(sides)} above {claim.above:g}, {_named(figures)}"
    return DEPENDS, _dependence(sides)


def _named(figures: list[Figure]) -> str:
    more = len(figures) - SHOWN
    return "; ".join(map(str, figures[:SHOWN])) + (f"; and {more} more" if more > 0 else "")


def _dependence(sides: list[tuple[Figure, str]]) -> str:
    """What a verdict depends on: the coarsest property of the cases that separates the sides; and both."""
    if all(each == UNDECIDED for _, each in sides):
        return f"on more measurements, because every interval contains the limit. {_by_side(sides)}"
    parting: dict[str, dict[str, set[str]]] = {}
    for name in dict.fromkeys(name for figure, _ in sides for name in figure.case):
        found: dict[str, set[str]] = {}
        for figure, each in sides:
            found.setdefault(figure.case.get(name, "none"), set()).add(each)
        if len(found) > 1 and all(len(each) == 1 for each in found.values()):
            parting[name] = found
    if not parting:
        return _by_side(sides)
    name = min(parting, key=lambda each: len(parting[each]))
    parted = "; ".join(f"{value}: {next(iter(each))}" for value, each in parting[name].items())
    return f"on {name}: {parted}. {_by_side(sides)}"


def _by_side(sides: list[tuple[Figure, str]]) -> str:
    """The figures for, against and undecided, in words."""
    told = []
    for each in (FOR, AGAINST, UNDECIDED):
        if own := [figure for figure, kind in sides if kind == each]:
            told.append(f"{each} {len(own)}, {_named(own)}")
    return ". ".join(told)


def verdict(claim: Claim, records: list[Record]) -> Verdict:
    """The verdict of one machine's records on a claim.

    A claim about another device is "not measured here"; the reason adds what its figures are on this device.
    """
    figures = queries.QUERIES[claim.query].find(records, **claim.of)
    devices = {record.device for record in records}
    chips = {r.body.chip.removeprefix("Apple ") for r in records if isinstance(r.body, Machine)}
    word, why = judge(claim, figures)
    if (claim.device and claim.device not in devices) or (claim.chip and claim.chip not in chips):
        beside = f". On the {'/'.join(sorted(devices))} of this machine: {word}, {why}" if figures else ""
        return Verdict(claim, NOT_HERE, f"needs {claim.needs}{beside}", figures)
    return Verdict(claim, word, why, figures)


def others(claim: Claim) -> str:
    """How many published ratios support a claim, in words; they have no intervals."""
    chosen = published_counts.about(claim.published["topics"], claim.chip)
    return published_counts.told(chosen, claim.published.get("above", claim.above))


def table(verdicts: Iterable[Verdict]) -> pd.DataFrame:
    """Claims and verdicts of one machine."""
    rows = [{"claim": v.claim.claim, "verdict": v.word, "why": v.why} for v in verdicts]
    return pd.DataFrame(rows, columns=["claim", "verdict", "why"])


def published_table(claims: Iterable[Claim]) -> pd.DataFrame:
    """What others published, claim by claim."""
    rows = [{"claim": c.claim, "PyTorch's time ÷ MLX's, by others": others(c)} for c in claims if c.published]
    return pd.DataFrame(rows, columns=["claim", "PyTorch's time ÷ MLX's, by others"])


def rules(claims: Iterable[Claim]) -> pd.DataFrame:
    """How each claim is decided, where it comes from, and what its figures do not show."""
    rows = [
        {"claim": c.claim, "decided by": c.decision, "source": c.source, "note": c.note or None}
        for c in claims
    ]
    return pd.DataFrame(rows, columns=["claim", "decided by", "source", "note"])


def by_machine(claims: Iterable[Claim], records: dict[str, list[Record]]) -> pd.DataFrame:
    """Claims down, machines across, side by side: each machine's own verdict, never pooled."""
    rows = []
    for claim in claims:
        words = {machine: verdict(claim, own).word for machine, own in records.items()}
        rows.append({"claim": claim.claim} | words)
    return pd.DataFrame(rows, columns=["claim", *records])


def counts(verdicts: Iterable[Verdict]) -> str:
    """How many claims have which verdict, in one sentence."""
    words = [each.word for each in verdicts]
    told = [f"{words.count(w)} {w}" for w in (SUPPORTED, CONTRADICTED, DEPENDS, NOT_HERE) if w in words]
    return f"Of {len(words)} claims: {', '.join(told)}." if words else "No claim was judged by these records."
