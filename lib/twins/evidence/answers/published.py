"""The answer of the page on what others published: sound pairs, who leads, what the audit found."""

from twins.evidence.answers.answer import Answer
from twins.evidence.published import published_benchmarks, published_counts
from twins.records.record_types import Breadth, Finding
from twins.records.store import Record


def answer(records: list[Record]) -> Answer | None:
    """What the tables of data/published hold, and what of it was reproduced on this machine."""
    rows, audited = published_benchmarks.benchmarks(), published_benchmarks.audit()
    if not rows:
        return None
    chosen = published_counts.select(rows, audited)
    found, sources = len(audited), len({each.source_id for each in audited})
    void = sum(each.favours == "void" for each in audited)
    line = f"{found} findings in {sources} sources; {void} make a figure void"
    sentences = [
        f"**{published_counts.in_words(chosen)}**",
        f"**The audit:** {line}, which means that a benchmark does not measure what it claims.",
    ]
    newest = max(record.run for record in records)
    bodies = [record.body for record in records if record.run == newest]
    if tried := [body for body in bodies if isinstance(body, Finding)]:
        made = sum(body.reproduced for body in tried)
        sentences.append(
            f"**Reproduced here:** {made} of {len(tried)} findings and statements that were tried."
        )
    if wide := [body for body in bodies if isinstance(body, Breadth)]:
        groups = len({body.group for body in wide})
        sentences.append(f"**Breadth:** the lists of both frameworks were compared in {groups} groups.")
    return Answer(line, tuple(sentences), "whether a published figure is right: an audit repairs none.")
