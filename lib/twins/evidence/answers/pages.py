"""The answer of every page, computed from one machine's records."""

from collections.abc import Callable

from twins.evidence.answers import training
from twins.evidence.answers.answer import Answer
from twins.records.store import Record

MAKERS: dict[str, Callable[[list[Record]], Answer | None]] = {
    "02_transformer_lm": training.answer,
    "03_bert": training.answer,
    "04_vision": training.answer,
    "12_your_model": training.answer,
}


def of(page: str, records: list[Record]) -> Answer | None:
    """The answer of a page from the evidence of one machine; None where nothing of it was measured.

    `records` are those of `summary.evidence`; those of other pages are left out. Errors: ValueError for a
    page that has no answer.
    """
    if page not in MAKERS:
        raise ValueError(f"no answer is computed for page {page!r}; known: {', '.join(sorted(MAKERS))}")
    own = [record for record in records if record.notebook == page]
    return MAKERS[page](own) if own else None
