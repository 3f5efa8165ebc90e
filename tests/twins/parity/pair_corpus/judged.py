"""What page 12 says of a reader's file: the gate's verdict and the diagnosis."""

import re
from dataclasses import dataclass
from pathlib import Path

from pair_corpus import Mistake
from twins.timing import study
from twins.training import train

BATCH, STEPS = 8, 20
CAUSE = "Likely cause: "
PASSED, RIGHT, PLACED, WRONG = "passed", "right", "place only", "WRONG"


@dataclass(frozen=True)
class Judged:
    """Whether a pair passed, the checks that failed, and the sentence of the diagnosis."""

    passed: bool
    failed: tuple[str, ...]
    told: str

    @property
    def cause(self) -> str:
        """The cause that the sentence names; empty when it tells the place alone."""
        return self.told.partition(CAUSE)[2].removesuffix(".")

    def outcome(self, mistake: Mistake) -> str:
        """Whether a planted mistake was refused, and named rightly, wrongly or not at all."""
        if self.passed:
            return PASSED
        if not self.cause:
            return PLACED
        right = mistake.cause and re.search(mistake.cause, self.cause, re.IGNORECASE)
        return RIGHT if right else WRONG


def judge(path: Path, seed: int = 0) -> Judged:
    """The verdict on a file, asked for as the page asks for it."""
    own = study.Study(str(path), {}, train.Recipe(1e-3), seed)
    own.apart()
    batches = own.examples(BATCH, STEPS)
    verdict = study.gate(own, batches, torch_compiled=False)
    failed = tuple(check["name"] for check in verdict.checks if not check["passed"])
    return Judged(verdict.passed, failed, study.explained(own, verdict, batches))
