"""Checks a converted model against MLX: on the example, other numbers, other sizes, over several calls.

What the model must compute is the function in float32 (truth.py). Inputs beyond the example's numbers are
tried as well (probes.py): there a model must stay finite, and is said not to be vouched for if it is wrong.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import mlx.core as mx
import numpy as np

from mlx_coreml.conversion.budget import Budget, weights_in
from mlx_coreml.conversion.probes import like, probes
from mlx_coreml.conversion.probing import Trial, hint
from mlx_coreml.conversion.progress import Progress
from mlx_coreml.conversion.source import Source
from mlx_coreml.conversion.tolerance import tolerance
from mlx_coreml.ir.errors import ConversionError, WrongModelError

if TYPE_CHECKING:
    from coreml_runtime import Model, Report

LEVELS = {True: "full", "full": "full", "quick": "quick", False: "off", "off": "off"}
HALF = 0.5  # of the whole time, which the check may take


@dataclass(frozen=True)
class Check:
    """What is to be checked: a package, the flat arrays of its calls, its precision, the level, the time.

    `seconds` is what the conversion took, and what the check may take.
    """

    source: Source
    package: str | Path
    examples: Sequence[Sequence[mx.array]]
    precision: str
    level: str = "full"
    seconds: float = 0.0
    runtime: Runtime = field(default_factory=lambda: Reference())


class Runtime(Protocol):
    """What runs a converted model for its check."""

    def load(self, package: str | Path, limited: bool) -> Mapping[str, Any]:
        """The loaded model by precision, "strict" first. Errors: WrongModelError where it is refused."""

    def compare(self, check: Check, calls: Sequence[dict], models: Mapping, tolerance: float) -> Report:
        """What the source and the models make of the same calls."""


class Reference:
    """The reference runtime of Core ML, and Core ML's CPU as well on macOS."""

    def load(self, package: str | Path, limited: bool) -> Mapping[str, Model]:
        """A large one is loaded once: computed exactly, it lies between its values in fp16 and the truth."""
        from coreml_runtime.execution.limits import Refused
        from coreml_runtime.execution.model import readings

        try:
            return readings(package, ["strict"] if limited else ["strict", "exact"])
        except Refused as error:
            raise WrongModelError(f"Core ML does not run the converted model: {error}") from error

    def compare(self, check: Check, calls: Sequence[dict], models: Mapping, tolerance: float) -> Report:
        """The report of `coreml_runtime.verify`."""
        from coreml_runtime import verify

        source = check.source.callable()
        return verify(source, check.package, calls, framework="mlx", tolerance=tolerance, models=models)


@dataclass(frozen=True)
class Checked:
    """What a check found: the report, the calls that were made, and a line on what it does not vouch for."""

    report: Report
    calls: Sequence[str]
    not_vouched_for: str = ""

    def told(self) -> dict[str, str]:
        """What the model's metadata say of it, by key; one warning for what is not vouched for."""
        found = {"verified": str(self.report), "check_calls": ", ".join(self.calls)}
        if self.not_vouched_for:
            found["not_vouched_for"] = self.not_vouched_for
            warnings.warn(
                f"{self.report.package}: the check does not vouch for {found['not_vouched_for']}",
                stacklevel=4,
            )
        return found


@contextmanager
def mlx_on_cpu() -> Iterator[None]:
    """Run MLX's operations on its CPU stream (context or decorator); evaluated arrays stay where they are."""
    with mx.stream(mx.cpu):
        yield


