"""What a comparison results in: one row for each runtime and output, and where a failing package diverges."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from coreml_runtime.verification.divergence import Divergence

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Row:
    """The errors of one output on one runtime.

    If the shapes differ or the runtime refused the package, the errors are inf and the cosine is nan.
    `tolerance` limits `rms_relative`. A row with `decides=False` is for information only.
    """

    runtime: str
    output: str
    shape: tuple[int, ...]
    max_absolute: float
    max_relative: float
    rms_relative: float
    cosine: float
    passed: bool
    tolerance: float
    decides: bool = True


@dataclass(frozen=True)
class Report:
    """The result of a comparison: its rows, the rms-relative tolerance, and where a failing package diverges.

    `reason` says why a failing package has no `divergence`. `note` says what else matters: that the source
    is in training mode, that an order was left open, why Core ML could not run the package.
    """

    package: str
    tolerance: float
    rows: tuple[Row, ...]
    divergence: Divergence | None = None
    note: str = ""
    reason: str = ""

    @property
    def passed(self) -> bool:
        """Whether every output is within the tolerance on every runtime that decides."""
        return all(row.passed for row in self.rows if row.decides)

    @property
    def worst(self) -> Row:
        """The largest rms-relative error among the failed rows that decide, or else all that decide."""
        return max((row for row in self.rows if row.decides), key=lambda r: (not r.passed, r.rms_relative))

    def __str__(self) -> str:
        worst = self.worst
        verdict = "passes" if self.passed else "FAILS"
        text = (
            f"{self.package} {verdict}: worst rms-relative error {worst.rms_relative:.1e} "
            f"(output '{worst.output}', {worst.runtime}), tolerance {worst.tolerance:.0e}"
        )
        parts = [text, f"diverges at {self.divergence}" if self.divergence else self.reason, self.note]
        return "; ".join(filter(None, parts))

    def table(self) -> pd.DataFrame:
        """One row for each runtime and output, with whether it decides."""
        import pandas as pd

        decides = {True: "yes", False: "for information"}
        return pd.DataFrame([asdict(row) | {"decides": decides[row.decides]} for row in self.rows])

    def _repr_html_(self) -> str:
        return f"<p>{self}</p>{self.table().to_html(index=False)}"
