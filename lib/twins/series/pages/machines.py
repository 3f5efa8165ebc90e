"""The machines whose figures the site shows: what they are, when they measured a page, what it answers."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from twins.evidence import summary
from twins.evidence.answers import pages
from twins.evidence.answers.answer import Answer
from twins.records.record_types import Machine
from twins.records.store import Found, Record

CAVEATS = {
    "CPU": "A CPU, not a Mac. MLX's CPU back end runs on one thread outside matrix products: nothing here "
    "predicts Metal.",
    "CUDA": "An NVIDIA GPU, not a Mac: nothing here predicts Metal.",
}


@dataclass(frozen=True)
class Measured:
    """One machine with one device: its records are those of `summary.evidence`, of every page.

    `mixed`: its pages were measured with different versions.
    """

    name: str
    facts: Machine
    records: list[Record]
    mixed: bool

    @property
    def key(self) -> str:
        """The name as an address has it: `?machine=KEY`."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")

    @property
    def label(self) -> str:
        """The name for people."""
        gpu = f" with {self.facts.gpu}" if self.facts.gpu else ""
        gpu += f" with {self.facts.gpu_cores} GPU cores" if self.facts.gpu_cores else ""
        told = f"{self.facts.chip}{gpu}, {self.facts.cores} cores, {self.facts.memory_gb} GB"
        return f"{told} ({self.facts.device})"

    @property
    def caveat(self) -> str:
        """What a reader must know before believing a figure of it; empty where there is nothing."""
        told = [CAVEATS.get(self.facts.device, "")]
        told += ["Its pages were measured with different versions."] * self.mixed
        return " ".join(filter(None, told))

    def of(self, page: str) -> list[Record]:
        """Its records of one page, or of every page where `page` is empty."""
        return [record for record in self.records if page in ("", record.notebook)]

    def head(self, page: str) -> str:
        """When a page was measured on it last, with which versions and profile; empty without a record."""
        own = self.of(page)
        if not own:
            return ""
        last = max(own, key=lambda record: record.run)
        day = datetime.fromisoformat(last.run[:10])
        versions = (f"{name} {last.versions[name]}" for name in ("mlx", "torch") if name in last.versions)
        told = (f"Measured {day.day} {day:%b %Y}", *versions, f"profile {last.profile}")
        return " · ".join(told)

    def answer(self, page: str) -> Answer | None:
        """What a page answers on it; None where it has no record of the page, or the page has no answer."""
        return pages.of(page, self.records) if page in pages.MAKERS else None


def known(found: Found) -> list[Measured]:
    """Every machine with records; the first is the one shown unless another is chosen.

    That is a GPU, or a CPU where there is no GPU: of several the one that measured the most pages, and of
    those the one that was measured last.
    """
    made: list[Measured | None] = []
    for machine in sorted({record.machine for record in found.records}):
        own = Found([record for record in found.records if record.machine == machine], [])
        devices = summary.devices(own, machine)
        made += [_measured(own, machine, device, devices[0]) for device in devices]
    told = [each for each in made if each]
    return sorted(told, key=_rank, reverse=True)


def _measured(own: Found, machine: str, device: str, first: str) -> Measured | None:
    """One machine; None where no record says what it is, or none is of a profile that counts."""
    mixed = False
    try:
        records = summary.evidence(own, machine, device=device)
    except ValueError:  # of different versions, which is said
        records, mixed = summary.evidence(own, machine, mixed=True, device=device), True
    facts = [record for record in records if isinstance(record.body, Machine)]
    if not facts:
        return None
    newest = max(facts, key=lambda record: record.run).body
    return Measured(summary.label(machine, device, first), newest, records, mixed)


def _rank(machine: Measured) -> tuple[bool, int, str]:
    """What decides which machine is shown first."""
    pages_measured = len({record.notebook for record in machine.records})
    newest = max(record.run for record in machine.records)
    return machine.facts.device != summary.CPU, pages_measured, newest


def ran_on(notebook: str, page: str, machines: Collection[Measured]) -> Measured | None:
    """The machine that an executed notebook ran on, from its text: the one that the page names.

    Where it names none it is the one that measured the page last; None where no record is of the page.
    """
    measured = [machine for machine in machines if machine.of(page)]
    named = [machine for machine in measured if str(machine.facts) in notebook]
    return max(named or measured, key=lambda m: max(r.run for r in m.of(page)), default=None)
