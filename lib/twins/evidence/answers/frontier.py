"""Which compressed packages are worth having: no other is both smaller and better."""

from collections.abc import Sequence

from twins.records.export_types import Compressed

UNCOMPRESSED, FROM_MLX = "uncompressed", "MLX quantize"
CLOSE = 0.02  # of the metric: a loss that is called small


def models(records: Sequence[Compressed]) -> list[str]:
    """The models, in the order of the records."""
    return list(dict.fromkeys(record.model for record in records))


def better(metric: str, a: float, b: float) -> bool:
    """Whether a metric's value `a` is at least as good as `b`: low perplexity, high accuracy."""
    return a <= b if metric == "perplexity" else a >= b


def pareto(records: Sequence[Compressed]) -> list[Compressed]:
    """The records that no other is both smaller than and at least as good as, the smallest first."""
    best: list[Compressed] = []
    for each in sorted(records, key=lambda r: (r.size, -r.value if r.metric == "accuracy" else r.value)):
        if not best or (better(each.metric, each.value, best[-1].value) and each.value != best[-1].value):
            best.append(each)
    return best


def base(records: Sequence[Compressed]) -> Compressed:
    """The uncompressed package in float32."""
    return next(r for r in records if r.family == UNCOMPRESSED and r.setting == "float32")


def close(records: Sequence[Compressed]) -> Compressed:
    """The smallest package of a model whose metric is within CLOSE of float32's."""
    whole = base(records)
    sign = 1 if whole.metric == "perplexity" else -1
    return min((r for r in records if sign * (r.value / whole.value - 1) <= CLOSE), key=lambda r: r.size)
