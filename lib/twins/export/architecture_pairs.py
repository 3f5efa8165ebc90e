"""The architectures of transformers and mlx-lm on the way to Core ML: which are equal, and what converts.

A pair whose halves differ, or that cannot be built, is not converted; it is named with the reason.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from twins.evidence.answers import route_grid
from twins.export import routes
from twins.export.conversions import FROM_PYTORCH, NO_PACKAGE, PRECISIONS, Task
from twins.export.networks import architectures
from twins.export.networks.architectures import Built
from twins.records import store
from twins.records.export_types import DIRECT, Conversion, Coverage

TO_PACKAGE = [DIRECT]
TO_PACKAGE += [r for r in FROM_PYTORCH if r not in NO_PACKAGE and not routes.absent(r)]
BOTH = "transformers and mlx-lm"


def built(every: int = 1) -> list[Built]:
    """Every n-th architecture in the order of the alphabet, built and compared; none for 0."""
    return (
        []
        if not every
        else list(architectures.build(architectures.names()[::every], store.ROOT / "build" / "architectures"))
    )


def tasks(pairs: Iterable[Built], precisions: Sequence[str] = PRECISIONS) -> list[Task]:
    """The conversions of the pairs whose halves are equal."""
    source = "twins.export.networks.architectures:half"
    folders = {each.name: {"folder": str(each.folder)} for each in pairs if each.equal}
    return [
        Task(name, source, folder, each, group=architectures.GROUP)
        for name, folder in folders.items()
        for each in precisions
    ]


def gates(pairs: Sequence[Built], every: int) -> Iterator[Coverage]:
    """How many architectures are equal in both frameworks, and why not the others; nothing without a pair."""
    if not pairs:
        return
    words = ["not built" if p.difference is None else "equal" if p.equal else "different" for p in pairs]
    case = {
        "every": every,
        "of": len(architectures.names()),
        "differences": {p.name: p.difference for p in pairs if p.difference is not None},
    }
    yield Coverage(BOTH, architectures.GROUP, case, dict(Counter(words)), dict(_reasons(pairs)))


def _reasons(pairs: Iterable[Built]) -> Iterator[tuple[str, int]]:
    for pair in pairs:
        if pair.difference is None:
            yield f"{pair.name}: {pair.reason}", 1
        elif not pair.equal:
            yield f"{pair.name}: logits differ by {pair.difference:.1e}", 1


def counted(gates: Sequence[Coverage]) -> str:
    """How many architectures are equal, in a sentence."""
    if not gates:
        return "No architecture was built: this profile leaves them out."
    (found,) = gates
    told = ", ".join(f"{count} {outcome}" for outcome, count in found.outcomes.items())
    chosen = f"{sum(found.outcomes.values())} of {found.case['of']} architectures"
    return f"Of {chosen} that both libraries know: {told}."


def gate_table(gates: Sequence[Coverage]) -> pd.DataFrame:
    """The pairs that are not converted, and why."""
    rows = [reason.split(": ", 1) for found in gates for reason in found.reasons]
    return pd.DataFrame(rows, columns=["architecture", "why it is not converted"])


def right_table(records: Iterable[Conversion]) -> pd.DataFrame:
    """Routes down: models right in everything asked, and by precision, as asked or by the package's own."""
    found: dict[str, dict[tuple[str, str], Conversion]] = {}
    for record in records:
        if not record.absent:
            found.setdefault(route_grid.name(record.route), {})[record.model, record.case["precision"]] = (
                record
            )
    return pd.DataFrame([{"route": route} | _row(list(own.values())) for route, own in found.items()])


def _row(records: Sequence[Conversion]) -> dict[str, object]:
    models = dict.fromkeys(r.model for r in records)
    whole = [all(r.as_asked for r in records if r.model == model) for model in models]
    row: dict[str, object] = {"models right": f"{sum(whole)} of {len(models)}"}
    for precision in dict.fromkeys(r.case["precision"] for r in records):
        own = [r for r in records if r.case["precision"] == precision]
        asked, kept = (sum(map(bool, each)) for each in ((r.as_asked for r in own), (r.right for r in own)))
        row[route_grid.SHORT[precision]] = f"{asked}" if asked == kept else f"{asked} ({kept} by their own)"
    causes = Counter(r.cause.partition(" (node")[0][:110] for r in records if not r.as_asked)
    told = [f"{count} × {cause}" for cause, count in causes.most_common(4)]
    return row | {"most frequent causes": "; ".join(told) or "–"}
