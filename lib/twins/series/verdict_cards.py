"""Claims with their verdicts as cards: the claim, a chip, one sentence, and the rule and figures folded."""

from collections.abc import Iterable

from twins.evidence.published import published_counts
from twins.evidence.verdicts import plain
from twins.evidence.verdicts.claims import Claim, Verdict
from twins.records import markup
from twins.records.markup import html
from twins.series.show import Shown

GROUPS = {True: "About Apple GPUs", False: "Decided on any machine"}


def cards(verdicts: Iterable[Verdict], devices: Iterable[str]) -> Shown:
    """The verdicts of one machine in two groups; a claim's id is its place on the page.

    `devices` are those its records were computed on.
    """
    own, where = list(verdicts), list(devices)
    made, text = [], []
    for apple, heading in GROUPS.items():
        group = [each for each in own if (each.claim.device == "Apple GPU") == apple]
        made += [f'<h3 class="claims">{heading}</h3>', *(card(each, where) for each in group)]
        text += [heading, *(f"- {each.claim.claim} {each.word}: {told(each, where)}" for each in group)]
    return Shown({"text/html": "\n".join(made), "text/plain": markup.plain("\n".join(text))})


def told(verdict: Verdict, devices: list[str]) -> str:
    """The sentence of a verdict, in Markdown."""
    return plain.plain(verdict, devices).sentence


def card(verdict: Verdict, devices: list[str]) -> str:
    """One claim."""
    seen, claim = plain.plain(verdict, devices), verdict.claim
    kind = seen.word.replace(" ", "-")
    mark = f'<span aria-hidden="true">{seen.mark}</span>'
    chip = f'<span class="chip chip-{kind}">{mark} {html(seen.word)}</span>'
    others = f'<p class="others">{html(published(claim))}</p>' if claim.published else ""
    return (
        f'<article class="claim" id="{html(claim.id)}"><h4>{html(claim.claim)}</h4><p>{chip}</p>'
        f"<p>{markup.inline(seen.sentence)}</p>{others}{folded(verdict)}</article>"
    )


def published(claim: Claim) -> str:
    """What others published on a claim."""
    return published_counts.in_words(published_counts.about(claim.published["topics"], claim.chip))


def folded(verdict: Verdict) -> str:
    """The rule, the figures, the source as a link, and the note."""
    claim = verdict.claim
    figures = "".join(f"<li>{html(each)}</li>" for each in plain.figures(verdict)) or "<li>none here</li>"
    note = f"<dt>Note</dt><dd>{html(claim.note)}</dd>" if claim.note else ""
    parts = f"<dt>Rule</dt><dd>{html(claim.decision)}</dd><dt>Figures</dt><dd><ul>{figures}</ul></dd>"
    parts += f"<dt>Source</dt><dd>{source(claim.source)}</dd>{note}"
    return f"<details><summary>Rule and figures</summary><dl>{parts}</dl></details>"


def source(text: str) -> str:
    """A source as a link where it is an address."""
    return f'<a href="{html(text)}">{html(text)}</a>' if text.startswith("https://") else html(text)
