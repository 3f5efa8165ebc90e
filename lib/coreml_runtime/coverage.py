"""Which MIL operations of the installed coremltools are implemented, and in which file.

    coreml-runtime coverage --tests tests/coreml_runtime

With a folder of tests, whose module `covering` searches them, each operation also has a test that runs it.
"""

import importlib
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from coreml_runtime.execution.control_flow import CONTROL
from coreml_runtime.format.specification import coremltools
from coreml_runtime.operations.registry import RULES

coremltools()  # quietly, before its registry of operations
from coremltools.converters.mil.mil.ops import defs  # noqa: E402, F401  (registers the operations)
from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry  # noqa: E402

# coremltools' number of the target that introduced a definition.
OPSETS = {4: "iOS15", 5: "iOS15", 6: "iOS15", 7: "iOS16", 8: "iOS17", 9: "iOS18", 10: "iOS26"}
# Without a rule: const is data, the other stands for a shape while converting.
INTERNAL = {"const": "read as data", "_const_symbolic": "never saved"}


@dataclass(frozen=True)
class Coverage:
    """One operation: its opsets, the file of its rule, and a test that runs it ("" if there is none)."""

    operation: str
    opsets: str
    implemented: str
    test: str


def coverage(tests: Path | None = None) -> list[Coverage]:
    """One record for each registered operation in alphabetical order, with a test if a folder is given."""
    covered = _covering_tests(tests) if tests else {}
    return [
        Coverage(name, _opsets(versions), _implemented(name), covered.get(name, ""))
        for name, versions in sorted(SSAOpRegistry.core_ops.items())
    ]


def _opsets(versions: dict) -> str:
    """The opsets in which an operation was defined or defined anew."""
    first = {id(definition): int(version) for version, definition in sorted(versions.items(), reverse=True)}
    return ", ".join(dict.fromkeys(OPSETS[version] for version in sorted(first.values())))


def _implemented(name: str) -> str:
    if name in INTERNAL:
        return INTERNAL[name]
    if name in CONTROL:
        return "execution/control_flow.py"
    if name not in RULES:
        return ""
    return RULES[name].function.__module__.removeprefix("coreml_runtime.").replace(".", "/") + ".py"


def _covering_tests(folder: Path) -> dict[str, str]:
    """What the search in a folder of tests finds: for each operation a test that runs it."""
    sys.path.insert(0, str(folder))
    try:
        return dict(importlib.import_module("covering").covering_tests())
    finally:
        sys.path.remove(str(folder))


def table(records: list[Coverage]) -> str:
    """The records as a table, and below it how many operations are implemented."""
    frame = pd.DataFrame([asdict(record) for record in records])
    shown, done = (
        frame if frame["test"].any() else frame.drop(columns="test"),
        frame["implemented"].ne("").sum(),
    )
    return f"{shown.to_string(index=False)}\n{done} of {len(records)} operations are implemented"


def uncovered(records: list[Coverage], tests: Path | None) -> list[str]:
    """The operations without a rule or, when the tests were searched, without a test."""
    missing = (r for r in records if not (r.implemented and (r.test or not tests or r.operation in INTERNAL)))
    return [record.operation for record in missing]


if __name__ == "__main__":
    command = importlib.import_module("coreml_runtime.__main__")
    sys.exit(command.main(["coverage", "--tests", "tests/coreml_runtime", *sys.argv[1:]]))
