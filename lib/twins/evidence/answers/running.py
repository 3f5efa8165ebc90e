"""The answers of the pages that run models without training them: generation, speech, hand-overs."""

from collections.abc import Sequence

from twins.evidence.answers import spans
from twins.evidence.answers.answer import Answer, Case
from twins.evidence.verdicts import queries
from twins.records import measurements
from twins.records.record_types import Gate, Sharing, Timing
from twins.records.store import Record
from twins.timing import comparison, statistics, wording

SUBJECTS = {"prefill": "reading a prompt", "run": "generating"}
HEARD = {"encoder": "speech encoder", "decoder step": "speech decoder, a token"}
SPEECH = {"encoder": "Whisper's encoder", "decoder step": "a step of its decoder"}
FULL = "float32"  # the type that the chart shows


def generation(records: list[Record]) -> Answer | None:
    """Who reads prompts, generates and transcribes how many times as fast; whether tokens are equal."""
    spoken = {subject: told for subject in SUBJECTS | SPEECH if (told := _summed(records, subject))}
    if not spoken:
        return None
    words = SUBJECTS | SPEECH
    texts = [
        f"**{words[s][:1].upper()}{words[s][1:]}:** {told}." for s, told in spoken.items() if s in SUBJECTS
    ]
    heard = "; ".join(f"{words[subject]}: {spoken[subject]}" for subject in SPEECH if subject in spoken)
    sentences = [*texts, *([f"**Speech:** {heard}."] if heard else []), *_equal(records)]
    line = "; ".join(f"{words[subject]}: {told}" for subject, told in spoken.items())
    found = tuple(case for subject in words for case in cases(records, subject, FULL))
    finding = f"In {FULL}: {spans.summed([case.comparison for case in found])}" if found else ""
    covered = "quality (the weights are random), sampling, serving many users, larger models."
    return Answer(line, tuple(sentences), covered, finding, found)


def _summed(records: Sequence[Record], subject: str) -> str:
    return spans.summed([case.comparison for case in cases(records, subject)])


def cases(records: Sequence[Record], subject: str, dtype: str = "") -> list[Case]:
    """What both frameworks were timed in, both eager, in one type or in all."""
    found = measurements.by_case(list(records), subject)
    found = [own for own in found if dtype in ("", own[0].case["dtype"]) and comparison.kinds(own[0])]
    return [_case(own) for own in found]


def _case(own: list[Timing]) -> Case:
    entries, kind = own[0].case, comparison.kinds(own[0])[0]
    label = _label(own[0])
    runs = [run for each in own for run in comparison.runs(each)]
    mlx, torch = (statistics.median(runs, f"{framework}{kind}") for framework in comparison.FRAMEWORKS)
    amounts = {"prefill": entries.get("length", 0), "run": entries.get("tokens", 0)}
    amount = entries.get("batch", 1) * amounts.get(own[0].subject, 0)
    return Case(label, mlx, torch, comparison.headline(own[0], label, *own[1:]), amount, "tokens")


def _label(record: Timing) -> str:
    """A case in words: "prompt of 128 tokens, batch 1"."""
    entries = record.case
    if record.subject in SPEECH:
        return HEARD[record.subject]
    what = {"prefill": "prompt of {} tokens", "run": "generating after {} tokens"}[record.subject]
    filled = " (fills the machine)" if entries.get("filled") else ""
    return f"{what.format(entries['length'])}, batch {entries['batch']}{filled}"


def _equal(records: Sequence[Record]) -> list[str]:
    """Whether both frameworks gave the same tokens, of the newest gate of each model."""
    newest = {r.body.twin: r.body for r in sorted(records, key=lambda r: r.run) if isinstance(r.body, Gate)}
    passed = [gate.twin for gate in newest.values() if gate.passed]
    if len(passed) < len(newest):
        left = ", ".join(twin for twin in newest if twin not in passed)
        return [f"**The outputs differ** for {left}, which is not timed."]
    return [f"**The tokens are equal** in {len(passed)} of {len(newest)} models before anything is timed."]


def hand_overs(records: list[Record]) -> Answer | None:
    """Which hand-overs share memory, and what copying costs of mixed work and of a training step."""
    newest = {
        r.body.route: r.body for r in sorted(records, key=lambda r: r.run) if isinstance(r.body, Sharing)
    }
    if not newest:
        return None
    sharing = [route for route, proof in newest.items() if proof.written]
    line = f"{len(sharing)} of {len(newest)} hand-overs share memory"
    sentences = [f"**{line}:** {', '.join(sharing) or 'none'}."]
    if shares := queries.copying(records):
        ends = dict.fromkeys(f"{100 * end(f.value for f in shares):.2g}" for end in (max, min))
        told = f"copying is {' to '.join(ends)} % of work that alternates between both sides"
        sentences.append(f"**{told[:1].upper()}{told[1:]}**, from small matrices to large ones.")
        line = f"{line}; {told}"
    for framework in comparison.FRAMEWORKS:
        if forced := queries.saved_by_sharing(records, framework):
            most = max(forced, key=lambda figure: figure.value)
            told = f"take at most {wording.times(most.value)} its time ({most.case['kind']})"
            sentences.append(f"Forced hand-overs make a training step in {framework} {told}.")
    return Answer(line, tuple(sentences), "what sharing saves in a whole application.")
