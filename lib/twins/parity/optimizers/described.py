"""What an optimizer of either framework does to one parameter: a rule and the settings that count in it.

The same description serves both frameworks, so that pairs equal in meaning are equal in it whatever their
classes are called. Sources: mlx/optimizers/optimizers.py of MLX 0.32 and torch/optim/*.py of torch 2.13, each
measured against updates.py (tests/twins/parity/test_optimizer_settings.py). What differs by construction:

- SGD: MLX's first velocity is dampened, torch's is the gradient itself.
- Adam: MLX's has no AMSGrad, corrects its bias only when told to, and has no decay but AdamW's.
- Adamax: MLX's has no bias correction, and adds epsilon after the running maximum, torch's before it.
- Adafactor: torch's rate is never above 1 / sqrt(step); its decay is multiplied by the rate, MLX's by the
  scaled rate; both factor over the last two axes, which are others where the layout of a weight is another.
- Muon: torch's orthogonalizes in bfloat16 and decays apart from the gradient, MLX's adds the decay to it.
- RMSprop, Adagrad, AdaDelta: the same formulas; torch's have more settings.
- RAdam, NAdam, ASGD (with its default decay), Rprop and LBFGS are rules that MLX lacks; torch lacks Lion.

A class of someone's own is described only where it is one of these with nothing of the update overridden.
"""

import functools
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from twins.models.name_map import layouts
from twins.models.weight_map import WeightMap
from twins.parity.optimizers import rates
from twins.parity.optimizers.rates import Rate
from twins.training.train import Half

import mlx.core as mx  # isort: skip  (after frameworks: the BLAS)
import mlx.optimizers as mo  # isort: skip
import torch  # isort: skip
from mlx.utils import tree_flatten  # isort: skip

# What a setting is where an optimizer has none, so that it does nothing.
NEUTRAL = {
    **dict.fromkeys(("weight_decay", "momentum", "lr_decay", "initial_accumulator_value"), 0.0),
    **dict.fromkeys(("amsgrad", "maximize", "centered"), False),
    "beta_1": None,
    "cycled": (),
}
QUINTIC = (3.4445, -4.7750, 2.0315)  # Muon's coefficients in both, and MLX's only ones


@dataclass(frozen=True)
class Described:
    """A rule, its learning rate, the settings that count in it, and the class that it was read from."""

    rule: str
    rate: Rate
    settings: Mapping[str, Any]
    kind: str


Read = dict[str, Described | None]  # by parameter under MLX's name; None: an optimizer that is not known


# --- MLX -------------------------------------------------------------------------------------------


def of_mlx(half: Half) -> Read:
    """What MLX's half does to each trainable parameter."""
    flat: Any = tree_flatten(half.model.trainable_parameters())
    turned = layouts(half.model)
    read = functools.cache(_read_mlx)
    return {
        name: read(chosen(half.optimizer, name, value), value.ndim > 3 and name in turned)
        for name, value in flat
    }


def chosen(optimizer: Any, name: str, value: mx.array) -> Any:
    """The optimizer that moves a parameter; a wrapper that is not MLX's own stays, and is not known."""
    while _known(optimizer, (mo.MultiOptimizer,), "update", "apply_gradients"):
        taken = zip(optimizer.optimizers, optimizer.filters, strict=True)
        optimizer = next(each for each, takes in taken if takes(name, value))
    return optimizer


def _read_mlx(optimizer: Any, turned: bool) -> Described | None:
    kind = _known(optimizer, tuple(MLX_RULES), "update", "apply_gradients", "apply_single")
    if kind is None:
        return None
    rule, names = MLX_RULES[kind]
    settings = {name: getattr(optimizer, name) for name in names}
    rate = rates.of_mlx(optimizer, optimizer.state.get("learning_rate"))
    if kind is mo.Adafactor:
        settings = _mlx_adafactor(optimizer, turned)
        if optimizer.relative_step:
            least = 1e-6 if optimizer.warmup_init else None
            rate = Rate(lambda t: min(least * (t + 1) if least else 1e-2, (t + 1) ** -0.5), False)
    if kind is mo.Adamax:
        settings |= {"bias_correction": False, "eps_inside": False}
    if kind is mo.Muon:
        settings |= {"ns_coefficients": QUINTIC, "orthogonalized": "the weight's type"}
        settings |= {"adjust_lr_fn": "original"}
    settings |= {"dampened_first": True, "decoupled": kind not in (mo.SGD, mo.Muon)}
    return _settled(rule, rate, settings, kind.__name__)


