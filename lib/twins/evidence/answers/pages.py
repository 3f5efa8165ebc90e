"""The answer of every page, computed from one machine's records."""

from collections.abc import Callable

from twins.evidence.answers import (
    claims_page,
    core_ai,
    finetuning,
    machine,
    published,
    running,
    scaling,
    shipping,
    training,
)
from twins.evidence.answers.answer import Answer
from twins.records.store import Record

SUMMARY = "00_summary"  # reads the records of every page
MAKERS: dict[str, Callable[[list[Record]], Answer | None]] = {
    SUMMARY: claims_page.answer,
    "01_machine": machine.answer,
    "02_transformer_lm": training.answer,
    "03_bert": training.answer,
    "04_vision": training.answer,
    "05_unified_memory": running.hand_overs,
    "06_inference": running.generation,
    "07_coreml_from_pytorch": shipping.answer,
    "08_coreml_from_mlx": shipping.answer,
    "09_coreml_ship": shipping.answer,
    "10_finetuning": finetuning.answer,
    "11_published": published.answer,
    "12_your_model": training.answer,
    "13_core_ai": core_ai.answer,
    "14_scaling": scaling.answer,
}


def of(page: str, records: list[Record]) -> Answer | None:
    """The answer of a page from the evidence of one machine; None where nothing of it was measured.

    `records` are those of `summary.evidence`; those of other pages are left out, but for the summary. Errors:
    ValueError for a page that has no answer.
    """
    if page not in MAKERS:
        raise ValueError(f"no answer is computed for page {page!r}; known: {', '.join(sorted(MAKERS))}")
    own = [record for record in records if page in (SUMMARY, record.notebook)]
    return MAKERS[page](own) if own else None


def lines(records: list[Record]) -> dict[str, str]:
    """What each page answers on one machine, in one line; only pages of which it has records."""
    answers = {page: of(page, records) for page in MAKERS}
    return {page: told.line for page, told in answers.items() if told}
