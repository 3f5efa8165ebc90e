"""The states of two optimizers after some steps, mapped by meaning: what they gather parts where rules do.

A second beta of 0.9999 in place of 0.999 moves the first weights alike and gathers a tenth; the losses of a
few steps do not show it.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from twins.models.weight_map import WeightMap
from twins.parity.differences import Check, relative
from twins.parity.optimizers import described
from twins.training.train import Half

from mlx.utils import tree_flatten  # isort: skip  (after twins: the BLAS)

LIMIT = 1e-3  # relative L2, the median over the weights; correct twins reach 1.2e-5
FLOOR_FACTOR = 10.0
# What a rule gathers -> MLX's name of it, and torch's. Adafactor's rows and columns lie in other shapes.
GATHERED: dict[str, dict[str, tuple[str, str]]] = {
    "SGD": {"velocity": ("v", "momentum_buffer")},
    "RMSprop": {"second moment": ("v", "square_avg")},
    "Adagrad": {"sum of squares": ("v", "sum")},
    "AdaDelta": {"second moment": ("v", "square_avg"), "squares of changes": ("u", "acc_delta")},
    "Adam": {"first moment": ("m", "exp_avg"), "second moment": ("v", "exp_avg_sq")},
    "Adamax": {"first moment": ("m", "exp_avg"), "largest gradient": ("v", "exp_inf")},
    "Muon": {"velocity": ("v", "momentum_buffer")},
}
Gathered = dict[str, dict[str, np.ndarray]]  # what -> MLX's name of a weight -> the array in MLX's layout


def of_mlx(half: Half) -> Gathered:
    """What MLX's half has gathered for the weights whose optimizers are known."""
    flat: Any = tree_flatten(half.model.trainable_parameters())
    found: Gathered = {}
    states: dict[int, dict] = {}
    for name, told in described.of_mlx(half).items():
        optimizer = described.chosen(half.optimizer, name, dict(flat)[name])
        if id(optimizer) not in states:
            states[id(optimizer)] = dict(tree_flatten(optimizer.state))
        for what, (key, _) in GATHERED.get(told.rule, {}).items() if told else ():
            value = states[id(optimizer)].get(f"{name}.{key}")
            if value is not None:
                found.setdefault(what, {})[name] = half.framework.numpy(value)
    return found


def of_torch(mlx: Half, torch_half: Half) -> Gathered:
    """What torch's half has gathered, under MLX's names and in its layout."""
    known = WeightMap(torch_half.model, mlx.model, mlx.names)
    told = described.of_torch(mlx, replace(torch_half, schedule=None))
    ways = {what: keys for rule in GATHERED.values() for what, (_, keys) in rule.items()}
    rules = {name: GATHERED.get(each.rule, {}) for name, each in told.items() if each}
    state = torch_half.optimizer.state
    found: Gathered = {}
    for what in ways:
        keys = {names[what][1] for names in rules.values() if what in names}
        arrays = {
            name: torch_half.framework.numpy(state[parameter][key])
            for key in keys
            for name, parameter in known.parameters.items()
            if parameter in state and state[parameter].get(key) is not None
        }
        held = {k: v for k, v in known.mlx(arrays, gradients=True).items() if what in rules.get(k, {})}
        found |= {what: held} if held else {}
    return found


def check_state(mlx: Half, torch_half: Half, floor: Half | None = None) -> Check:
    """The check of what both optimizers have gathered in the same steps: the median over the weights.

    `floor`: a torch half trained on the same with roundings of its own; its state may be further away.
    """
    ours, theirs = of_mlx(mlx), of_torch(mlx, torch_half)
    values = {what: _median(ours[what], theirs[what]) for what in ours if what in theirs}
    values = {what: value for what, value in values.items() if value is not None}
    if not values:
        return Check("state", 0.0, LIMIT, "the optimizers gather nothing that both have")
    limit, more = LIMIT, ""
    if floor is not None:
        own = of_torch(mlx, floor)
        largest = max((_median(own[what], theirs[what]) or 0.0 for what in values if what in own), default=0)
        limit, more = max(limit, FLOOR_FACTOR * largest), f", floor {largest:.2g}"
    where = max(values, key=lambda what: np.inf if np.isnan(values[what]) else values[what])
    return Check("state", values[where], limit, f"the {where}{more}")


def _median(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> float | None:
    """The median over weights of how far apart their arrays are; None when no weight is in both."""
    known = [name for name in ours if name in theirs and ours[name].shape == theirs[name].shape]
    apart = sorted(relative(ours[name], theirs[name]) for name in known)
    return apart[len(apart) // 2] if apart else None