def _mlx_adafactor(optimizer: Any, turned: bool) -> dict[str, Any]:
    return {
        "eps": optimizer.eps[1],
        "floor": None if optimizer.eps[0] == 1e-30 else optimizer.eps[0],
        "clip_threshold": optimizer.clip_threshold,
        "decay_rate": optimizer.decay_rate,
        "beta_1": optimizer.beta_1,
        "weight_decay": optimizer.weight_decay,
        "scale_parameter": optimizer.scale_parameter,
        "decay_scaled": True,
        "factored": "MLX's" if turned else "one",
    }


MLX_RULES: dict[type, tuple[str, tuple[str, ...]]] = {  # class -> rule, and attributes that are its settings
    mo.SGD: ("SGD", ("momentum", "weight_decay", "dampening", "nesterov")),
    mo.RMSprop: ("RMSprop", ("alpha", "eps")),
    mo.Adagrad: ("Adagrad", ("eps",)),
    mo.AdaDelta: ("AdaDelta", ("rho", "eps")),
    mo.Adam: ("Adam", ("betas", "eps", "bias_correction")),
    mo.AdamW: ("Adam", ("betas", "eps", "weight_decay", "bias_correction")),
    mo.Adamax: ("Adamax", ("betas", "eps")),
    mo.Lion: ("Lion", ("betas", "weight_decay")),
    mo.Adafactor: ("Adafactor", ()),
    mo.Muon: ("Muon", ("momentum", "weight_decay", "nesterov", "ns_steps")),
}


# --- PyTorch ---------------------------------------------------------------------------------------


def torch_parameters(mlx: Half, torch_half: Half) -> dict[str, list[torch.nn.Parameter]]:
    """The trained parameters of torch's half that each weight of MLX's is made of, by MLX's name."""
    known = WeightMap(torch_half.model, mlx.model, mlx.names)
    found: dict[str, list[torch.nn.Parameter]] = {}
    for link in known.links:
        held = [known.parameters[name] for name in link.torch if name in known.parameters]
        for name in link.mlx if any(parameter.requires_grad for parameter in held) else ():
            found[name] = [parameter for parameter in held if parameter.requires_grad]
    return found


def of_torch(mlx: Half, torch_half: Half) -> Read:
    """What torch's half does to each parameter that its optimizer holds and that trains."""
    optimizer, turned = torch_half.optimizer, layouts(mlx.model)
    kind, groups = _known(optimizer, tuple(TORCH_RULES), "step"), optimizer.param_groups
    scheduled = rates.of_torch(optimizer, torch_half.schedule) if kind else []
    at = {id(parameter): index for index, group in enumerate(groups) for parameter in group["params"]}
    made_of = torch_parameters(mlx, torch_half)
    held = {name: each[0] for name, each in made_of.items() if all(id(p) in at for p in each)}

    @functools.cache
    def read(index: int, other_layout: bool) -> Described | None:
        return _read_torch(kind, groups[index], *scheduled[index], other_layout) if kind else None

    return {name: read(at[id(p)], p.ndim > 3 and name in turned) for name, p in held.items()}


def supposed(mlx: Half, torch_half: Half) -> Read:
    """What torch's half does if an optimizer of someone's own follows MLX's rule with its own settings.

    To be compared with what it does before anything is said of it.
    """
    ours, optimizer = of_mlx(mlx), torch_half.optimizer
    scheduled = rates.of_torch(optimizer, torch_half.schedule)
    at = {id(p): index for index, group in enumerate(optimizer.param_groups) for p in group["params"]}
    found: Read = {}
    for name, parameters in torch_parameters(mlx, torch_half).items():
        told, index = ours.get(name), at.get(id(parameters[0]))
        if told is not None and index is not None:
            group = optimizer.param_groups[index]
            own = {key: group[key] for key in {**NEUTRAL, **told.settings} if key in group}
            settings = {"decoupled": told.rule not in ("SGD", "Muon"), **told.settings, **own}
            found[name] = _settled(told.rule, scheduled[index][0], settings, type(optimizer).__name__)
    return found


def _read_torch(kind: type, group: dict, rate: Rate, cycled: tuple[str, ...], turned: bool) -> Described:
    rule, names = TORCH_RULES[kind]
    settings = {name: group[name] for name in names} | {"cycled": cycled}
    if kind is torch.optim.ASGD and group["lambd"] == 0:
        rule = "SGD"
    if kind is torch.optim.Adafactor:
        held, settings = rate, settings | _torch_adafactor(group, turned)
        rate = Rate(lambda t: min(held.at(t) or 0.0, (t + 1) ** -0.5), False)
    if kind is torch.optim.Adamax:
        settings |= {"bias_correction": True, "eps_inside": True}
    if kind is torch.optim.Muon:
        settings |= {"orthogonalized": "bfloat16", "adjust_lr_fn": group["adjust_lr_fn"] or "original"}
    if rule == "Adam":
        settings |= {"bias_correction": True}
    decoupled = group.get("decoupled_weight_decay", kind in (torch.optim.Adafactor, torch.optim.Muon))
    settings |= {"dampened_first": False, "decoupled": decoupled, "maximize": group.get("maximize", False)}
    return _settled(rule, rate, settings, kind.__name__)