def level_of(check: bool | str) -> str:
    """The level that `convert(check=...)` means: full, quick or off. Errors: ConversionError lists them."""
    if isinstance(check, bool | str) and check in LEVELS:
        return LEVELS[check]
    close = get_close_matches(str(check), ["full", "quick", "off"], 1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise ConversionError(f"check={check!r}; allowed are True or 'full', 'quick', and False or 'off'{hint}")


def check_is_installed() -> None:
    """Errors: ConversionError naming what the check needs and is not installed."""
    missing = [name for name in ("coreml_runtime", "torch") if importlib.util.find_spec(name) is None]
    if missing:
        raise ConversionError(
            f"the check needs {' and '.join(missing)}, not found here: "
            "`pip install './lib/mlx_coreml[check]'` in a checkout, or convert with check=False (--no-check)"
        )


@mlx_on_cpu()
def check_model(check: Check, progress: Progress) -> Checked:
    """What the check of a package finds. Errors: WrongModelError where the model is not what MLX computes."""
    rng = np.random.default_rng(0)
    calls = _calls(check, rng)
    tries = probes(check.examples[0], check.source.roles, rng) if check.level == "full" else []
    budget = Budget(check.seconds, weights_in(check.package), len(calls) + len(tries))
    models = check.runtime.load(check.package, budget.is_limited)
    limit, note = tolerance(check.source, calls[0][1], check.precision, check.seconds)
    report, compared = _compared(check, calls, models, limit, budget, progress)
    report = replace(report, package=check.source.name, note="; ".join(filter(None, [report.note, note])))
    if not report.passed:
        raise WrongModelError(
            f"the converted model is not what MLX computes: {report}{hint(check.precision)}"
        )
    trial = Trial(check.source, models["strict"], _sizes(report), check.precision, limit)
    tried, doubts = [], []
    for probe in tries:
        if not budget.allows_another():
            break
        progress.at(f"checks {probe.name}", HALF + HALF * budget.share)
        with budget.spent():
            doubt = trial.doubt(probe, rng)
        tried.append(probe.name)
        doubts += [doubt] if doubt else []
    return Checked(report, [*compared, *tried], "; ".join(doubts))


def _calls(check: Check, rng: np.random.Generator) -> list[tuple[str, dict]]:
    """Names and inputs of the calls that must agree: the example, other numbers, other sizes."""
    source, first = check.source, check.examples[0]
    series = [("the example", first), *[("other sizes", arrays) for arrays in check.examples[1:]]]
    for _ in range(2 if source.states else 1):
        drawn = [like(array, role, rng) for array, role in zip(first, source.roles, strict=True)]
        series.append(("other numbers", drawn))
    kept = series[:1] if check.level == "quick" else series
    return [(name, source.feed(arrays, rng)) for name, arrays in kept]


def _compared(
    check: Check,
    calls: Sequence[tuple[str, dict]],
    models: Mapping[str, Any],
    tolerance: float,
    budget: Budget,
    progress: Progress,
) -> tuple[Report, list[str]]:
    """The report on the calls and the names of those that were made; a large model's follow from the time."""
    together = bool(check.source.states) or not budget.is_limited
    groups = [calls] if together else [[call] for call in calls]
    report, names = None, []
    for group in groups:
        if report is not None and not (report.passed and budget.allows_another()):
            break
        progress.at(f"checks {group[0][0]}", HALF + HALF * budget.share)
        with budget.spent(len(group)):
            fed = [inputs for _, inputs in group]
            found = check.runtime.compare(check, fed, models, tolerance)
        report = found if report is None else _worse(report, found)
        names += [name for name, _ in group]
    assert report is not None  # there is an example
    return report, list(dict.fromkeys(names))


def _worse(first: Report, second: Report) -> Report:
    """Two reports as one: each output's worse row."""
    rows = {(row.runtime, row.output): row for row in first.rows}
    for row in second.rows:
        known = rows.get((row.runtime, row.output))
        if known is None or not row.rms_relative <= known.rms_relative:
            rows[row.runtime, row.output] = row
    return replace(first, rows=tuple(rows.values()), divergence=second.divergence)


def _sizes(report: Report) -> dict[str, float]:
    """The largest number of each output on the calls of a report; without an output that is exactly right."""
    return {row.output: row.max_absolute / row.max_relative for row in report.rows if row.max_relative > 0}
