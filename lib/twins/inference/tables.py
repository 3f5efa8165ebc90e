"""The tables and sentences of the page on inference, made from records."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from twins.records.record_types import Gate, Memory, Timing, Work
from twins.timing import comparison, statistics
from twins.timing.ceilings import ceilings
from twins.timing.comparison import Comparison

PARTS = ("prefill", "token", "run")


def label(record: Timing) -> str:
    """What was timed, in which type and at which sizes."""
    c = record.case
    if "frames" in c:
        return f"{record.subject}, {c['dtype']}"
    filled = ", filled" if c.get("filled") else ""
    return f"{record.subject}, {c['dtype']}, batch {c['batch']}, {c['length']} tokens{filled}"


def both(records: Iterable[Timing]) -> list[Timing]:
    """The records in which both frameworks were timed."""
    frameworks = set(comparison.FRAMEWORKS)
    return [r for r in records if {variant.split()[0] for variant in r.runs[0]["arms"]} == frameworks]


def comparisons(records: Iterable[Timing], *subjects: str, mode: str = "eager") -> list[Comparison]:
    """PyTorch's time over MLX's with both in one mode, for the records of these subjects that both ran in it.

    Eager is the headline, set before anything was timed. A record without modes, Whisper's, is eager.
    """
    found = []
    for record in both(records):
        name = label(record)
        named = (name, f"{name}, eager") if mode == "eager" else (f"{name}, {mode}",)
        if not subjects or record.subject in subjects:
            found += [c for c in comparison.by_mode(record, name) if c.label in named]
    return found


def reading(records: Iterable[Timing]) -> str:
    """Who is faster in each type, both eager: how many measurements each wins, and the range; sentences."""
    told, leads, records = [], set(), list(records)
    for dtype in dict.fromkeys(r.case["dtype"] for r in records):
        found = comparisons(r for r in records if r.case["dtype"] == dtype)
        if not found:
            told.append(f"In {dtype}, only MLX ran.")
            continue
        won = {name: sum(c.winner == name for c in found) for name in comparison.FRAMEWORKS}
        wins = ", ".join(f"{name} is faster in {count}" for name, count in won.items())
        rest = len(found) - sum(won.values())
        low, high = min(c.ratio.value for c in found), max(c.ratio.value for c in found)
        told.append(
            f"In {dtype}, of {len(found)} eager measurements, {wins}, and {rest} undecided or a tie: "
            f"PyTorch's time ÷ MLX's is {low:.2f} to {high:.2f}."
        )
        leads.add(max(won, key=lambda name: won[name]) if won["MLX"] != won["PyTorch"] else "")
    told += ["**Who is faster depends on the type.**"] if len(leads) > 1 else []
    return " ".join(told) or "Nothing was timed."


def latency_table(records: Iterable[Timing]) -> pd.DataFrame:
    """Per case and variant: time to the first token, per token (median, 95th percentile), tokens a second.

    A token is waited for, as streaming to a reader does; tokens a second are those of a run, in which the
    next is started before the one before is done.
    """
    rows: dict[tuple, dict] = {}
    for record in (r for r in records if r.subject in PARTS):
        found, c = comparison.runs(record), record.case
        for variant in comparison.variants(found):
            row = rows.setdefault(
                (c["dtype"], c["batch"], c["length"], variant),
                {"type": c["dtype"], "batch": c["batch"], "prompt": c["length"], "variant": variant},
            )
            row |= PART_COLUMNS[record.subject](found, variant, c)
    return pd.DataFrame(rows.values())


def _prefill(found: list[statistics.Run], variant: str, case: dict) -> dict:
    return {"first token, ms": 1e3 * statistics.median(found, variant)}


def _token(found: list[statistics.Run], variant: str, case: dict) -> dict:
    every = 1e3 * np.concatenate(statistics.values(found, variant))
    return {"p50, ms": float(np.median(every)), "p95, ms": float(np.percentile(every, 95))}


def _run(found: list[statistics.Run], variant: str, case: dict) -> dict:
    return {"tokens/s": case["batch"] * case["tokens"] / statistics.median(found, variant)}


PART_COLUMNS = {"prefill": _prefill, "token": _token, "run": _run}


def shares(records: Iterable[Timing], works: Iterable[Work], peaks: dict, bandwidth: float) -> pd.DataFrame:
    """Prefill's FLOP/s and decode's bytes per second as shares of the probed ceilings, by type.

    `peaks` are FLOP/s by type; a type that has none, such as 4 bit, is left out. A decode step reads every
    weight and the cache once; `bandwidth` is STREAM's, and a model that fits a cache can exceed it.
    """
    counted = {(w.case["batch"], w.case["length"]): w.flops for w in works}
    rows = []
    for record in records:
        c, found = record.case, comparison.runs(record)
        if record.subject not in ("prefill", "token") or c["dtype"] not in peaks:
            continue
        for variant in comparison.variants(found):
            seconds = statistics.median(found, variant)
            if record.subject == "prefill":
                reached, unit = counted[c["batch"], c["length"]] / seconds, "GFLOP/s"
                ceiling, told = peaks[c["dtype"]], ceilings.named(peaks[c["dtype"]], c["dtype"])
            else:
                reached, unit = (c["weight_bytes"] + c["cache_bytes"]) / seconds, "GB/s"
                ceiling, told = bandwidth, ceilings.named(bandwidth)
            row = record.subject, c["dtype"], c["batch"], c["length"], variant
            rows.append((*row, reached / 1e9, unit, told, ceilings.percent(reached, ceiling)))
    columns = ["part", "type", "batch", "prompt", "variant", "reached", "unit", "ceiling", ceilings.SHARE]
    return pd.DataFrame(rows, columns=columns)


def memory_table(records: Iterable[Memory], bytes_of: dict[str, int]) -> pd.DataFrame:
    """Megabytes that loading and generating add: median and range; and the weights' own bytes, by type."""
    return pd.DataFrame(
        {
            "type": r.case["dtype"],
            "framework": r.arm.split()[0],
            "weights, MB": bytes_of[r.case["dtype"]] / 2**20,
            "process, MB": comparison.megabytes(r.readings or [r.resident]),
            "allocator, MB": None if r.allocator is None else r.allocator / 2**20,
        }
        for r in records
    )


def whisper_table(records: Iterable[Timing]) -> pd.DataFrame:
    """Milliseconds of the encoder and of one decoder step."""
    rows = []
    for record in records:
        found = comparison.runs(record)
        variants = comparison.variants(found)
        rows += [(record.subject, each, 1e3 * statistics.median(found, each)) for each in variants]
    return pd.DataFrame(rows, columns=["part", "framework", "ms"])


def only_mlx(records: Iterable[Timing]) -> str:
    """Which cases only MLX ran, in one sentence; empty when there is none."""
    records = list(records)
    alone = dict.fromkeys(r.case["dtype"] for r in records if r not in both(records))
    return f"Only MLX ran {', '.join(alone)}: PyTorch has no such product of its own." if alone else ""


def refusal(gate: Gate) -> str:
    """Why a model is not timed; empty when it is."""
    failed = [f"{c['name']}: {c['where']}" for c in gate.checks if not c["passed"]]
    why = f"because the frameworks do not agree: {'; '.join(failed)}"
    return f"**{gate.twin} is not timed**, {why}." if failed else ""
