"""What page 12 says of a reader's file: the gate's verdict and the diagnosis."""

from dataclasses import dataclass
from pathlib import Path

from twins.timing import study
from twins.training import train

BATCH, STEPS = 8, 20


@dataclass(frozen=True)
class Judged:
    """Whether a pair passed, the checks that failed, and the sentence of the diagnosis."""

    passed: bool
    failed: tuple[str, ...]
    told: str


def judge(path: Path, seed: int = 0) -> Judged:
    """The verdict on a file, asked for as the page asks for it."""
    own = study.Study(str(path), {}, train.Recipe(1e-3), seed)
    own.apart()
    batches = own.examples(BATCH, STEPS)
    verdict = study.gate(own, batches, torch_compiled=False)
    failed = tuple(check["name"] for check in verdict.checks if not check["passed"])
    return Judged(verdict.passed, failed, study.explained(own, verdict, batches))
