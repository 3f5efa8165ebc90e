"""Measures the coverage of the converter: a table by group, and why the rest is not right."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mlx_coreml import coverage
from mlx_coreml.coverage.cases.case import Case
from mlx_coreml.coverage.outcomes import Outcome, causes, shares, write
from mlx_coreml.coverage.pool import judge_all

RESULTS = Path("build/coverage/mlx.csv")


def main() -> None:
    """The command line."""
    options = _options()
    groups = options.group or coverage.GROUPS
    cases = list(coverage.find(groups, options.name))[:: options.every]
    if not cases:
        sys.exit(f"no case of {', '.join(groups)} has '{options.name}' in its name")
    outcomes = run(cases, options)
    write(outcomes, options.results)
    print(shares(outcomes).to_string(), end="\n\n")
    print(causes(outcomes, options.examples))
    print(f"\n{len(outcomes)} cases, one row each in {options.results}")


def run(cases: Sequence[Case], options: argparse.Namespace) -> list[Outcome]:
    """The outcomes, with a line now and then about how far it is."""
    log, outcomes = options.results.with_suffix(".log"), []
    start = said = time.monotonic()
    for outcome in judge_all(cases, options.jobs, options.precision, options.limit, log):
        outcomes.append(outcome)
        if time.monotonic() - said > 15:
            said = time.monotonic()
            write(outcomes, options.results)
            print(f"{len(outcomes)} of {len(cases)} after {said - start:.0f} s", file=sys.stderr)
    return outcomes


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mlx_coreml.coverage", description=__doc__)
    parser.add_argument(
        "--group", action="append", choices=list(coverage.GROUPS), help="default: all; may repeat"
    )
    parser.add_argument("--name", default="", help="only cases whose name contains this")
    parser.add_argument("--every", type=int, default=1, help="only every n-th case")
    parser.add_argument("--jobs", type=int, default=1, help="worker processes")
    parser.add_argument("--precision", default="float32", help="float32, float16 or mixed")
    parser.add_argument("--limit", type=float, default=120, help="seconds per case")
    parser.add_argument("--examples", type=int, default=4, help="names per cause")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the CSV file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
