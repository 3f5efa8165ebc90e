"""How data-parallel training would scale over links that are not here: calculated, never measured.

The model of a ring all-reduce (Patarasuk and Yuan 2009, https://doi.org/10.1016/j.jpdc.2008.09.002): every
process sends 2 (n - 1) / n of the gradients' bytes. The global batch stays the same, so that computation is
shared; nothing overlaps, latency is nothing, and the link reaches its peak.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from twins.evidence.published.published_benchmarks import Link

HALF = 0.5  # below this efficiency, a further process no longer pays for itself


@dataclass(frozen=True)
class Work:
    """A training step: seconds that one process computes, bytes of gradients, examples that are shared."""

    framework: str
    seconds: float
    gradients: int
    batch: int


def exchange(size: float, processes: int, bandwidth: float) -> float:
    """The least seconds of an all-reduce of `size` bytes at `bandwidth` bytes in a second, one way."""
    return 2 * (processes - 1) / processes * size / bandwidth


def step(work: Work, processes: int, bandwidth: float) -> float:
    """Seconds of a step that so many processes share."""
    return work.seconds / processes + exchange(work.gradients, processes, bandwidth)


def efficiency(work: Work, processes: int, bandwidth: float) -> float:
    """The share of its time that a process computes: 1 where nothing is lost."""
    return work.seconds / (processes * step(work, processes, bandwidth))


def stops(work: Work, bandwidth: float) -> int:
    """The fewest processes whose efficiency is below one half, whatever the batch."""
    return math.floor(1 + work.seconds * bandwidth / (2 * work.gradients)) + 1


def told(work: Work, bandwidth: float) -> str:
    """The number at which scaling stops, as far as the batch has an example for each process."""
    found = stops(work, bandwidth)
    return str(found) if found <= work.batch else f"more than {work.batch}"


def table(works: Iterable[Work], links: Sequence[Link]) -> pd.DataFrame:
    """Every link and framework: where scaling stops, and how fast a step of the batch can get before that."""
    rows = []
    for link in links:
        for work in works:
            most = min(stops(work, link.bandwidth) - 1, work.batch)
            gained = work.seconds / step(work, most, link.bandwidth)
            cells = told(work, link.bandwidth), f"{gained:.3g}× with {most}"
            rows.append((link.link, f"{link.gbit_per_s:g}", work.framework, *cells))
    columns = ["link", "Gb/s one way", "framework", "efficiency below 1/2 from", "as fast as one process"]
    return pd.DataFrame(rows, columns=columns)


def sources(links: Iterable[Link]) -> str:
    """Where each link's rate was seen, one bullet each."""
    return "\n".join(f"- {link.link}: {link.url} (seen {link.seen}; {link.notes})." for link in links)
