"""Measures the coverage of the converter: a table by group, and why the remaining cases are not right."""

import argparse
import sys
import time
from collections.abc import Sequence

from mlx_coreml import coverage
from mlx_coreml.coverage.cases.case import Case
from mlx_coreml.coverage.outcomes import Outcome, causes, shares, write
from mlx_coreml.coverage.usage_cases.usage import Usage
from mlx_coreml.coverage.worker_processes import judge_all
from mlx_coreml.ir.errors import ConversionError


def measure(options: argparse.Namespace) -> bool:
    """Judge the chosen cases, print the tables and write the rows; whether every case is right or refused."""
    groups = options.group or coverage.groups_of(options.to)
    cases = list(coverage.find(groups, options.name))[:: options.every]
    if not cases:
        raise ConversionError(f"no case of {', '.join(groups)} has '{options.name}' in its name")
    outcomes = run(cases, options)
    write(outcomes, options.results)
    print(shares(outcomes).to_string(), end="\n\n")
    print(causes(outcomes, options.examples))
    print(f"\n{len(outcomes)} cases, one row each in {options.results}")
    return all(outcome.verdict in ("right", "refused") for outcome in outcomes)


def run(cases: Sequence[Case | Usage], options: argparse.Namespace) -> list[Outcome]:
    """The outcomes; every 15 seconds the rows so far are written and a line says how many there are."""
    log, outcomes = options.results.with_suffix(".log"), []
    start = said = time.monotonic()
    for outcome in judge_all(cases, options.jobs, options.precision, options.limit, log, options.to):
        outcomes.append(outcome)
        if time.monotonic() - said > 15:
            said = time.monotonic()
            write(outcomes, options.results)
            print(f"{len(outcomes)} of {len(cases)} after {said - start:.0f} s", file=sys.stderr)
    return outcomes
