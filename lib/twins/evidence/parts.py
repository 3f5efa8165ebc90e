"""Why one framework is faster: what the parts of a step, timed alone, say of the difference."""

from collections.abc import Iterable

from twins.records.record_types import Timing
from twins.timing import tables, wording
from twins.timing.statistics import FRAMEWORKS

NAMES = {
    "data": "handing over the batch",
    "forward": "the forward pass",
    "backward": "the backward pass",
    "optimizer": "the optimizer",
}
SMALL = 0.01  # of both frameworks' steps: a part below it decides nothing


def reading(records: Iterable[Timing]) -> str:
    """Which part takes longest, where the difference lies, and where it is widest, in sentences."""
    records = list(records)
    if not records:
        return "The parts of a step were not timed."
    found = tables.part_table(records[:1]).set_index("framework").clip(lower=0.0)  # backward is a difference
    share = found.div(found.sum(axis=1), axis=0)
    mlx, torch = (found.loc[name, share.max() >= SMALL] for name in FRAMEWORKS)
    longest = [NAMES[each.idxmax()] for each in (mlx, torch)]
    where = f"MLX and {longest[1]} in PyTorch" if longest[0] != longest[1] else "both frameworks"
    what = f"{wording.case(records[0].case)}, eager step"
    told = [f"{what[:1].upper()}{what[1:]}: {longest[0]} takes longest in {where}."]
    if len(mlx) and (mlx > 0).all() and (torch > 0).all():
        ratio = torch / mlx
        widest = ratio.where(ratio >= 1, 1 / ratio).idxmax()
        told.append(_difference(mlx - torch))
        told.append(
            f"The frameworks are furthest apart in {NAMES[widest]}: {wording.as_fast(ratio[widest])} "
            f"(MLX {_ms(mlx[widest])}, PyTorch {_ms(torch[widest])})."
        )
    return " ".join(filter(None, told))


def _difference(more) -> str:
    """Which part makes most of the difference between the steps; empty where parts point both ways."""
    if not ((more >= 0).all() or (more <= 0).all()) or not more.sum():
        return ""
    share = more / more.sum()
    return f"{share.max():.0%} of the difference is in {NAMES[share.idxmax()]}.".replace("%", " %", 1)


def _ms(milliseconds: float) -> str:
    return wording.milliseconds(milliseconds / 1e3)
