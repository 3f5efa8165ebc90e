"""How long MLX to Core AI takes beside Apple's coreai-torch: the same networks in float32, assets saved.

python -m twins.export.bench.core_ai [name ...]
"""

import argparse
import importlib.util
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from mlx_coreml.conversion.convert import convert
from twins.export.bench.conversion import PLAN
from twins.export.networks.pairs import PAIRS, Pair
from twins.frameworks import MLX, TORCH
from twins.timing import harness, statistics
from twins.timing.harness import Variant
from twins.timing.peers.bench import row
from twins.timing.statistics import AGAIN

import torch  # isort: skip  (after twins.frameworks: the BLAS)

DIRECT, TORCH_ROUTE = "MLX direct", "coreai-torch"
LIMIT = 1.0  # of the direct route's seconds over coreai-torch's


def _direct(pair: Pair) -> None:
    example = [MLX.array(x) for x in pair.example]
    with tempfile.TemporaryDirectory() as folder:
        model = convert(pair.mlx, *example, precision="float32", check=False, to="coreai")
        model.save(Path(folder, "model.aimodel"))


def _torch(pair: Pair) -> None:
    import coreai_torch

    example = tuple(torch.from_numpy(np.array(x)) for x in pair.torch_example)
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        exported = torch.export.export(pair.torch.to("cpu").eval(), example)
        exported = exported.run_decompositions(coreai_torch.get_decomp_table())
        program = coreai_torch.TorchConverter().add_exported_program(exported).to_coreai()
        program.save_asset(Path(folder, "model.aimodel"))


CONVERT = {DIRECT: _direct, TORCH_ROUTE: _torch, TORCH_ROUTE + AGAIN: _torch, DIRECT + AGAIN: _direct}


def variants(name: str) -> dict[str, Variant]:
    """Converting one network on each route, each twice to compare it with itself."""
    pair = PAIRS[name]()
    return {variant: Variant(partial(take, pair), lambda: None) for variant, take in CONVERT.items()}


def rows(name: str) -> Iterator[str]:
    """The ratio of the seconds of one network, and that of each route to itself."""
    runs = harness.measure("twins.export.bench.core_ai:variants", {"name": name}, PLAN)
    seconds = statistics.ratio(runs, DIRECT, TORCH_ROUTE)
    yield row(f"{name}: seconds to convert, direct ÷ {TORCH_ROUTE}", seconds, LIMIT)
    for route, ratio in statistics.same(runs).items():
        yield row(f"  {route} compared with itself", ratio, None)


def main() -> int:
    """Print every ratio as it is measured; 2 without the extra coreai."""
    parser = argparse.ArgumentParser(prog="python -m twins.export.bench.core_ai", description=__doc__)
    parser.add_argument("names", nargs="*", default=list(PAIRS), metavar="name", help=", ".join(PAIRS))
    names = parser.parse_args().names
    if importlib.util.find_spec("coreai_torch") is None:
        print(
            "coreai-torch is not found here: `pip install './lib/mlx_coreml[coreai]'` in a checkout brings it"
        )
        return 2
    for name in names:
        for line in rows(name):
            print(line, flush=True)
    print(f"device of the halves: {MLX.device}, {TORCH.device}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
