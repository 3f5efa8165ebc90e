"""Settings of layers that differ in meaning between the module trees of two halves, in sentences.

A small epsilon or a momentum that differs may show in no number of a first batch. Only layers of the
libraries themselves are read, of one kind and under one path on both sides: of a class of one's own, or of
functions, nothing is claimed. Sources: mlx/nn/layers/{normalization,dropout,activations}.py of MLX 0.32 and
https://docs.pytorch.org/docs/2.13/nn.html.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from twins.frameworks import TORCH
from twins.models.name_map import completed, module_names, renamed
from twins.training.train import Half

import mlx.nn as mnn  # isort: skip  (after frameworks: the BLAS)
import torch  # isort: skip
from torch import nn as tnn  # isort: skip

ALMOST = 1e-6  # relative
LISTED = 3  # layers named before the rest is counted
WRITTEN = 0.02  # relative; a machine epsilon that is written out in a file is 1.19e-7 or 1.2e-7
GELUS = {"none": "exact", "precise": "tanh", "tanh": "tanh", "fast": "sigmoid"}


@dataclass(frozen=True)
class Kind:
    """One kind of layer: its classes, and a setting's word -> how each framework's module has it."""

    mlx: tuple[type, ...]
    torch: tuple[type, ...]
    settings: dict[str, tuple[Callable, Callable]]


def _attribute(ours: str, theirs: str | None = None) -> tuple[Callable, Callable]:
    return (lambda module: getattr(module, ours)), (lambda module: getattr(module, theirs or ours))


EPS, SLOPE = _attribute("eps"), _attribute("_negative_slope", "negative_slope")
ALPHA, DROPPED = _attribute("_alpha", "alpha"), (lambda m: 1 - m._p_1, lambda m: m.p)
NORMED = (tnn.BatchNorm1d, tnn.BatchNorm2d, tnn.BatchNorm3d)
INSTANCES = (tnn.InstanceNorm1d, tnn.InstanceNorm2d, tnn.InstanceNorm3d)
KINDS = (
    Kind((mnn.LayerNorm,), (tnn.LayerNorm,), {"eps": EPS}),
    Kind((mnn.RMSNorm,), (tnn.RMSNorm,), {"eps": EPS}),
    Kind((mnn.GroupNorm,), (tnn.GroupNorm,), {"eps": EPS}),
    Kind((mnn.InstanceNorm,), INSTANCES, {"eps": EPS}),
    Kind((mnn.BatchNorm,), NORMED, {"eps": EPS, "momentum": _attribute("momentum")}),
    Kind((mnn.Dropout,), (tnn.Dropout,), {"the probability of dropping": DROPPED}),
    Kind((mnn.Dropout2d,), (tnn.Dropout2d,), {"the probability of dropping": DROPPED}),
    Kind((mnn.Dropout3d,), (tnn.Dropout3d,), {"the probability of dropping": DROPPED}),
    Kind((mnn.LeakyReLU,), (tnn.LeakyReLU,), {"negative_slope": SLOPE}),
    Kind((mnn.ELU,), (tnn.ELU,), {"alpha": ALPHA}),
    Kind((mnn.CELU,), (tnn.CELU,), {"alpha": ALPHA}),
    Kind((mnn.Softshrink,), (tnn.Softshrink,), {"lambd": _attribute("lambd")}),
    Kind((mnn.HardShrink,), (tnn.Hardshrink,), {"lambd": _attribute("lambd")}),
    Kind((mnn.GELU,), (tnn.GELU,), {"GELU": (lambda m: GELUS[m._approx], lambda m: GELUS[m.approximate])}),
)


def layer_differences(mlx: Half, torch_half: Half) -> list[str]:
    """One sentence for every way in which layers of one kind under one path differ, with these paths."""
    machine = torch.finfo(TORCH.dtype(torch_half.dtype)).eps
    paths: dict[str, list[str]] = {}
    for path, told in _told(mlx.model, torch_half.model, mlx.names, machine):
        paths.setdefault(told, []).append(path)
    return [f"{_listed(found)}: {told}" for told, found in paths.items()]


def _listed(paths: list[str]) -> str:
    more = f" and {len(paths) - LISTED} more" if len(paths) > LISTED else ""
    return ", ".join(f"`{path}`" for path in paths[:LISTED]) + more


def _told(mlx: mnn.Module, torch_model: tnn.Module, names: Any, machine: float) -> Iterator[tuple[str, str]]:
    known, map_of = dict(mlx.named_modules()), module_names(completed(names, mlx, torch_model))
    for path, theirs in torch_model.named_modules():
        other = renamed(path, map_of)
        ours = known.get(other)
        kind = next((each for each in KINDS if _is(theirs, each.torch, "forward")), None)
        if kind is None or ours is None or not _is(ours, kind.mlx, "__call__"):
            continue
        for word, (read, read_torch) in kind.settings.items():
            mine, told = read(ours), read_torch(theirs)
            if not _equal(mine, told, machine):
                told = machine if told is None and word == "eps" else told
                yield other, f"{word} is {_value(mine)} in MLX and {_value(told)} in PyTorch"


def _is(module: Any, kinds: tuple[type, ...], method: str) -> bool:
    """Whether a module is of one of these classes, or of one that computes with their method."""
    kind = next((each for each in kinds if isinstance(module, each)), None)
    return kind is not None and getattr(type(module), method) is getattr(kind, method)


def _equal(ours: Any, theirs: Any, machine: float) -> bool:
    """Whether two values are one; an epsilon that torch's RMSNorm is not given is that of the type."""
    if isinstance(ours, str) or isinstance(theirs, str):
        return ours == theirs
    if theirs is None:
        return bool(np.isclose(ours, machine, rtol=WRITTEN, atol=0))
    return bool(np.isclose(ours, theirs, rtol=ALMOST, atol=0 if theirs else ALMOST))


def _value(value: Any) -> str:
    if value is None:  # torch's momentum
        return "that of a mean over all batches"
    return value if isinstance(value, str) else f"{value:.6g}"
