"""The first table of the report: what a reader wants to do, on a Mac and on one machine that was measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from twins.evidence import summary
from twins.evidence.answers import route_grid, running, shipping, training
from twins.evidence.answers.answer import summed
from twins.evidence.answers.route_grid import Standing
from twins.evidence.published import published_counts
from twins.evidence.verdicts import plain, queries
from twins.records.export_types import DIRECT, Conversion
from twins.records.record_types import Machine
from twins.records.store import Found, Record
from twins.timing import wording

MAC = "Apple GPU"
LANGUAGE, VISION, RUN = ("02_transformer_lm", "03_bert"), ("04_vision",), ("06_inference",)
CORE_ML = ("07_coreml_from_pytorch", "08_coreml_from_mlx")
NO_MAC, NOT_MEASURED, NOT_RUN = "No Mac measured yet", "not measured", "Not yet run by Core ML"
CHECKED = "Packages are checked by a reference runtime."


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
        _timed("Generate text, transcribe speech", RUN, _ran, known, evidence),
        _shipped(known, evidence),
        _beyond(),
    ]


def macs(found: Found) -> dict[str, list[Record]]:
    """The evidence of every Mac that was measured, on its GPU, by its name for people."""
    own = found.on(MAC)
    names = sorted({record.machine for record in own.records})
    made = {name: summary.evidence(own, name, mixed=True, device=MAC) for name in names}
    told = {name: _called(name, records) for name, records in made.items()}
    shared = {name for name, words in told.items() if list(told.values()).count(words) > 1}
    return {name if name in shared else told[name]: records for name, records in made.items()}


def _called(name: str, records: list[Record]) -> str:
    """A Mac as its newest record describes it: "Apple M5, 10 GPU cores, 24 GB"; otherwise its id."""
    facts = [record for record in records if isinstance(record.body, Machine)]
    if not facts:
        return name
    newest = max(facts, key=lambda record: record.run).body
    cores = [f"{newest.gpu_cores} GPU cores"] if newest.gpu_cores else []
    return ", ".join([newest.chip, *cores, f"{newest.memory_gb} GB"])


TOPICS = {
    LANGUAGE: ("language model training", "BERT training"),
    VISION: ("ResNet training", "other vision training"),
    RUN: ("text generation", "speech transcription"),
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
    return summed([case.comparison for case in cases])


def _ran(records: list[Record], pages: Sequence[str]) -> str:
    """Who reads prompts, generates and transcribes faster: the line of the page."""
    told = running.generation([record for record in records if record.notebook in pages])
    return told.line if told else ""


def _shipped(known: dict[str, list[Record]], evidence: list[Record]) -> Row:
    """The row about Core ML: which routes make right packages, and whether Core ML ran them."""
    ran = [figure for records in known.values() for figure in queries.core_ml(records)]
    here = _standings(evidence)
    made = here or [each for records in known.values() for each in _standings(records)]
    sides = {each.route == DIRECT for each in made if each.right}
    told = ["Either works."] * (len(sides) > 1)
    told += [f"Core ML itself ran {wording.many(len(ran), 'package')}." if ran else CHECKED]
    on_this = "; ".join(map(shipping.named, here)) or NOT_MEASURED
    return Row("Ship a model to Core ML", CORE_ML[0], "" if ran else NOT_RUN, " ".join(told), on_this)


def _standings(records: list[Record]) -> list[Standing]:
    """The routes without ONNX as their pages count them: all of the first page, and the direct one."""
    found = [
        route_grid.standings(shipping.grid_models(shipping.of(own, Conversion)))
        for own in ([r for r in records if r.notebook == page] for page in CORE_ML)
    ]
    plain_routes = {each.route: each for own in reversed(found) for each in own}
    kept = (each for each in plain_routes.values() if not each.route.startswith(route_grid.THROUGH))
    return sorted(kept, key=lambda each: each.route != DIRECT)


def _beyond() -> Row:
    """The row about other platforms, which were looked up and not measured."""
    told = [f"**{who}** alone runs on {', '.join(names)}." for who, names in plain.alone().items() if names]
    words = plain.both()
    told.append(f"{words[0].upper()}{words[1:]}.")
    return Row("Run beyond Apple and NVIDIA", "00_summary", "", " ".join(told), "looked up, not measured")


def markdown(evidence: list[Record], found: Found, name: str) -> str:
    """The rows as a Markdown table; `name` is the machine of the evidence."""
    lines = [f"| you want to | on a Mac (Apple GPU) | measured here: {name} |", "| --- | --- | --- |"]
    for row in rows(evidence, found):
        known = f"{row.known}. " if row.known else ""
        cells = f"{row.want[0].lower()}{row.want[1:]}", f"{known}{row.on_a_mac}", row.here
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
