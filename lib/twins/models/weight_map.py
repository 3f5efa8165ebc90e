"""The weights of two halves linked by name, and their numbers carried from PyTorch's layout to MLX's."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from twins.models.name_map import Link, Names, completed, goals_of, layouts, linked

import mlx.nn as mnn  # isort: skip  (after frameworks: the BLAS)
import torch  # isort: skip
from mlx.utils import tree_flatten  # isort: skip

Values = Mapping[str, np.ndarray]
Value = np.ndarray | None  # a gradient may be missing
NOT_WEIGHTS = ("num_batches_tracked",)  # torch's BatchNorm counts batches; nothing computes with it


class WeightMap:
    """The links between all weights of two halves.

    `own` are names of MLX whose numbers MLX's half makes itself: frozen ones that PyTorch's has not.
    """

    def __init__(self, torch_model: torch.nn.Module, mlx: mnn.Module, names: Names | None = None):
        self.names = completed(names or {}, mlx, torch_model)
        flat: Any = tree_flatten(mlx.parameters())
        trained: Any = tree_flatten(mlx.trainable_parameters())
        self.shapes: dict[str, tuple[int, ...]] = {name: value.shape for name, value in flat}
        self.trained_mlx = {name for name, _ in trained}
        self.axes = layouts(mlx)
        self.parameters = dict(torch_model.named_parameters(remove_duplicate=False))
        self.links = list(self._linked(torch_model))
        reached = {name for link in self.links for name in link.mlx}
        self.own = self.shapes.keys() - self.trained_mlx - reached

    def _linked(self, torch_model: torch.nn.Module) -> Iterator[Link]:
        """One link for every weight of torch, shared ones and buffers that MLX has not left out."""
        seen: set[tuple[str, ...]] = set()
        shared: dict[int, list[Link]] = {}
        for name in torch_names(torch_model):
            link = linked(name, self.names)
            if link.torch not in seen:
                seen.add(link.torch)
                shared.setdefault(id(self.parameters.get(name, link)), []).append(link)
        for links in shared.values():
            there = [link for link in links if all(name in self.shapes for name in link.mlx)]
            if there or set(links[0].torch) & self.parameters.keys():
                for goals in dict.fromkeys(link.mlx for link in there or links[:1]):
                    yield replace(links[0], mlx=goals)  # by its first name, which its gradient has as well

    def mlx(self, values: Values, gradients: bool = False) -> dict[str, np.ndarray]:
        """Torch's values under MLX's names and in its layout; those without a value are left out.

        The gradient of a sum is that of any of its terms; a value that does not fit its link stays as it is.
        """
        found: dict[str, np.ndarray] = {}
        for link in self.links:
            given = [values.get(name) for name in link.torch]
            if any(value is not None for value in given):
                found |= self._through(link, given, gradients)
        return found

    def _through(self, link: Link, given: Sequence[Value], gradients: bool) -> dict[str, np.ndarray]:
        """What a link makes of the values given for it, some of which may be missing."""
        turned = [None if value is None else self._turned(link, value) for value in given]
        goals = [self.shapes.get(name, ()) for name in link.mlx]
        if len(link.mlx) > 1:
            made = _gru_biases(turned, gradients) if len(turned) == 2 else _split(_first(turned), goals)
            return dict(zip(link.mlx, made, strict=False))
        return {link.mlx[0]: _together(turned, goals[0], gradients) if len(turned) > 1 else _first(turned)}

    def _turned(self, link: Link, value: np.ndarray) -> np.ndarray:
        """A value of torch with its axes, its blocks or its shape as the link says, or the layer's layout."""
        if link.change is None:
            axes = next((self.axes[name] for name in link.mlx if name in self.axes), ())
            return value.transpose(axes) if value.ndim == len(axes) else value
        if isinstance(link.change, list):
            whole = len(value) % len(link.change) == 0
            blocks = np.split(value, len(link.change)) if whole else []
            return np.concatenate([blocks[i] for i in link.change]) if whole else value
        if isinstance(link.change, str):
            goal = self.shapes.get(link.mlx[0], value.shape)
            return value.reshape(goal) if int(np.prod(goal)) == value.size else value
        return value.transpose(link.change) if value.ndim == len(link.change) else value

    def trained_torch(self) -> set[str]:
        """The names of MLX whose weights PyTorch trains."""
        trains = {name for name, parameter in self.parameters.items() if parameter.requires_grad}
        found = {name for link in self.links if trains & set(link.torch) for name in link.mlx}
        gru = {
            link.mlx[1]
            for link in self.links
            if len(link.torch) == len(link.mlx) == 2 and link.torch[1] not in trains
        }
        return found - gru  # the second bias of a GRU is of the second of torch's alone

    def sums(self) -> dict[str, tuple[str, ...]]:
        """The names of MLX that are sums, with the terms that PyTorch trains, where these are several."""
        several = [link for link in self.links if len(link.torch) > 1]
        found = {}
        for link in several:
            terms = tuple(n for n in link.torch if n in self.parameters and self.parameters[n].requires_grad)
            shapes = {tuple(self.parameters[name].shape) for name in terms}
            if len(terms) > 1 and shapes == {self.shapes.get(link.mlx[0])}:
                found[link.mlx[0]] = terms
        return found


