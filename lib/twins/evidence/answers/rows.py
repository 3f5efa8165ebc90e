"""The first table of the report: what a reader wants to do, on a Mac and on one machine that was measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from twins.evidence import summary
from twins.evidence.answers import spans, training
from twins.evidence.published import published_benchmarks, published_counts
from twins.evidence.verdicts import export_queries, queries
from twins.records import measurements
from twins.records.record_types import OURS
from twins.records.store import Found, Record
from twins.timing import comparison

MAC = "Apple GPU"
LANGUAGE, VISION = ("02_transformer_lm", "03_bert"), ("04_vision",)
RUN = {
    "prefill": "reading a prompt",
    "run": "generating",
    "encoder": "Whisper encoder",
    "decoder step": "Whisper decoder",
}
NO_MAC, NOT_MEASURED = "No Mac measured yet", "not measured"


@dataclass(frozen=True)
class Row:
    """One thing a reader wants to do; the texts are Markdown, every number in them is computed.

    `known` says that a Mac was not measured, where that matters; `page` is the page with the evidence.
    """

    want: str
    page: str
    known: str
    on_a_mac: str
    here: str


def rows(evidence: list[Record], found: Found) -> list[Row]:
    """The rows, from one machine's evidence and from all records, of which Macs' are the first column.

    `evidence` is that of `summary.evidence`; it may be empty.
    """
    known = macs(found)
    return [
        _timed("Train a language model or BERT", LANGUAGE, _trained, known, evidence),
        _timed("Train a ResNet or ViT", VISION, _trained, known, evidence),
        _timed("Generate text, transcribe speech", ("06_inference",), _ran, known, evidence),
        _shipped(known, evidence),
        _beyond(),
    ]


def macs(found: Found) -> dict[str, list[Record]]:
    """The evidence of every Mac that was measured, on its GPU, by its name."""
    own = found.on(MAC)
    names = sorted({record.machine for record in own.records})
    return {name: summary.evidence(own, name, mixed=True, device=MAC) for name in names}


TOPICS = {
    LANGUAGE: ("language model training", "BERT training"),
    VISION: ("ResNet training", "other vision training"),
    ("06_inference",): ("text generation", "speech transcription"),
}


def _timed(
    want: str,
    pages: tuple[str, ...],
    told: Callable[[list[Record], Sequence[str]], str],
    known: dict[str, list[Record]],
    evidence: list[Record],
) -> Row:
    """A row about speed: what Macs measured, or else what others published."""
    own = {name: text for name, records in known.items() if (text := told(records, pages))}
    published = published_counts.in_words(published_counts.about(TOPICS[pages]))
    on_a_mac = ". ".join(f"{name}: {text}" for name, text in own.items()) or published
    return Row(want, pages[0], "" if own else NO_MAC, on_a_mac, told(evidence, pages) or NOT_MEASURED)


def _trained(records: list[Record], pages: Sequence[str]) -> str:
    cases = training.cases([record for record in records if record.notebook in pages])
    return spans.summed([case.comparison for case in cases])


def _ran(records: list[Record], pages: Sequence[str]) -> str:
    """Who reads prompts, generates and transcribes faster."""
    told = []
    for subject, words in RUN.items():
        found = measurements.by_case([r for r in records if r.notebook in pages], subject)
        cases = [comparison.headline(own[0], "", *own[1:]) for own in found if comparison.kinds(own[0])]
        told += [f"{words}: {spans.summed(cases)}"] * bool(cases)
    return ". ".join(told)


def _shipped(known: dict[str, list[Record]], evidence: list[Record]) -> Row:
    """The row about Core ML: how many models are right from either side, and whether Core ML ran them."""
    ran = [figure for records in known.values() for figure in queries.core_ml(records)]
    sides = export_queries.sides(evidence) or export_queries.sides([r for own in known.values() for r in own])
    works = [name for name, (right, _, _) in sides.items() if right]
    told = "Either works. " if len(works) > 1 else ""
    told += (
        f"Core ML itself ran {len(ran)} packages." if ran else "Packages are checked by a reference runtime."
    )
    known_here = "" if ran else "Not yet run by Core ML"
    here = "; ".join(_side(name, *each) for name, each in export_queries.sides(evidence).items())
    return Row("Ship a model to Core ML", "07_coreml_from_pytorch", known_here, told, here or NOT_MEASURED)


def _side(name: str, right: int, tried: int, seconds: float) -> str:
    who = "MLX, in one call" if name == OURS else name
    return f"{who}: {right} of {tried} right, median {seconds:.2g} s"


def _beyond() -> Row:
    """The row about other platforms, which were looked up and not measured."""
    looked_up = [row for row in published_benchmarks.platforms() if None not in (row.pytorch, row.mlx)]
    alone = {
        "PyTorch": [row.platform for row in looked_up if row.pytorch and not row.mlx],
        "MLX": [row.platform for row in looked_up if row.mlx and not row.pytorch],
    }
    told = [f"**{who}** alone runs on {', '.join(names)}." for who, names in alone.items() if names]
    both = sum(bool(row.pytorch and row.mlx) for row in looked_up)
    told += [f"Both run on {both} of {len(looked_up)} platforms."]
    return Row("Run beyond Apple and NVIDIA", "00_summary", "", " ".join(told), "looked up, not measured")


def markdown(evidence: list[Record], found: Found, name: str) -> str:
    """The rows as a Markdown table; `name` is the machine of the evidence."""
    lines = [f"| you want to | on a Mac (Apple GPU) | measured here: {name} |", "| --- | --- | --- |"]
    for row in rows(evidence, found):
        known = f"{row.known}. " if row.known else ""
        cells = f"{row.want[0].lower()}{row.want[1:]}", f"{known}{row.on_a_mac}", row.here
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
