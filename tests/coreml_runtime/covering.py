"""Finds a test for each MIL operation: in the table of cases, or in a test that builds a program."""

import ast
from pathlib import Path

from cases import all_cases
from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

FOLDER = Path(__file__).parent
# An operation that a call of coremltools adds to the program, not the MIL builder.
ADDED_BY = {"ClassifierConfig": "classify"}


def covering_tests(folder: Path = FOLDER) -> dict[str, str]:
    """A test for each operation that the tests in `folder` run."""
    covered: dict[str, str] = {}
    for file in sorted(folder.glob("test_*.py")):
        covered |= {
            name: f"{file.name}::{test}" for name, test in _built_in(file).items() if name not in covered
        }
    return covered | {case.operation: f"test_operations.py::test_operation[{case}]" for case in all_cases()}


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
