"""The networks that exist in both frameworks, each with an example in either layout, by name."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from twins.export.networks import pairs_sequence, pairs_vision
from twins.training import train

import mlx.nn as mnn  # isort: skip  (after twins.training.train: the BLAS)
import torch  # isort: skip

DEPTHS = (2, 4, 8, 16)


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
    ours = pairs_sequence.MlxTagger(getattr(mnn, layer))
    return _tokens(ours, pairs_sequence.TorchTagger(getattr(torch.nn, layer)), 32, "torch.jit.trace")


def _llama() -> Pair:
    """torch.export's RMSNorm has an argument more than coremltools 9.0 knows, so PyTorch is traced."""
    return _tokens(pairs_sequence.MlxLlama(), pairs_sequence.TorchLlama(), 32, "torch.jit.trace")


PAIRS: dict[str, Callable[[], Pair]] = {
    "transformer_lm": partial(_twin, "transformer_lm", width=128, heads=4, layers=4, vocabulary=1024),
    "bert": partial(_twin, "bert"),
    "resnet": partial(_twin, "resnet"),
    "vit": partial(_twin, "vit"),
    # traced, because max_pool2d's arguments moved in torch 2.13
    "LeNet": partial(_images, pairs_vision.MlxLeNet, pairs_vision.TorchLeNet, 1, 28, "torch.jit.trace"),
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