def _torch_adafactor(group: dict, turned: bool) -> dict[str, Any]:
    floor, least = group["eps"]
    return {
        "eps": least,
        "floor": None if floor is None else floor**2,
        "clip_threshold": group["d"],
        "decay_rate": group["beta2_decay"],
        "scale_parameter": True,
        "decay_scaled": False,
        "factored": "PyTorch's" if turned else "one",
    }


TORCH_RULES: dict[type, tuple[str, tuple[str, ...]]] = {
    torch.optim.SGD: ("SGD", ("momentum", "weight_decay", "dampening", "nesterov")),
    torch.optim.RMSprop: ("RMSprop", ("alpha", "eps", "weight_decay", "momentum", "centered")),
    torch.optim.Adagrad: ("Adagrad", ("eps", "weight_decay", "lr_decay", "initial_accumulator_value")),
    torch.optim.Adadelta: ("AdaDelta", ("rho", "eps", "weight_decay")),
    torch.optim.Adam: ("Adam", ("betas", "eps", "weight_decay", "amsgrad")),
    torch.optim.AdamW: ("Adam", ("betas", "eps", "weight_decay", "amsgrad")),
    torch.optim.Adamax: ("Adamax", ("betas", "eps", "weight_decay")),
    torch.optim.Adafactor: ("Adafactor", ("weight_decay",)),
    torch.optim.Muon: ("Muon", ("momentum", "weight_decay", "nesterov", "ns_steps", "ns_coefficients")),
    torch.optim.ASGD: ("ASGD", ("weight_decay",)),
    torch.optim.RAdam: ("RAdam", ()),
    torch.optim.NAdam: ("NAdam", ()),
    torch.optim.Rprop: ("Rprop", ()),
    torch.optim.LBFGS: ("LBFGS", ()),
}


# --- both ------------------------------------------------------------------------------------------


def _settled(rule: str, rate: Rate, settings: dict[str, Any], kind: str) -> Described:
    """The description without settings that do nothing beside the others."""
    found = {name: _number(value) for name, value in settings.items()}
    if not found.get("weight_decay"):
        for name in ("decoupled", "decay_scaled"):
            found.pop(name, None)
    if rule != "SGD" or not found.get("momentum") or not found.get("dampening"):
        found.pop("dampened_first", None)
    if rule == "SGD" and not found.get("momentum"):
        for name in ("dampening", "nesterov"):
            found.pop(name, None)
    first = found.get("betas", (1.0,))[0]
    if rule == "Adam" and first == 0 and not found.get("amsgrad") and not found["bias_correction"]:
        rule, found = "RMSprop", {k: v for k, v in found.items() if k not in ("betas", "bias_correction")}
        found |= {"alpha": settings["betas"][1]}
    return Described(rule, rate, found, kind)


def _number(value: Any) -> Any:
    """A setting as Python's own; some may be given as arrays."""
    if isinstance(value, torch.Tensor | mx.array | np.generic):
        return value.item()
    return tuple(_number(v) for v in value) if isinstance(value, list | tuple) else value


def _known(optimizer: Any, known: tuple[type, ...], *methods: str) -> type | None:
    """The known class that an optimizer is, if nothing of its update is overridden or hooked."""
    kind = next((each for each in type(optimizer).__mro__ if each in known), None)
    if kind is None or any(_set_on(optimizer, name) for name in methods):
        return None
    if any(vars(optimizer).get(f"_optimizer_step_{when}_hooks") for when in ("pre", "post")):
        return None
    above = type(optimizer).__mro__[: type(optimizer).__mro__.index(kind)]
    own = [(name, value) for base in above for name, value in vars(base).items() if not name.startswith("__")]
    known_as = {name: inspect.getattr_static(kind, name, None) for name, _ in own}
    return kind if all(known_as[k] is None or _origin(v) is _origin(known_as[k]) for k, v in own) else None


def _set_on(optimizer: Any, name: str) -> bool:
    """Whether a method is replaced on the object, other than by torch's schedules, which count its calls."""
    found = vars(optimizer).get(name)
    return found is not None and not getattr(found, "_wrapped_by_lr_sched", False)


def _origin(found: Any) -> Any:
    """The function behind torch's wrappers, which the first object of a class puts round its `step`."""
    return inspect.unwrap(found) if callable(found) else found
