"""What training changes, as arrays and facts: weights and the optimizer's state, for a checkpoint.

Random numbers are not part of it: a run seeds them anew at every step (worker.py).
"""

from collections.abc import Mapping

import numpy as np

from twins.frameworks import MLX, TORCH
from twins.models import weights
from twins.training.train import Half

import mlx.core as mx  # isort: skip  (after frameworks: the BLAS)
import torch  # isort: skip
from mlx.utils import tree_flatten, tree_unflatten  # isort: skip

Arrays = dict[str, np.ndarray]
MODEL, OPTIMIZER = "model.", "optimizer."


def mlx_state(half: Half) -> tuple[Arrays, dict]:
    """Weights and the optimizer's state in MLX; MLX needs no facts beside its arrays."""
    found = dict(tree_flatten(half.optimizer.state))
    held = {OPTIMIZER + name: MLX.numpy(value) for name, value in found.items()}
    return {MODEL + name: value for name, value in weights.mlx_weights(half.model).items()} | held, {}


def mlx_restore(half: Half, arrays: Mapping[str, np.ndarray], _facts: dict) -> None:
    """Put a state into the MLX half. Errors: ValueError when a name or a shape differs."""
    weights.load_mlx(half.model, under(MODEL, arrays))
    half.optimizer.init(half.model.trainable_parameters())
    now = dict(tree_flatten(half.optimizer.state))
    given = under(OPTIMIZER, arrays)
    weights.check(given, now, "the MLX optimizer")
    half.optimizer.state = tree_unflatten(
        [(name, mx.array(given[name], dtype=value.dtype)) for name, value in now.items()]
    )
    MLX.evaluate(half.optimizer.state)


def torch_state(half: Half) -> tuple[Arrays, dict]:
    """Weights and the optimizer's tensors in torch; its settings, and a schedule's, are facts."""
    state = half.optimizer.state_dict()
    held = {
        f"{OPTIMIZER}{index}.{name}": TORCH.numpy(value)
        for index, own in state["state"].items()
        for name, value in own.items()
    }
    groups = [{k: v for k, v in group.items() if k != "params"} for group in state["param_groups"]]
    schedule = half.schedule.state_dict() if half.schedule is not None else {}
    plain = {k: v for k, v in schedule.items() if isinstance(v, int | float | str | list | None)}
    arrays = {MODEL + name: value for name, value in weights.torch_weights(half.model).items()}
    return arrays | held, {"groups": groups, "schedule": plain}


def torch_restore(half: Half, arrays: Mapping[str, np.ndarray], facts: dict) -> None:
    """Put a state into the torch half. Errors: ValueError when a name or a shape differs."""
    weights.load_torch(half.model, under(MODEL, arrays))
    state: dict[int, dict] = {}
    for key, value in under(OPTIMIZER, arrays).items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = torch.tensor(value)
    own = half.optimizer.state_dict()["param_groups"]
    groups = [saved | {"params": now["params"]} for saved, now in zip(facts["groups"], own, strict=True)]
    half.optimizer.load_state_dict({"state": state, "param_groups": groups})
    if half.schedule is not None:
        half.schedule.load_state_dict(facts["schedule"])


def under(prefix: str, arrays: Mapping[str, np.ndarray]) -> Arrays:
    """The arrays whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def state(half: Half) -> tuple[Arrays, dict]:
    """The half's state as arrays and facts."""
    return {"mlx": mlx_state, "torch": torch_state}[half.framework.key](half)


def restore(half: Half, arrays: Mapping[str, np.ndarray], facts: dict) -> None:
    """Put a state into a half of the same network and optimizer."""
    {"mlx": mlx_restore, "torch": torch_restore}[half.framework.key](half, arrays, facts)
