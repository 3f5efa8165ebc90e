"""The answer of the page on what others published: sound pairs, who leads, what the audit found."""

from twins.evidence.answers.answer import Answer
from twins.evidence.published import published_benchmarks, published_counts, published_tables
from twins.records.record_types import Breadth, Finding
from twins.records.store import Record

COVERED = "whether a published figure is right: an audit finds flaws, it repairs no measurement."


def answer(records: list[Record]) -> Answer | None:
    """What the tables of data/published hold, and what of it was reproduced on this machine."""
    rows, audited = published_benchmarks.benchmarks(), published_benchmarks.audit()
    if not rows or not records:
        return None
    chosen = published_counts.select(rows, audited)
    newest = max(record.run for record in records)
    bodies = [record.body for record in records if record.run == newest]
    known = {each.live for each in audited}
    tried = [body for body in bodies if isinstance(body, Finding) and body.name in known]
    wide = [body for body in bodies if isinstance(body, Breadth)]
    leads = published_counts.leads(chosen.counted)
    line = f"{len(chosen.counted)} of {len(rows)} published pairs are sound: {leads}"
    sentences = [
        f"**{line}.** {published_counts.left_out(chosen)}",
        f"**The audit**: {published_tables.flaws(audited)}",
        f"**Reproduced here**: {published_tables.reproduced(tried)}." if tried else "",
        f"**Breadth**: {published_tables.wider(wide)}" if wide else "",
    ]
    return Answer(line, tuple(filter(None, sentences)), COVERED)
