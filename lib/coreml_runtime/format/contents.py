"""What a saved package holds, read from its specification: operations, bytes, inputs, outputs, precision.

https://apple.github.io/coremltools/mlmodel/Format/MIL.html
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from twins.coreml.reference import load
from twins.coreml.reference.package import open_package


@dataclass(frozen=True)
class Contents:
    """A package: bytes on disk, how often each operation occurs (constants left out), inputs and outputs."""

    size: int
    operations: Counter
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    halves: bool

    @property
    def count(self) -> int:
        """How many operations there are."""
        return self.operations.total()


def contents(path: Path) -> Contents:
    """What a package holds. Errors: ValueError for what is no ML Program."""
    model = load(path)
    function = open_package(path).specification.mlProgram.functions[model.function]
    block = function.block_specializations[function.opset]
    operations = Counter(each.type for each in block.operations if each.type != "const")
    size = sum(file.stat().st_size for file in Path(path).rglob("*") if file.is_file())
    features = (tuple(map(str, each.values())) for each in (model.inputs, model.outputs))
    return Contents(size, operations, *features, model.uses_fp16)


def table(packages: dict[str, Path]) -> pd.DataFrame:
    """A row per package, by its label: size, operations, how it computes, what goes in and comes out."""
    rows = []
    for label, path in packages.items():
        found = contents(path)
        rows.append(
            {
                "package": label,
                "KiB": found.size / 1024,
                "operations": found.count,
                "computes in": "fp16" if found.halves else "fp32",
                "inputs": ", ".join(found.inputs),
                "outputs": ", ".join(found.outputs),
            }
        )
    return pd.DataFrame(rows)


def operation_table(packages: dict[str, Path]) -> pd.DataFrame:
    """How often each operation occurs in each package, the most frequent first."""
    counts = {label: contents(path).operations for label, path in packages.items()}
    names = sum(counts.values(), Counter())
    rows = [
        {"operation": name} | {label: own[name] for label, own in counts.items()}
        for name, _ in names.most_common()
    ]
    return pd.DataFrame(rows)
