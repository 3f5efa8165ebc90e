"""Which weight of PyTorch's half is which of MLX's: a reader's map, and layers whose names are known.

An entry of a map holds for a weight, or for every weight of a module, from PyTorch's name to MLX's:

    "a": "b"                    the same weight under another name
    "a": ("b", (1, 0))          MLX's is PyTorch's with its axes in this order; weights of another rank stay
    "a": ("b", "reshape")       MLX's holds the same numbers in another shape
    "a": ("b", [1, 0])          MLX's is PyTorch's cut into equal blocks along the first axis, in this order
    "a": ["b", "c"]             MLX splits what PyTorch packs, along the axis where sizes add up
    ("a", "b"): "c"             the sum of PyTorch's where shapes are equal, otherwise joined along an axis

A weight that PyTorch's half holds twice (a tied head) is one. Convolutions, recurrent layers, multi-head
attention and transformer layers of the two libraries need no entry: their names and layouts are in this file,
as https://docs.pytorch.org/docs/2.13/nn.html and https://ml-explore.github.io/mlx/build/html/python/nn.html
have them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twins import frameworks as frameworks

import mlx.nn as mnn  # isort: skip  (after frameworks: the BLAS)
import torch  # isort: skip
from torch import nn as tnn  # isort: skip

Names = Mapping[str | tuple[str, ...], Any]
Change = tuple[int, ...] | list[int] | str | None  # axes, an order of blocks, RESHAPE

RESHAPE = "reshape"
FORMS = (
    '"a": "b"; "a": ("b", (1, 0)) with axes; "a": ("b", "reshape"); "a": ("b", [1, 0]) with an order of '
    'blocks; "a": ["b", "c"] to split; ("a", "b"): "c" to sum or join'
)
# MLX module type -> the axes that turn torch's weight into MLX's
LAYOUTS = {
    mnn.Conv1d: (0, 2, 1),
    mnn.Conv2d: (0, 2, 3, 1),
    mnn.Conv3d: (0, 2, 3, 4, 1),
    mnn.ConvTranspose1d: (1, 2, 0),
    mnn.ConvTranspose2d: (1, 2, 3, 0),
    mnn.ConvTranspose3d: (1, 2, 3, 4, 0),
}
_BIASES = ("bias_ih_l0", "bias_hh_l0")
# Types of a torch and an MLX module -> the entries of a map from the one to the other
LAYERS: dict[tuple[type, type], Names] = {
    (tnn.RNN, mnn.RNN): {"weight_ih_l0": "Wxh", "weight_hh_l0": "Whh", _BIASES: "bias"},
    (tnn.LSTM, mnn.LSTM): {"weight_ih_l0": "Wx", "weight_hh_l0": "Wh", _BIASES: "bias"},
    (tnn.GRU, mnn.GRU): {"weight_ih_l0": "Wx", "weight_hh_l0": "Wh", _BIASES: ["b", "bhn"]},
    (tnn.MultiheadAttention, mnn.MultiHeadAttention): {
        "in_proj_weight": ["query_proj.weight", "key_proj.weight", "value_proj.weight"],
        "in_proj_bias": ["query_proj.bias", "key_proj.bias", "value_proj.bias"],
        "q_proj_weight": "query_proj.weight",
        "k_proj_weight": "key_proj.weight",
        "v_proj_weight": "value_proj.weight",
    },
    (tnn.TransformerEncoderLayer, mnn.TransformerEncoderLayer): {
        "self_attn": "attention",
        "norm1": "ln1",
        "norm2": "ln2",
    },
}


@dataclass(frozen=True)
class Link:
    """Weights of PyTorch that together make weights of MLX, and what changes between them."""

    torch: tuple[str, ...]
    mlx: tuple[str, ...]
    change: Change = None


def check_form(names: object, where: str) -> Names:
    """The map, when it is one. Errors: TypeError, one sentence that begins with `where`."""
    if not isinstance(names, dict):
        raise TypeError(
            f"{where} is {names!r}; it must be a dict from PyTorch's names of weights or modules to MLX's"
        )
    for key, value in names.items():
        if not (_is_name(key) or _all_names(key, tuple)) or not _is_goal(value):
            raise TypeError(f"{where} has {key!r}: {value!r}; an entry is one of {FORMS}")
        if not isinstance(key, str) and goals_of(value)[1] is not None:
            raise TypeError(f"{where} has {key!r}: {value!r}; several weights are taken as they are")
    return names


def _is_name(value: object) -> bool:
    return isinstance(value, str)


def _all_names(value: object, kind: type) -> bool:
    return isinstance(value, kind) and len(value) > 1 and all(map(_is_name, value))


def _is_goal(value: object) -> bool:
    if isinstance(value, tuple) and len(value) == 2 and _is_name(value[0]):
        change = value[1]
        order = isinstance(change, tuple | list) and sorted(change) == list(range(len(change)))
        return change == RESHAPE or (order and len(change) > 1)
    return _is_name(value) or _all_names(value, list)


def goals_of(value: Any) -> tuple[tuple[str, ...], Change]:
    """The names of MLX that an entry leads to, and the change it asks for."""
    if isinstance(value, tuple):
        return (value[0],), value[1]
    return ((value,) if isinstance(value, str) else tuple(value)), None


def linked(name: str, names: Names) -> Link:
    """The link of a weight or module of PyTorch: by its own entry, or by that of the innermost module."""
    parts = name.split(".") if names else []
    for cut in range(len(parts), -1, -1):
        module, rest = ".".join(parts[:cut]), parts[cut:]
        for key, value in names.items():
            keys = (key,) if isinstance(key, str) else key
            if module in keys:
                goals, change = goals_of(value)
                return Link(
                    *(tuple(".".join(filter(None, [n, *rest])) for n in s) for s in (keys, goals)), change
                )
    return Link((name,), (name,))


def _under(modules: tuple[str, ...], rest: list[str]) -> tuple[str, ...]:
    return tuple(".".join(filter(None, [module, *rest])) for module in modules)


def renamed(name: str, names: Names) -> str:
    """A name of PyTorch through the map; the first where MLX has several."""
    return linked(name, names).mlx[0]


def module_names(names: Names) -> dict[str, str]:
    """The map of modules: entries for modules, and what those for weights say of modules around them."""
    found = {}
    for key, value in names.items():
        listed, (goals, _) = ((key,) if isinstance(key, str) else key), goals_of(value)
        for name, goal in zip(listed, goals * len(listed) if len(goals) == 1 else goals, strict=False):
            (module, _, leaf), (other, _, other_leaf) = name.rpartition("."), goal.rpartition(".")
            found[name] = goal
            if leaf == other_leaf and module:
                found.setdefault(module, other)
    return found


def layouts(model: mnn.Module) -> dict[str, tuple[int, ...]]:
    """Parameter name -> axes from torch's layout to MLX's, for the parameters whose layout differs."""
    kinds = {
        name: next((kind for kind in type(module).__mro__ if kind in LAYOUTS), None)
        for name, module in model.named_modules()
    }
    return {f"{name}.weight" if name else "weight": LAYOUTS[kind] for name, kind in kinds.items() if kind}


def completed(names: Names, mlx: mnn.Module, torch_model: torch.nn.Module) -> Names:
    """The map with entries for the layers of LAYERS, outer modules first.

    An entry of the reader's comes before ours, unless it says of one weight what ours says of several.
    """
    known_layers = {kind for kind, _ in LAYERS}
    if known_layers.isdisjoint(map(type, torch_model.modules())):
        return names
    found, known = dict(names), dict(mlx.named_modules())
    for path, module in torch_model.named_modules():
        other = renamed(path, found)
        if getattr(module, "num_layers", 1) > 1 or getattr(module, "bidirectional", False):
            continue
        for key, value in LAYERS.get((type(module), type(known.get(other))), {}).items():
            keys, goals = _at(path, key), _at(other, goals_of(value)[0])
            said = {k: v for k, v in found.items() if set(keys) & set(_at("", k))}
            if all(goals_of(goal)[0][0] in goals and isinstance(k, str) for k, goal in said.items()):
                found = {k: v for k, v in found.items() if k not in said}
                found[keys if len(keys) > 1 else keys[0]] = list(goals) if len(goals) > 1 else goals[0]
    return found


def _at(path: str, names: str | tuple[str, ...]) -> tuple[str, ...]:
    """Names of weights, or one, in a module."""
    listed = (names,) if isinstance(names, str) else names
    return tuple(f"{path}.{name}" if path else name for name in listed)
