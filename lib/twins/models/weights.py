"""Move weights between the halves of a twin, and to and from safetensors, through one mapping.

Names are equal on both sides unless a map from torch's to MLX's says otherwise (name_map.py). Files are
safetensors: https://github.com/huggingface/safetensors
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from twins.frameworks import MLX, TORCH
from twins.models.name_map import Names
from twins.models.name_map import renamed as renamed
from twins.models.weight_map import WeightMap, torch_names

import mlx.core as mx  # isort: skip  (after frameworks: the BLAS)
import mlx.nn as mnn  # isort: skip
import torch  # isort: skip
from mlx.utils import tree_flatten, tree_unflatten  # isort: skip


def mlx_weights(model: mnn.Module) -> dict[str, np.ndarray]:
    """Every parameter and buffer of an MLX module by name, in MLX's layout."""
    flat: Any = tree_flatten(model.parameters())
    return {name: MLX.numpy(value) for name, value in flat}


def torch_weights(model: torch.nn.Module) -> dict[str, np.ndarray]:
    """Every parameter and buffer of a torch module by name, in torch's layout."""
    state = model.state_dict()
    return {name: TORCH.numpy(state[name]) for name in torch_names(model)}


def as_mlx(
    weights: Mapping[str, np.ndarray],
    source: torch.nn.Module,
    target: mnn.Module,
    names: Names | None = None,
    gradients: bool = False,
) -> dict[str, np.ndarray]:
    """Torch weights, or gradients by them, under MLX's names and in MLX's layout."""
    return WeightMap(source, target, names).mlx(weights, gradients)


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
    for name, value in weights.items():
        own[name].copy_(torch.tensor(value, dtype=own[name].dtype))


def copy_to_mlx(source: torch.nn.Module, target: mnn.Module, names: Names | None = None) -> None:
    """Give the MLX half the torch half's weights; ValueError when a name or a shape differs.

    What MLX's half has frozen and torch's has not stays as MLX's half made it.
    """
    links, own = WeightMap(source, target, names), mlx_weights(target)
    load_mlx(target, {name: own[name] for name in links.own} | links.mlx(torch_weights(source)))


def save(model, path: Path) -> None:
    """Write either half's weights as safetensors, in its own layout."""
    weights = mlx_weights(model) if isinstance(model, mnn.Module) else torch_weights(model)
    safetensors.numpy.save_file({k: np.asarray(v, order="C") for k, v in weights.items()}, path)


def load(model, path: Path) -> None:
    """Read either half's weights from safetensors, strict: ValueError when a name or a shape differs."""
    weights = safetensors.numpy.load_file(path)
    (load_mlx if isinstance(model, mnn.Module) else load_torch)(model, weights)
