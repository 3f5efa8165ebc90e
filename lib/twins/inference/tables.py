"""The tables and sentences of the page on inference, made from records."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from twins.records.record_types import Gate, Memory, Timing, Work
from twins.timing import comparison, statistics, wording
from twins.timing.ceilings import ceilings
from twins.timing.comparison import Comparison

WORDS = {"prefill": "reading a prompt", "token": "one token", "run": "generating"}
SPEECH = {"encoder": "Whisper's encoder", "decoder step": "a step of Whisper's decoder"}


def case(entries: Mapping) -> str:
    """The sizes of a measured Llama in words: "float32, prompt of 16, batch 1"."""
    filled = " (fills the machine)" if entries.get("filled") else ""
    return f"{entries['dtype']}, prompt of {entries['length']}, batch {entries['batch']}{filled}"


def label(record: Timing) -> str:
    """What was timed, in which type and at which sizes, in words."""
    if "frames" in record.case:
        return SPEECH[record.subject]
    return f"{WORDS[record.subject]}: {case(record.case)}"


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


def latency_table(records: Iterable[Timing]) -> pd.DataFrame:
    """Per case and variant: time to the first token, per token (median, 95th percentile), tokens a second.

    A token is waited for, as streaming to a reader does; tokens a second are those of a run, in which the
    next is started before the one before is done.
    """
    rows: dict[tuple, dict] = {}
    for record in (r for r in records if r.subject in WORDS):
        found, what = comparison.runs(record), case(record.case)
        for variant in comparison.variants(found):
            row = rows.setdefault((what, variant), {"case": what, "variant": variant})
            row |= PART_COLUMNS[record.subject](found, variant, record.case)
    return pd.DataFrame(rows.values())


def _prefill(found: list[statistics.Run], variant: str, case: dict) -> dict:
    return {"first token, ms": 1e3 * statistics.median(found, variant)}


def _token(found: list[statistics.Run], variant: str, case: dict) -> dict:
    every = 1e3 * np.concatenate(statistics.values(found, variant))
    middle, most = np.median(every), np.percentile(every, 95)
    return {"next token (95 % within), ms": f"{middle:.3g} ({most:.3g})"}


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
            told_rate = f"{reached / 1e9:.3g} {unit}"
            row = f"{WORDS[record.subject]}: {case(c)}", variant, told_rate, told
            rows.append((*row, ceilings.percent(reached, ceiling)))
    return pd.DataFrame(rows, columns=["case", "variant", "reached", "ceiling", ceilings.SHARE])


def why(shares: pd.DataFrame) -> str:
    """How much of the ceilings each framework reaches in float32, eager, of a table of shares; a sentence."""
    ceiling = {"prefill": "arithmetic", "token": "memory"}
    told = []
    for subject, what in ceiling.items():
        own = shares[shares["case"].str.startswith(f"{WORDS[subject]}: float32")]
        reached = [_reached(own, framework) for framework in comparison.FRAMEWORKS]
        if any(reached):
            told.append(f"{WORDS[subject]} uses {', '.join(filter(None, reached))} of this machine's {what}")
    return f"In float32, {'; '.join(told)}." if told else "No share of a ceiling is known."


def _reached(shares: pd.DataFrame, framework: str) -> str:
    own = pd.to_numeric(
        shares.loc[shares["variant"] == f"{framework} eager", ceilings.SHARE], "coerce"
    ).dropna()
    ends = dict.fromkeys(f"{end:.0f}" for end in (own.min(), own.max())) if len(own) else {}
    return f"{framework} {'–'.join(ends)} %" if ends else ""


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
    """Milliseconds of the encoder and of one decoder step in each framework."""
    rows = []
    for record in records:
        found = comparison.runs(record)
        times = {f"{each}, ms": 1e3 * statistics.median(found, each) for each in comparison.variants(found)}
        rows.append({"part": SPEECH[record.subject], **times})
    return pd.DataFrame(rows, columns=["part", *(f"{name}, ms" for name in comparison.FRAMEWORKS)])


def only_mlx(records: Iterable[Timing]) -> str:
    """Which types only MLX ran, in a sentence each; empty when there is none."""
    records = list(records)
    alone = dict.fromkeys(r.case["dtype"] for r in records if r not in both(records))
    return " ".join(
        f"{each} was timed in MLX only; PyTorch has no built-in {each} matrix product." for each in alone
    )


def refusal(gate: Gate) -> str:
    """Why a model is not timed; empty when it is."""
    failed = [f"{c['name']}: {c['where']}" for c in gate.checks if not c["passed"]]
    why = f"because the frameworks do not agree: {'; '.join(failed)}"
    return f"**{wording.name(gate.twin)} is not timed**, {why}." if failed else ""


def equal(gates: Iterable[Gate]) -> str:
    """How many generated tokens of each model are equal in both frameworks; or which differ."""
    told = [refusal(gate) or f"{wording.name(gate.twin)}: {_tokens(gate)}" for gate in gates]
    return f"Compared before anything was timed: {'; '.join(told)}." if told else "Nothing was compared."


def _tokens(gate: Gate) -> str:
    """What a passed gate found of its tokens: "all 32 tokens equal"."""
    own = [check for check in gate.checks if check["name"].startswith("tokens")]
    compiled = [check["name"].removeprefix("tokens, ") for check in own if "compiled" in check["name"]]
    if compiled:
        return f"{' and '.join(compiled)} generate the tokens of their eager steps"
    return "; ".join(check["where"].replace(" equal", " tokens equal") for check in own)
