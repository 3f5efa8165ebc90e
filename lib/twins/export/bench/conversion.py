"""How the direct route compares with torch.export: seconds, operations and bytes, of the same networks.

python -m twins.export.bench.conversion [name ...]
"""

import argparse
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import coremltools as ct
import numpy as np

from mlx_coreml.conversion.convert import convert
from twins.export import routes
from twins.export.networks.pairs import PAIRS, Pair
from twins.frameworks import MLX, TORCH
from twins.timing import harness, statistics
from twins.timing.harness import Plan, Variant
from twins.timing.peers.bench import row
from twins.timing.statistics import AGAIN

import torch  # isort: skip  (after twins.frameworks: the BLAS)

PLAN = Plan(processes=5, rounds=2, block=2, warmup=0)
DIRECT, TORCH_ROUTE = "MLX direct", "PyTorch"
LIMITS = {"seconds": 1.0, "operations": 1.1, "bytes": 1.01}  # of the direct route over torch.export's


def _direct(pair: Pair) -> ct.models.MLModel:
    return convert(pair.mlx, *(MLX.array(x) for x in pair.example), deployment_target="iOS17", check=False)


def _torch(pair: Pair) -> ct.models.MLModel:
    example = [torch.from_numpy(np.array(x)) for x in pair.torch_example]
    job = routes.Job(pair.torch.to("cpu"), example, ct.target.iOS17, "float16", Path())
    value = None
    for step in routes.ROUTES[f"PyTorch, {pair.route}"][:-1]:  # all but saving
        value = step(job, value)
    return value


CONVERT = {DIRECT: _direct, TORCH_ROUTE: _torch, TORCH_ROUTE + AGAIN: _torch, DIRECT + AGAIN: _direct}


def variants(name: str) -> dict[str, Variant]:
    """Converting one network on each route, both again for A/A."""
    pair = PAIRS[name]()
    return {variant: Variant(partial(take, pair), lambda: None) for variant, take in CONVERT.items()}


def weigh(name: str) -> dict[str, tuple[int, int]]:
    """Operations other than constants, and bytes on disk, of one network's package on each route."""
    pair, found = PAIRS[name](), {}
    with tempfile.TemporaryDirectory() as folder:
        for variant in (DIRECT, TORCH_ROUTE):
            model, path = CONVERT[variant](pair), Path(folder, f"{variant}.mlpackage")
            model.save(str(path))
            (block,) = model.get_spec().mlProgram.functions["main"].block_specializations.values()
            count = sum(operation.type != "const" for operation in block.operations)
            found[variant] = count, sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return found


def rows(name: str) -> Iterator[str]:
    """A line each for the seconds, operations and bytes of one network."""
    runs = harness.measure("twins.export.bench.conversion:variants", {"name": name}, PLAN)
    seconds = statistics.ratio(runs, DIRECT, TORCH_ROUTE)
    yield row(f"{name}: seconds to convert, direct ÷ {PAIRS[name]().route}", seconds, LIMITS["seconds"])
    for route, ratio in statistics.same(runs).items():
        yield row(f"  A/A of {route}", ratio, None)
    weighed = weigh(name)
    for index, what in enumerate(("operations", "bytes")):
        ours, theirs = (weighed[variant][index] for variant in (DIRECT, TORCH_ROUTE))
        verdict = "reached" if ours <= LIMITS[what] * theirs else "MISSED"
        told = f"{ours:,} ÷ {theirs:,} = {ours / theirs:.3f}"
        yield f"{f'{name}: {what}':<78}{told}  goal {LIMITS[what]:.2f}: {verdict}"


def main() -> None:
    """Print every ratio as it is measured."""
    parser = argparse.ArgumentParser(prog="python -m twins.export.bench.conversion", description=__doc__)
    parser.add_argument("names", nargs="*", default=list(PAIRS), metavar="name", help=", ".join(PAIRS))
    for name in parser.parse_args().names:
        for line in rows(name):
            print(line, flush=True)
    print(f"device of the halves: {MLX.device}, {TORCH.device}")


if __name__ == "__main__":
    main()
