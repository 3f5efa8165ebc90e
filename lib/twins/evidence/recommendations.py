"""Which framework to use for which task, computed from one machine's records."""

import pandas as pd

from twins.evidence import export_queries, queries
from twins.evidence.published import published_benchmarks
from twins.evidence.queries import Figure
from twins.records.store import Record
from twins.timing import statistics

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


def _winner(figure: Figure) -> str:
    """The faster framework of a ratio PyTorch ÷ MLX, or "either" for a tie."""
    band = max(statistics.TIE, figure.band)
    if figure.low >= band:
        return "MLX"
    return "PyTorch" if figure.high <= 1 / band else "either"


def _faster(figures: list[Figure]) -> tuple[str, str]:
    if not figures:
        return NOT_HERE, "no record"
    winners = {figure.label: _winner(figure) for figure in figures}
    kinds = set(winners.values())
    if len(kinds) > 1:
        return "it depends", "; ".join(f"{label}: {winner}" for label, winner in winners.items())
    (winner,) = kinds
    if winner == "either":
        return winner, f"a tie in all of {len(figures)} cases"
    factors = sorted(max(figure.value, 1 / figure.value) for figure in figures)
    told = " to ".join(dict.fromkeys(f"{factor:.2f}×" for factor in (factors[0], factors[-1])))
    return winner, f"{told} as fast, over {len(figures)} case{'s' if len(figures) > 1 else ''}"


def _platforms() -> tuple[str, str]:
    """Which of the platforms that were looked up only one framework runs on."""
    rows = [row for row in published_benchmarks.platforms() if None not in (row.pytorch, row.mlx)]
    alone = {
        "PyTorch": [row.platform for row in rows if row.pytorch and not row.mlx],
        "MLX": [row.platform for row in rows if row.mlx and not row.pytorch],
    }
    both = sum(row.pytorch and row.mlx for row in rows)
    told = [f"only {name}: {', '.join(found)}" for name, found in alone.items() if found]
    names = [name for name, found in alone.items() if found]
    return (names[0] if len(names) == 1 else "either"), "; ".join([f"both: {both} of {len(rows)}", *told])
