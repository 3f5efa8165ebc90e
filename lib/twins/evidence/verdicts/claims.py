"""Claims that circulate, each with a verdict: data/claims.yaml and records in, verdicts out.

A claim's rule is in the file, and rules.py applies it. Rules have a version: data/rules.yaml says what was
changed after verdicts had been seen, why, and which verdicts that changed.
"""

import copy
import functools
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd
import yaml

from twins.evidence.published import published_counts
from twins.evidence.published.checked_tables import TOPICS
from twins.evidence.verdicts import queries, rules
from twins.evidence.verdicts.queries import Figure
from twins.evidence.verdicts.rules import CONTRADICTED, DEPENDS, SUPPORTED, UNDECIDED, Limits
from twins.records import store
from twins.records.record_types import Machine
from twins.records.store import Record

FILE = store.ROOT / "data" / "claims.yaml"
CHANGES = FILE.with_name("rules.yaml")
NOT_HERE = "not measured here"
WORDS = (SUPPORTED, CONTRADICTED, DEPENDS, UNDECIDED, NOT_HERE)
DEVICES = ("Apple GPU", "CUDA", "CPU", "")


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
    least: float
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
    def limits(self) -> Limits:
        """What its figure must lie above, and be at least."""
        return Limits(self.above, self.least)

    @property
    def decision(self) -> str:
        """The rule in words."""
        words = rules.WORDS[self.rule].format(above=self.above, least=self.least)
        return f"{self.measure}: supported when {words}"


@dataclass(frozen=True)
class Verdict:
    """The verdict on a claim: one of WORDS, the reason, and the figures."""

    claim: Claim
    word: str
    why: str
    figures: list[Figure]


class ClaimError(ValueError):
    """The file of claims has an entry that cannot be judged."""


def load(path: Path = FILE) -> list[Claim]:
    """Every claim. Errors: ClaimError naming the claim, what was found and what is allowed."""
    entries = copy.deepcopy(_parsed(path.read_text(encoding="utf-8")))
    claims = [_claim(path, entry) for entry in entries]
    names = [claim.id for claim in claims]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ClaimError(
            f"{path.name}: claims share the id {', '.join(sorted(repeated))}; each needs its own"
        )
    return claims


@functools.cache
def _parsed(text: str) -> list[dict]:
    """What a file of claims holds, parsed once: merging looks at every claim for every file."""
    return yaml.safe_load(text)


def _claim(path: Path, entry: dict) -> Claim:
    where = f"{path.name}, claim {entry.get('id', '?')!r}"
    values = {"published": {}, "note": "", "chip": "", "least": entry.get("above")} | entry
    known = [field.name for field in fields(Claim)]
    if wrong := sorted(values.keys() ^ set(known)):
        raise ClaimError(f"{where}: fields missing or unknown: {', '.join(wrong)}; known: {', '.join(known)}")
    for name, allowed in (("query", queries.QUERIES), ("rule", rules.RULES), ("device", DEVICES)):
        if values[name] not in allowed:
            raise ClaimError(f"{where}: {name} is {values[name]!r}; allowed: {', '.join(map(repr, allowed))}")
    if unknown := set(values["published"].get("topics", ())) - set(TOPICS):
        raise ClaimError(f"{where}: published topics {sorted(unknown)}; allowed: {', '.join(TOPICS)}")
    for name in ("above", "least"):
        if not isinstance(values[name], int | float):
            raise ClaimError(f"{where}: {name} is {values[name]!r}; it must be a number")
    if not values["source"].startswith("http"):
        raise ClaimError(f"{where}: source is {values['source']!r}; it must be an address")
    return Claim(**values)


def judge(claim: Claim, figures: list[Figure]) -> tuple[str, str]:
    """The verdict of some figures and why, in words; without figures nothing is decided."""
    if not figures:
        return NOT_HERE, f"needs {claim.needs}"
    return rules.RULES[claim.rule](figures, claim.limits)


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
    return published_counts.told(chosen, claim.published.get("above", claim.least))


def table(verdicts: Iterable[Verdict]) -> pd.DataFrame:
    """Claims and verdicts of one machine."""
    rows = [{"claim": v.claim.claim, "verdict": v.word, "why": v.why} for v in verdicts]
    return pd.DataFrame(rows, columns=["claim", "verdict", "why"])


def published_table(claims: Iterable[Claim]) -> pd.DataFrame:
    """What others published, claim by claim."""
    rows = [{"claim": c.claim, "PyTorch's time ÷ MLX's, by others": others(c)} for c in claims if c.published]
    return pd.DataFrame(rows, columns=["claim", "PyTorch's time ÷ MLX's, by others"])


def decisions(claims: Iterable[Claim]) -> pd.DataFrame:
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
    told = [f"{words.count(word)} {word}" for word in WORDS if word in words]
    return f"Of {len(words)} claims: {', '.join(told)}." if words else "No claim was judged by these records."


def changes(path: Path = CHANGES) -> pd.DataFrame:
    """Every version of the rules: when and why it was made, and which verdicts it changed."""
    rows = []
    for entry in yaml.safe_load(path.read_text(encoding="utf-8")):
        told = "; ".join(f"{name}: {old} → {new}" for name, (old, new) in entry["changed"].items())
        row = {"version": entry["version"], "made": str(entry["made"]), "what changed": entry["what"]}
        row |= {"why": entry["why"], "after seeing verdicts": "yes" if entry["after_looking"] else "no"}
        rows.append(row | {"verdicts changed": told or "none"})
    return pd.DataFrame(rows)