def joined_axis(parts: Sequence[tuple[int, ...]], whole: tuple[int, ...]) -> int | None:
    """The axis along which shapes add up to a whole one, the others being equal; None when there is none."""
    if any(len(part) != len(whole) for part in parts):
        return None
    for axis in range(len(whole)):
        rest = {(*part[:axis], *part[axis + 1 :]) for part in [*parts, whole]}
        if len(rest) == 1 and sum(part[axis] for part in parts) == whole[axis]:
            return axis
    return None


def _first(values: Sequence[Value]) -> np.ndarray:
    return next(value for value in values if value is not None)


def _split(value: np.ndarray, goals: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
    """A packed value in parts of these shapes; whole when they do not add up to it."""
    axis = joined_axis(goals, value.shape)
    if axis is None:
        return [value]
    return np.split(value, np.cumsum([goal[axis] for goal in goals])[:-1], axis)


def _together(values: Sequence[Value], goal: tuple[int, ...], gradients: bool) -> np.ndarray:
    """The sum of values of the shape wanted, or values joined to it; a sum's gradient is that of any term."""
    one = _first(values)
    whole = [np.zeros_like(one) if value is None else value for value in values]
    if one.shape == goal:
        return one if gradients else np.sum(whole, axis=0)
    axis = joined_axis([value.shape for value in whole], goal)
    return one if axis is None else np.concatenate(whole, axis)


def _gru_biases(pair: Sequence[Value], gradients: bool) -> list[np.ndarray]:
    """MLX's `b` and `bhn` from torch's two: sums for two of the gates, two biases for the new one."""
    one = _first(pair)
    ih, hh = (np.zeros_like(one) if value is None else value for value in pair)
    gates = len(one) // 3 * 2
    b = ih.copy()
    if not gradients or pair[0] is None:
        b[:gates] += hh[:gates]
    return [b, hh[gates:]]


def torch_names(model: torch.nn.Module) -> list[str]:
    """The names of every parameter and buffer of a torch module that is saved with it."""
    return [name for name in model.state_dict() if not name.endswith(NOT_WEIGHTS)]


def check_map(names: Names, mlx: mnn.Module, torch_model: torch.nn.Module) -> None:
    """Refuse a map that names an unknown weight or module, or maps two weights to one. Errors: ValueError."""
    given = [n for key in names for n in ((key,) if isinstance(key, str) else key)]
    wanted = [n for value in names.values() for n in goals_of(value)[0]]
    flat: Any = tree_flatten(mlx.parameters())
    sides = {"PyTorch": (given, torch_names(torch_model)), "MLX": (wanted, [name for name, _ in flat])}
    for side, (listed, known) in sides.items():
        for name in listed:
            if name and not any(k == name or k.startswith(f"{name}.") for k in known):
                raise ValueError(
                    f"the name map has {name!r}, which is no weight and no module of the {side} half; "
                    f"its weights are {', '.join(known)}"
                )
    links = WeightMap(torch_model, mlx, names).links
    reached = sorted((name, link.torch[0]) for link in links for name in link.mlx)
    for (one, first), (two, second) in pairwise(reached):
        if one == two:
            raise ValueError(
                f"the name map gives two weights of the PyTorch half, {first!r} and {second!r}, one name of "
                f"the MLX half, {one!r}; if MLX's is their sum or both joined, the entry is "
                f"({first!r}, {second!r}): {one!r}"
            )
