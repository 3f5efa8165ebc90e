"""The answers of the pages that run models without training them: generation, speech, hand-overs."""

from collections.abc import Sequence

from twins.evidence.answers.answer import Answer, Case, summed
from twins.evidence.verdicts import queries
from twins.inference import tables
from twins.records import measurements
from twins.records.record_types import Gate, Sharing, Timing
from twins.records.store import Record
from twins.timing import comparison, statistics
from twins.transfer import transfer_tables

FULL, QUANTIZED = "float32", "4-bit"
READ, WRITE = "prefill", "run"  # the records that count for reading a prompt and for generating
SPEECH = tuple(tables.SPEECH)
LEFT_OUT = "quality (the weights are random), sampling, serving many users, larger models."


def generation(records: list[Record]) -> Answer | None:
    """Who reads prompts, generates and transcribes how many times as fast; whether tokens are equal."""
    found = tuple(case for subject in (READ, WRITE, *SPEECH) for case in cases(records, subject, FULL))
    if not found:
        return None
    told = [f"{tables.WORDS[s]}: {own}" for s in (READ, WRITE) if (own := _summed(records, s))]
    texts = [f"**In float32**: {'; '.join(told)}."] if told else []
    sentences = [*texts, _types(records), _speech(records), _equal(records)]
    line = "; ".join([*told, *_heard(records)])
    finding = f"In {FULL}: {summed([case.comparison for case in found])}"
    return Answer(line, tuple(filter(None, sentences)), LEFT_OUT, finding, found)


def _summed(records: Sequence[Record], subject: str, dtype: str = FULL) -> str:
    return summed([case.comparison for case in cases(records, subject, dtype)])


def cases(records: Sequence[Record], subject: str, dtype: str = FULL) -> list[Case]:
    """What both frameworks were timed in, both eager, in one type: the mode that was fixed beforehand."""
    found = measurements.by_case(list(records), subject)
    found = [own for own in found if own[0].case["dtype"] == dtype and comparison.kinds(own[0])]
    return [_case(own) for own in found]


def _case(own: list[Timing]) -> Case:
    entries, kind = own[0].case, comparison.kinds(own[0])[0]
    runs = [run for each in own for run in comparison.runs(each)]
    mlx, torch = (statistics.median(runs, f"{framework}{kind}") for framework in comparison.FRAMEWORKS)
    amounts = {READ: entries.get("length", 0), WRITE: entries.get("tokens", 0)}
    amount = entries.get("batch", 1) * amounts.get(own[0].subject, 0)
    label = _label(own[0])
    return Case(label, mlx, torch, comparison.headline(own[0], label, *own[1:]), amount, "tokens")


def _label(record: Timing) -> str:
    """A case in words, as short as a chart needs: "read 128 tokens, batch 1"."""
    entries = record.case
    if record.subject in SPEECH:
        return tables.SPEECH[record.subject]
    what = f"read {entries['length']} tokens"
    if record.subject == WRITE:
        what = f"write {entries['tokens']} after {entries['length']}"
    filled = " (fills the machine)" if entries.get("filled") else ""
    return f"{what}, batch {entries['batch']}{filled}"


def _types(records: Sequence[Record]) -> str:
    """Who is faster in each half type, and what 4 bits gain in MLX, which alone has them."""
    known = [r.body.case["dtype"] for r in records if isinstance(r.body, Timing) and r.body.subject == WRITE]
    told = []
    for dtype in dict.fromkeys(each for each in known if each not in (FULL, QUANTIZED)):
        own = [f"{tables.WORDS[s]}: {text}" for s in (READ, WRITE) if (text := _summed(records, s, dtype))]
        told += [f"{dtype}: {', '.join(own)}"] * bool(own)
    sentence = f"**Half types**: {'; '.join(told)}." if told else ""
    return " ".join(filter(None, [sentence, _quantized(records)]))


def _quantized(records: Sequence[Record]) -> str:
    """Tokens a second of 4-bit weights and of float32 in MLX, at the case that both were timed in."""
    rates: dict[str, dict[tuple, float]] = {FULL: {}, QUANTIZED: {}}
    for own in measurements.by_case(list(records), WRITE):
        entries = own[0].case
        if entries["dtype"] in rates:
            runs = [run for each in own for run in comparison.runs(each)]
            seconds = statistics.median(runs, "MLX eager")
            key = entries["batch"], entries["length"]
            rates[entries["dtype"]][key] = entries["batch"] * entries["tokens"] / seconds
    both = sorted(set(rates[FULL]) & set(rates[QUANTIZED]))
    if not both:
        return ""
    four, full = (rates[dtype][both[0]] for dtype in (QUANTIZED, FULL))
    return f"4 bits, in MLX only: {four:,.0f} tokens/s, against {full:,.0f} in {FULL}."


def _heard(records: Sequence[Record]) -> list[str]:
    return [f"{tables.SPEECH[s]}: {told}" for s in SPEECH if (told := _summed(records, s))]


def _speech(records: Sequence[Record]) -> str:
    heard = _heard(records)
    return f"**Speech**: {'; '.join(heard)}." if heard else ""


def _equal(records: Sequence[Record]) -> str:
    """Whether both frameworks gave the same tokens, of the newest gate of each model."""
    own = [r.body for r in sorted(records, key=lambda r: r.run) if isinstance(r.body, Gate)]
    newest = {gate.twin: gate for gate in own if not gate.case.get("compiled")}
    return f"**Same tokens?** {tables.equal(newest.values())}" if newest else ""


def hand_overs(records: list[Record]) -> Answer | None:
    """Which hand-overs share memory, and what copying costs of mixed work and of a training step."""
    own = [r.body for r in sorted(records, key=lambda r: r.run) if isinstance(r.body, Sharing)]
    newest = {proof.route: proof for proof in own}
    if not newest:
        return None
    sharing = [transfer_tables.spoken(route) for route, proof in newest.items() if proof.written]
    line = f"{len(sharing)} of {len(newest)} hand-overs share memory"
    sentences = [f"**{line}**: {', '.join(sharing) or 'none'}. The others copy."]
    if mixed := _mixed(records):
        sentences.append(f"**{mixed[:1].upper()}{mixed[1:]}.**")
        line = f"{line}; {mixed}"
    sentences += filter(None, [_forced(records)])
    return Answer(line, tuple(sentences), "what sharing saves in a whole application.")


def _mixed(records: list[Record]) -> str:
    """The share of copying over the sizes of the matrices: "copying is 1.9 % of mixed work"."""
    found = sorted(queries.copying(records), key=lambda figure: int(figure.case["size"]))
    if not found:
        return ""
    ends = [(each.case["size"], f"{100 * each.value:.2g} %") for each in (found[0], found[-1])]
    (size, share), *more = dict(ends).items()
    told = f"copying is {share} of mixed work with matrices of {size} × {size}"
    return ", ".join([told, *(f"{share} with {size} × {size}" for size, share in more)])


def _forced(records: list[Record]) -> str:
    """What forced hand-overs add at most to a training step in each framework, where a cost is shown."""
    told = []
    for framework in comparison.FRAMEWORKS:
        if forced := queries.saved_by_sharing(records, framework):
            most = max(forced, key=lambda figure: figure.value)
            shown = most.low > max(most.band, 1.0)
            added = f"{100 * (most.value - 1):,.0f} %"
            cost = f"up to {added} ({most.case['kind']})" if shown else "nothing shown"
            told.append(f"{cost} in {framework}")
    return f"**Forcing hand-overs** in every training step adds {', '.join(told)}." if told else ""
