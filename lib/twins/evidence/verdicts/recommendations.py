"""Which framework to use for which task, computed from one machine's records."""

from statistics import median

import pandas as pd

from twins.evidence.verdicts import export_queries, plain, queries, rules
from twins.evidence.verdicts.queries import Figure
from twins.evidence.verdicts.rules import Limits
from twins.records.store import Record
from twins.timing import statistics, wording

NOT_HERE = "not measured here"
TRAINED = {
    "train a transformer language model": "transformer_lm",
    "train BERT": "bert",
    "train a convolutional net": "resnet",
    "train a vision transformer": "vit",
}
STEP = {"subjects": ["training step"], "bound_by_computation": True}
TASKS = {  # and the arguments of queries.speed
    **{task: STEP | {"twins": [twin]} for task, twin in TRAINED.items()},
    "read a prompt": {"subjects": ["prefill"]},
    "generate text": {"subjects": ["run"]},
    "transcribe speech": {"subjects": ["encoder", "decoder step"]},
}


def table(records: list[Record]) -> pd.DataFrame:
    """A row per task: what to use on the machine of these records, and the figures behind it."""
    rows = [(task, *_faster(queries.speed(records, **asked))) for task, asked in TASKS.items()]
    rows += [
        ("get a model to Core ML", *(export_queries.recommended(records) or (NOT_HERE, "no record"))),
        ("run on other platforms", *_platforms()),
    ]
    return pd.DataFrame(rows, columns=["to", "use", "because"])


def _faster(figures: list[Figure]) -> tuple[str, str]:
    """Who is faster by the mean over cases and sessions; "either" where the interval is that of a tie."""
    if not figures:
        return NOT_HERE, "no record"
    word, _ = rules.mean(figures, Limits(1.0, statistics.TIE))
    if word == rules.DEPENDS:
        return "it depends", plain.speed(figures)
    found = rules.overall(figures)
    low, high = found.bounds()
    who, _ = wording.faster(found.value)
    told = f"{wording.as_fast(found.value)} {wording.interval(low, high, who)}, {found.basis}"
    band = max(statistics.TIE, median(figure.band for figure in figures))
    if word == rules.SUPPORTED or (high < 1 and found.value < 1 / band):
        return who, told
    return ("either" if 1 / band < low and high < band else rules.UNDECIDED), told


def _platforms() -> tuple[str, str]:
    """Which of the platforms that were looked up only one framework runs on."""
    alone = {who: names for who, names in plain.alone().items() if names}
    told = [f"only {who}: {', '.join(names)}" for who, names in alone.items()]
    return (next(iter(alone)) if len(alone) == 1 else "either"), "; ".join([plain.both(), *told])
