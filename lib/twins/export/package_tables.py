"""Tables of what packages hold, for the pages on Core ML."""

from collections import Counter
from pathlib import Path

import pandas as pd

from coreml_runtime import inspect


def contents(packages: dict[str, Path]) -> pd.DataFrame:
    """A row per package, by its label: size, operations, how it computes, what goes in and comes out."""
    rows = []
    for label, path in packages.items():
        found = inspect(path)
        rows.append(
            {
                "package": label,
                "KiB": found.size / 1024,
                "operations": found.count,
                "computes in": "fp16" if found.uses_fp16 else "fp32",
                "inputs": ", ".join(map(str, found.inputs)),
                "outputs": ", ".join(map(str, found.outputs)),
            }
        )
    return pd.DataFrame(rows)


def operations(packages: dict[str, Path]) -> pd.DataFrame:
    """How often each operation occurs in each package, the most frequent first."""
    counts = {label: inspect(path).operations for label, path in packages.items()}
    names = sum(counts.values(), Counter())
    rows = [
        {"operation": name} | {label: own[name] for label, own in counts.items()}
        for name, _ in names.most_common()
    ]
    return pd.DataFrame(rows)
