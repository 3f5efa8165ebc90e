"""Published figures compared with this machine's of the same kind of work, never pooled.

Kinds are matched by the type of workload, not by its size: sizes, chips and versions differ, and the audit
lists other differences. Only the direction of a ratio and its order of magnitude can be compared.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from twins.evidence.published.published_benchmarks import Benchmark
from twins.records import measurements
from twins.records.record_types import Timing
from twins.records.store import Found
from twins.timing import comparison, sessions, statistics, wording
from twins.timing.comparison import Comparison


@dataclass(frozen=True)
class Kind:
    """One kind of work: which published rows are of it, and which of our records.

    `topic` is that of the published rows. `match` are entries of a timing's case; `variants` two to compare,
    PyTorch's first, or each at its best.
    """

    label: str
    topic: str
    notebook: str
    subject: str
    match: dict[str, str]
    variants: tuple[str, str] | None = None


LM, STEP, F32 = {"twin": "transformer_lm"}, "training step", {"dtype": "float32"}
LORA = {"twin": "lora fine-tuning"}
SWITCHED = ("PyTorch CPU then GPU, copied", "MLX CPU then GPU, shared")
KINDS = (
    Kind("Training a transformer LM", "language model training", "02_transformer_lm", STEP, LM),
    Kind("Training BERT", "BERT training", "03_bert", STEP, {"twin": "bert"}),
    Kind("Training a ResNet", "ResNet training", "04_vision", STEP, {"twin": "resnet"}),
    Kind("Training a ViT", "", "04_vision", STEP, {"twin": "vit"}),
    Kind("Fine-tuning with LoRA", "fine-tuning", "10_finetuning", "fine-tuning step", LORA),
    Kind("Generating text", "text generation", "06_inference", "token", F32),
    Kind("Transcribing speech", "speech transcription", "06_inference", "decoder step", F32),
    Kind("Changing between CPU and GPU", "hand-over", "05_unified_memory", "switching", {}, SWITCHED),
)


@dataclass(frozen=True)
class Pair:
    """A kind of work with what others published of it and what this machine measured."""

    label: str
    published: list[Benchmark]
    measured: list[Comparison]


def pairs(rows: list[Benchmark], found: Found, machine: str) -> list[Pair]:
    """Every kind with its published rows, of those that count, and this machine's ratios."""
    return [
        Pair(kind.label, [row for row in rows if row.topic == kind.topic], _measured(kind, found, machine))
        for kind in KINDS
    ]


def _measured(kind: Kind, found: Found, machine: str) -> list[Comparison]:
    own = measurements.by_case(measurements.of(found.records, machine, kind.notebook), kind.subject)
    same = [t for t in own if all(t[0].case.get(name) == value for name, value in kind.match.items())]
    return [row for each in same if (row := _compared(kind, *each))]


def _compared(kind: Kind, record: Timing, *more: Timing) -> Comparison | None:
    """The comparison of one case over its sessions; None when it lacks the variants, as without a GPU."""
    case = {name: record.case[name] for name in ("batch", "length", "frames", "n") if name in record.case}
    label = ", ".join(f"{name} {value}" for name, value in case.items())
    runs = comparison.runs(record)
    if kind.variants is None:
        timed = {variant.split()[0].rstrip(",") for variant in comparison.variants(runs)}
        return comparison.headline(record, label, *more) if timed >= set(comparison.FRAMEWORKS) else None
    if not set(kind.variants) <= set(statistics.variant_names(runs)):
        return None
    found = [comparison.runs(each) for each in (record, *more)]
    over = sessions.of(found, *kind.variants, record.subject)
    return Comparison(label, over, comparison.middle_band(found))


def table(found: Iterable[Pair]) -> pd.DataFrame:
    """Per kind of work: the range and number of published ratios, and of what this machine measured."""
    rows = []
    for pair in found:
        ends = [end for row in pair.published for end in row.span]
        here = [row.ratio.value for row in pair.measured]
        counts = len(pair.published), len(here)
        rows.append((pair.label, _range(ends), counts[0], _range(here), counts[1]))
    columns = ["kind of work", "published, as fast", "pairs", "here, as fast", "cases"]
    return pd.DataFrame(rows, columns=columns)


def chips(found: Iterable[Pair]) -> str:
    """On which generations of chips others published each kind of work, in one sentence."""
    told = []
    for pair in found:
        own = sorted({row.generation or "a chip that is not stated" for row in pair.published})
        told += [f"{pair.label}: {', '.join(own)}"] * bool(own)
    return f"Published on: {'; '.join(told)}." if told else "Nothing of this kind is published."


def _range(ratios: list[float]) -> str:
    return wording.span(min(ratios), max(ratios)) if ratios else "none"


def reading(found: Iterable[Pair]) -> str:
    """Where this machine and the published figures agree, in one sentence."""
    both = [pair for pair in found if pair.published and pair.measured]
    if not both:
        return "Nothing was measured on this machine yet that others published too."
    apart = [pair.label for pair in both if not _overlap(pair)]
    told = (
        f"Within the range that others published in {len(both) - len(apart)} of {len(both)} kinds of work "
        "that were measured here too"
    )
    return f"{told}; outside: {', '.join(apart)}." if apart else f"{told}."


def _overlap(pair: Pair) -> bool:
    ends = [end for row in pair.published for end in row.span]
    return any(min(ends) <= row.ratio.high and row.ratio.low <= max(ends) for row in pair.measured)
