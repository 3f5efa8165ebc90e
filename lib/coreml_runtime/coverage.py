"""Which MIL operations the reference runtime implements, in which file, and which test covers each.

python -m coreml_runtime.coverage [--tests tests/coreml_runtime]

The operations are the ones registered in the installed coremltools; the tests are read from their table of
cases and, for programs of several operations, from calls of the MIL builder in their source.
"""

import argparse
import ast
import importlib
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
from coremltools.converters.mil.mil.ops import defs  # noqa: F401  (registers the operations)
from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

from coreml_runtime.execution.control_flow import CONTROL
from coreml_runtime.operations.registry import RULES

# coremltools' number of the target that introduced a definition.
OPSETS = {4: "iOS15", 5: "iOS15", 6: "iOS15", 7: "iOS16", 8: "iOS17", 9: "iOS18", 10: "iOS26"}
# An operation that a call of coremltools adds to the program, not the MIL builder.
ADDED_BY = {"ClassifierConfig": "classify"}
# Without a rule: const is data, the other stands for a shape while converting.
INTERNAL = {"const": "read as data", "_const_symbolic": "never saved"}


@dataclass(frozen=True)
class Coverage:
    """One operation: the opsets that define it, the file with its rule ("" for none), a test that runs it."""

    operation: str
    opsets: str
    implemented: str
    test: str


def coverage(tests: Path) -> list[Coverage]:
    """One record per registered operation, in alphabetical order."""
    covered = covering_tests(tests)
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


def covering_tests(folder: Path) -> dict[str, str]:
    """A test for each operation that the tests in `folder` run."""
    covered: dict[str, str] = {}
    for file in sorted(folder.glob("test_*.py")):
        covered |= {
            name: f"{file.name}::{test}" for name, test in _built_in(file).items() if name not in covered
        }
    return covered | {
        case.operation: f"test_operations.py::test_operation[{case}]" for case in _cases(folder)
    }


def _built_in(file: Path) -> dict[str, str]:
    """Operations a test file builds: `mb.name(...)`, or a string that names one, by the test around it."""
    found: dict[str, str] = {}
    for node in ast.parse(file.read_text()).body:
        test = node.name if isinstance(node, ast.FunctionDef) else "*"
        for part in ast.walk(node):
            name = _operation_of(part)
            if name in SSAOpRegistry.core_ops:
                found.setdefault(name, test)
    return found


def _operation_of(node: ast.AST) -> str | None:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return node.attr if node.value.id == "mb" else ADDED_BY.get(node.attr)
    is_name = isinstance(node, ast.Constant) and str(node.value).startswith("random_")
    return node.value if is_name else None


def _cases(folder: Path) -> list:
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module("cases").all_cases()
    finally:
        sys.path.remove(str(folder))


def main() -> int:
    """Print the table and the totals; 1 when an operation lacks a rule or a test."""
    parser = argparse.ArgumentParser(prog="python -m coreml_runtime.coverage", description=__doc__)
    parser.add_argument("--tests", type=Path, default=Path("tests/coreml_runtime"))
    records = coverage(parser.parse_args().tests)
    print(pd.DataFrame([asdict(record) for record in records]).to_string(index=False))
    implemented = [record for record in records if record.implemented]
    tested = [record for record in records if record.test or record.operation in INTERNAL]
    done = f"{len(implemented)} of {len(records)} operations are implemented"
    print(f"{done}, {len(tested)} are tested or internal")
    return int(len(implemented) < len(records) or len(tested) < len(records))


if __name__ == "__main__":
    sys.exit(main())
