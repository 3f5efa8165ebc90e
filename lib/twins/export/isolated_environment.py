"""Conversions that were run in a separate environment and are kept in the project, with provenance.

onnx2torch needs torchvision, whose wheel replaces PyTorch, so its route runs outside of the environment:

    pip install --no-deps --target build/apart onnx2torch==1.5.15
    PYTHONPATH=build/apart python -m twins.export.isolated_environment

torchvision is replaced by a stand-in: no graph here has the two operations that need it.
https://github.com/ENOT-AutoDL/onnx2torch
"""

import importlib.metadata
import json
import os
import sys
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec.structs import replace

from twins.evidence.answers import route_grid
from twins.export import conversions, trained_models
from twins.records.export_types import Conversion
from twins.records.store import ROOT, json_line

ROUTE = "PyTorch, ONNX, onnx2torch"
KEPT = ROOT / "data" / "apart" / "onnx2torch.jsonl"
COMMAND = "PYTHONPATH=build/apart python -m twins.export.isolated_environment"
PACKAGES = ("onnx2torch", "torch", "onnx", "coremltools", "numpy")
STAND_IN = '''"""Stands in for torchvision: no graph here selects boxes."""


def refused(*arguments, **options):
    raise NotImplementedError("torchvision is not in this environment")


nms = roi_align = box_convert = refused
'''


def read(path: Path = KEPT) -> tuple[list[Conversion], str]:
    """The kept conversions, each marked, and where they come from, in a sentence."""
    first, *rows = path.read_text().splitlines()
    told = json.loads(first)
    versions = ", ".join(f"{name} {version}" for name, version in told["versions"].items())
    note = (
        f"{route_grid.name(ROUTE)} was run in a separate environment on {told['date']}, with {versions}; "
        f"again with `{COMMAND}`."
    )
    return [msgspec.json.decode(row, type=Conversion) for row in rows], note


def write(records: Iterable[Conversion], path: Path) -> None:
    """Keep conversions with date, versions and the command that makes them again."""
    told = {
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "command": COMMAND,
        "torchvision": "a stand-in without operations",
    }
    marked = [replace(each, case=each.case | {"apart": told["date"]}) for each in records]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([json.dumps(told), *map(json_line, marked)]) + "\n")


def main() -> None:
    """Run the route over the trained models and the pairs, and keep what came of it."""
    from twins.export.networks.pairs import PAIRS

    with tempfile.TemporaryDirectory() as folder:
        stand_in = Path(folder, "torchvision")
        stand_in.mkdir()
        (stand_in / "__init__.py").write_text("from torchvision import ops\n")
        (stand_in / "ops.py").write_text(STAND_IN)
        os.environ["PYTHONPATH"] = os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])
        models = [trained_models.load(name) for name in trained_models.MODELS]
        networks = [name for name in PAIRS if name not in trained_models.MODELS and "blocks" not in name]
        tasks = [*conversions.of_trained(models, runs=2), *conversions.of_pairs(networks)]
        records = list(conversions.convert(ROUTE, tasks))
    write(records, KEPT)
    print(f"{len(records)} conversions in {KEPT}", file=sys.stderr)


if __name__ == "__main__":
    main()
