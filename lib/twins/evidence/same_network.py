"""Whether two halves are the same network, in one line: what the fairness gate checked, and what failed."""

from collections.abc import Iterable, Sequence

from twins.records.record_types import Gate
from twins.timing import wording

DOUBLE = "float64 "
WORDS = {
    "trained": "which tensors train",
    "settings": "the layers' settings",
    "state": "the optimizers' state",
    "evaluation": "outputs in evaluation mode",
    "gradients": "every gradient",
    "update": "the optimizer's update",
    "moved": "what training changes",
    "losses": "the losses of the first {steps} steps",
}


def counts(gates: Iterable[Gate]) -> str:
    """How many checks passed: "18 of 18 checks", or by twin, "ResNet 20 of 20 and ViT 18 of 18 checks"."""
    gates = list(gates)
    told = []
    for gate in gates:
        passed = sum(check["passed"] for check in gate.checks)
        name = f"{wording.name(gate.twin)} " if len(gates) > 1 else ""
        told.append(f"{name}{passed} of {len(gate.checks)}")
    return f"{' and '.join(told)} checks"


def kinds(gates: Sequence[Gate]) -> list[str]:
    """What the checks are of, in words and in the gate's order; those in float64 count together."""
    steps = max((len(run) for gate in gates for run in gate.losses.values()), default=0)
    names = [check["name"].partition(",")[0] for gate in gates for check in gate.checks]
    told = [WORDS.get(name, name).format(steps=steps) for name in names if not name.startswith(DOUBLE)]
    again = [name.removeprefix(DOUBLE) for name in dict.fromkeys(names) if name.startswith(DOUBLE)]
    return [*dict.fromkeys(told), *([f"{', '.join(again)} again in float64"] if again else [])]


def line(*gates: Gate) -> str:
    """How many checks passed and what of, in one sentence; failed ones are named."""
    if not gates:
        return "Nothing was checked."
    failed = [(gate.twin, check["name"]) for gate in gates for check in gate.checks if not check["passed"]]
    if not failed:
        return f"✓ {counts(gates)} passed: {', '.join(kinds(gates))}."
    told = ", ".join(f"{name} ({wording.name(twin)})" for twin, name in failed)
    return f"✗ {counts(gates)} passed. **Failed**: {told}; such a pair is not timed."
