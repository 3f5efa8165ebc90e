"""The answer of the page that judges the claims: how many have which verdict, and every training case."""

from collections import Counter
from collections.abc import Iterable

from twins.evidence.answers import training
from twins.evidence.answers.answer import Answer, summed
from twins.evidence.verdicts import claims, plain
from twins.evidence.verdicts.claims import NOT_HERE, Verdict
from twins.records.store import Record

PAGES = ("02_transformer_lm", "03_bert", "04_vision")  # whose training cases are shown


def answer(records: list[Record]) -> Answer:
    """What one machine's records of every page say about the claims."""
    verdicts = [claims.verdict(claim, records) for claim in claims.load()]
    anywhere = [each for each in verdicts if not each.claim.device]
    apple = [each for each in verdicts if each.claim.device]
    waiting = sum(each.word == NOT_HERE for each in apple)
    told = [f"**Decided on any machine: {counted(anywhere)}.**"]
    told.append(f"About Apple GPUs: {counted(apple)}." if waiting < len(apple) else _none_measured(waiting))
    cases = training.cases([record for record in records if record.notebook in PAGES])
    finding = summed([case.comparison for case in cases], "training cases")
    told += [f"A training step, eager in both frameworks: {finding}."] * bool(cases)
    line = f"{counted(anywhere)} on any machine; {waiting} of {len(apple)} about Apple GPUs not measured here"
    return Answer(line, tuple(told), NOT_COVERED if waiting else "", finding, cases)


NOT_COVERED = "what Apple GPUs do. A claim about them says what this machine measured instead."


def _none_measured(waiting: int) -> str:
    told = f"About Apple GPUs: **all {waiting} claims wait for a Mac.**"
    return f"{told} Nothing here says how MLX performs on Metal."


def counted(verdicts: Iterable[Verdict]) -> str:
    """How many verdicts are which: "4 supported, 1 contradicted"."""
    found = Counter(each.word for each in verdicts)
    return ", ".join(f"{found[word]} {word}" for word in plain.MARKS if found[word])
