"""Move weights between the halves of a twin, and to and from safetensors, through one mapping.

Names are equal on both sides unless a map from torch's to MLX's says otherwise; an entry holds for a weight,
or for every weight of a module. What differs is the layout of convolution weights: torch keeps (out, in, ...)
and MLX (out, ..., in). https://github.com/huggingface/safetensors
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from twins.frameworks import MLX, TORCH

import mlx.core as mx  # isort: skip  (after frameworks: the BLAS)
import mlx.nn as mnn  # isort: skip
import torch  # isort: skip
from mlx.utils import tree_flatten, tree_unflatten  # isort: skip

# MLX module type -> the axes that turn torch's weight into MLX's
LAYOUTS = {
    mnn.Conv1d: (0, 2, 1),
    mnn.Conv2d: (0, 2, 3, 1),
    mnn.Conv3d: (0, 2, 3, 4, 1),
    mnn.ConvTranspose1d: (1, 2, 0),
    mnn.ConvTranspose2d: (1, 2, 3, 0),
    mnn.ConvTranspose3d: (1, 2, 3, 4, 0),
}
NOT_WEIGHTS = ("num_batches_tracked",)  # torch's BatchNorm counts batches; nothing computes with it


def layouts(model: mnn.Module) -> dict[str, tuple[int, ...]]:
    """Parameter name -> axes from torch's layout to MLX's, for the parameters whose layout differs."""
    kinds = {
        name: next((kind for kind in type(module).__mro__ if kind in LAYOUTS), None)
        for name, module in model.named_modules()
    }
    return {f"{name}.weight" if name else "weight": LAYOUTS[kind] for name, kind in kinds.items() if kind}


def mlx_weights(model: mnn.Module) -> dict[str, np.ndarray]:
    """Every parameter and buffer of an MLX module by name, in MLX's layout."""
    flat: Any = tree_flatten(model.parameters())
    return {name: MLX.numpy(value) for name, value in flat}


def torch_weights(model) -> dict[str, np.ndarray]:
    """Every parameter and buffer of a torch module by name, in torch's layout."""
    state = model.state_dict()
    return {name: TORCH.numpy(value) for name, value in state.items() if not name.endswith(NOT_WEIGHTS)}


def _turned(value: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """The value with its axes in this order; one of another rank stays, for check() to refuse."""
    return value.transpose(axes) if value.ndim == len(axes) else value


def renamed(name: str, names: Mapping[str, str]) -> str:
    """A name through the map: by its own entry, or by that of the innermost module it lies in."""
    parts = name.split(".")
    for cut in range(len(parts), -1, -1):
        module = ".".join(parts[:cut])
        if module in names:
            return ".".join(filter(None, [names[module], *parts[cut:]]))
    return name


def check_map(names: Mapping[str, str], mlx: mnn.Module, torch) -> None:
    """Refuse a map that names an unknown weight or module, or maps two to one. Errors: ValueError."""
    sides = {"PyTorch": (list(names), torch_weights(torch)), "MLX": (list(names.values()), mlx_weights(mlx))}
    for side, (given, known) in sides.items():
        for name in given:
            if name and not any(k == name or k.startswith(f"{name}.") for k in known):
                raise ValueError(
                    f"the name map has {name!r}, which is no weight and no module of the {side} half; "
                    f"its weights are {', '.join(known)}"
                )
    taken: dict[str, str] = {}
    for name in torch_weights(torch):
        other = taken.setdefault(renamed(name, names), name)
        if other != name:
            raise ValueError(
                f"the name map gives two weights of the PyTorch half, {other!r} and {name!r}, one name of "
                f"the MLX half, {renamed(name, names)!r}"
            )


def as_mlx(weights: Mapping[str, np.ndarray], model: mnn.Module, names: Mapping[str, str] | None = None):
    """Torch weights under MLX's names and in MLX's layout; `names` maps torch names that differ."""
    axes, names = layouts(model), names or {}
    mine = {renamed(name, names): value for name, value in weights.items()}
    return {k: _turned(v, axes[k]) if k in axes else v for k, v in mine.items()}


def check(given: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], where: str) -> None:
    """Raise one sentence when names or shapes differ; nothing is loaded in part."""
    missing, extra = sorted(set(expected) - set(given)), sorted(set(given) - set(expected))
    if missing or extra:
        raise ValueError(f"weights for {where}: missing {missing or 'none'}, superfluous {extra or 'none'}")
    for name, value in expected.items():
        if given[name].shape != value.shape:
            raise ValueError(
                f"weights for {where}: {name} has shape {given[name].shape}, it takes {value.shape}"
            )


def load_mlx(model: mnn.Module, weights: Mapping[str, np.ndarray]) -> None:
    """Put weights (MLX's names and layout) into an MLX module; strict."""
    flat = dict(tree_flatten(model.parameters()))
    check(weights, flat, "the MLX half")
    arrays = [(name, mx.array(weights[name], dtype=value.dtype)) for name, value in flat.items()]
    model.update(tree_unflatten(arrays))
    MLX.evaluate(model.parameters())


def load_torch(model, weights: Mapping[str, np.ndarray]) -> None:
    """Put weights (torch's names and layout) into a torch module; strict."""
    check(weights, torch_weights(model), "the PyTorch half")
    own = model.state_dict()  # the types to load in: an Apple GPU takes no float64, even to convert it
    tensors = {name: torch.tensor(value, dtype=own[name].dtype) for name, value in weights.items()}
    model.load_state_dict(tensors, strict=False)  # check() was the strict part; counters stay


def copy_to_mlx(source, target: mnn.Module, names: Mapping[str, str] | None = None) -> None:
    """Give the MLX half the torch half's weights; ValueError when a name or a shape differs."""
    load_mlx(target, as_mlx(torch_weights(source), target, names))


def save(model, path: Path) -> None:
    """Write either half's weights as safetensors, in its own layout."""
    weights = mlx_weights(model) if isinstance(model, mnn.Module) else torch_weights(model)
    safetensors.numpy.save_file({k: np.asarray(v, order="C") for k, v in weights.items()}, path)


def load(model, path: Path) -> None:
    """Read either half's weights from safetensors, strict: ValueError when a name or a shape differs."""
    weights = safetensors.numpy.load_file(path)
    (load_mlx if isinstance(model, mnn.Module) else load_torch)(model, weights)
