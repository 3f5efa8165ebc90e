"""How the direct route compares with torch.export: seconds, operations and bytes, of the same networks.

python -m twins.coreml.bench.conversion [name ...]
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import coremltools as ct
import numpy as np

from twins import timing, train
from twins.bench import row
from twins.coreml import routes
from twins.coreml.bench import pairs_sequence, pairs_vision
from twins.coreml.convert import convert
from twins.frameworks import MLX, TORCH
from twins.timing import AGAIN, Arm, Plan

import mlx.nn as mnn  # isort: skip  (after twins.frameworks: the BLAS)
import torch  # isort: skip

PLAN = Plan(processes=5, rounds=2, block=2, warmup=0)
DIRECT, TORCH_ROUTE = "MLX direct", "PyTorch"
DEPTHS = (2, 4, 8, 16)
LIMITS = {"seconds": 1.0, "operations": 1.1, "bytes": 1.01}  # of the direct route over torch.export's


@dataclass(frozen=True)
class Pair:
    """One network in both frameworks, with an example in each one's layout and the route PyTorch takes."""

    mlx: mnn.Module
    torch: torch.nn.Module
    example: tuple[np.ndarray, ...]
    torch_example: tuple[np.ndarray, ...]
    route: str = "torch.export"


def _twin(model: str, **sizes: int) -> Pair:
    """The halves of one of the series' own twins, on one example."""
    module = train.named(model)
    config = module.tiny(**sizes)
    ours, theirs = train.halves(module, config, train.Recipe())
    arrays = module.example(config, np.random.default_rng(0), 1)[:-1]
    examples = [tuple(half.framework.numpy(x) for x in half.batch(arrays)) for half in (ours, theirs)]
    return Pair(ours.model, theirs.model, *examples)


def _images(mlx: type, torch_class: type, channels: int, size: int, route: str = "torch.export") -> Pair:
    image = np.random.default_rng(0).standard_normal((1, size, size, channels)).astype(np.float32)
    return Pair(mlx(), torch_class(), (image,), (image.transpose(0, 3, 1, 2).copy(),), route)


def _frames() -> Pair:
    frames = np.random.default_rng(0).standard_normal((1, 200, 80)).astype(np.float32)
    halves = pairs_sequence.MlxWhisperEncoder(), pairs_sequence.TorchWhisperEncoder()
    return Pair(*halves, (frames,), (frames.transpose(0, 2, 1).copy(),))


def _tokens(mlx: mnn.Module, torch_module: torch.nn.Module, count: int, route: str = "torch.export") -> Pair:
    ids = np.random.default_rng(0).integers(0, pairs_sequence.VOCABULARY, (1, count), dtype=np.int32)
    return Pair(mlx, torch_module, (ids,), (ids,), route)


def _tagger(layer: str) -> Pair:
    """torch.export's graphs of recurrent layers are unknown to coremltools 9.0, so PyTorch is traced."""
    halves = (
        pairs_sequence.MlxTagger(getattr(mnn, layer)),
        pairs_sequence.TorchTagger(getattr(torch.nn, layer)),
    )
    return _tokens(*halves, 32, "torch.jit.trace")


def _llama() -> Pair:
    """torch.export's RMSNorm has an argument more than coremltools 9.0 knows, so PyTorch is traced."""
    return _tokens(pairs_sequence.MlxLlama(), pairs_sequence.TorchLlama(), 32, "torch.jit.trace")


PAIRS: dict[str, Callable[[], Pair]] = {
    "transformer_lm": partial(_twin, "transformer_lm", width=128, heads=4, layers=4, vocabulary=1024),
    "bert": partial(_twin, "bert"),
    "resnet": partial(_twin, "resnet"),
    "vit": partial(_twin, "vit"),
    "LeNet": partial(
        _images, pairs_vision.MlxLeNet, pairs_vision.TorchLeNet, 1, 28, "torch.jit.trace"
    ),  # max_pool2d's arguments moved in torch 2.13
    "MobileNet": partial(_images, pairs_vision.MlxMobileNet, pairs_vision.TorchMobileNet, 3, 64),
    "U-Net": partial(_images, pairs_vision.MlxUNet, pairs_vision.TorchUNet, 3, 64, "torch.jit.trace"),
    "Llama": _llama,
    "Whisper encoder": _frames,
    "LSTM": partial(_tagger, "LSTM"),
    "GRU": partial(_tagger, "GRU"),
}
PAIRS |= {
    f"transformer_lm, {depth} blocks": partial(_twin, "transformer_lm", layers=depth, width=64, context=32)
    for depth in DEPTHS
}


def _direct(pair: Pair) -> ct.models.MLModel:
    return convert(pair.mlx, *(MLX.array(x) for x in pair.example), deployment_target="iOS17", check=False)


def _torch(pair: Pair) -> ct.models.MLModel:
    example = [torch.from_numpy(np.array(x)) for x in pair.torch_example]
    job = routes.Job(pair.torch.to("cpu"), example, ct.target.iOS17, "float16", Path())
    value = None
    for step in routes.ROUTES[f"PyTorch, {pair.route}"][:-1]:  # all but saving
        value = step(job, value)
    return value


CONVERT = {DIRECT: _direct, TORCH_ROUTE: _torch, TORCH_ROUTE + AGAIN: _torch}


def arms(name: str) -> dict[str, Arm]:
    """Converting one network on each route, PyTorch's again for A/A."""
    pair = PAIRS[name]()
    return {arm: Arm(partial(take, pair), lambda: None) for arm, take in CONVERT.items()}


def weigh(name: str) -> dict[str, tuple[int, int]]:
    """Operations other than constants, and bytes on disk, of one network's package on each route."""
    pair, found = PAIRS[name](), {}
    with tempfile.TemporaryDirectory() as folder:
        for arm in (DIRECT, TORCH_ROUTE):
            model, path = CONVERT[arm](pair), Path(folder, f"{arm}.mlpackage")
            model.save(str(path))
            (block,) = model.get_spec().mlProgram.functions["main"].block_specializations.values()
            count = sum(operation.type != "const" for operation in block.operations)
            found[arm] = count, sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return found


def rows(name: str) -> Iterator[str]:
    """A line each for the seconds, operations and bytes of one network."""
    runs = timing.measure("twins.coreml.bench.conversion:arms", {"name": name}, PLAN)
    seconds = timing.ratio(runs, DIRECT, TORCH_ROUTE)
    route = PAIRS[name]().route
    yield row(f"{name}: seconds to convert, direct ÷ {route}", seconds, LIMITS["seconds"])
    yield row("  A/A", timing.same(runs), None)
    weighed = weigh(name)
    for index, what in enumerate(("operations", "bytes")):
        ours, theirs = (weighed[arm][index] for arm in (DIRECT, TORCH_ROUTE))
        verdict = "reached" if ours <= LIMITS[what] * theirs else "MISSED"
        told = f"{ours:,} ÷ {theirs:,} = {ours / theirs:.3f}"
        yield f"{f'{name}: {what}':<78}{told}  goal {LIMITS[what]:.2f}: {verdict}"


def main() -> None:
    """Print every ratio as it is measured."""
    parser = argparse.ArgumentParser(prog="python -m twins.coreml.bench.conversion", description=__doc__)
    parser.add_argument("names", nargs="*", default=list(PAIRS), metavar="name", help=", ".join(PAIRS))
    for name in parser.parse_args().names:
        for line in rows(name):
            print(line, flush=True)
    print(f"device of the halves: {MLX.device}, {TORCH.device}")


if __name__ == "__main__":
    main()
