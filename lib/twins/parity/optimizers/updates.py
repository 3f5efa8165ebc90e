"""An optimizer on torch's half that follows descriptions, so that one setting can be made MLX's and tried.

Each rule is written once for both frameworks, with the switches by which theirs differ (described.py), and is
measured against the optimizers of both in tests/twins/parity/test_optimizer_settings.py.
"""

from collections.abc import Callable, Sequence
from typing import Any

from twins.parity.optimizers.described import NEUTRAL, Described

import torch  # isort: skip  (after twins: the BLAS)

Settings = dict[str, Any]
State = dict[str, torch.Tensor]


class Following:
    """Stands where an optimizer of torch stands in a half; every parameter is moved as it is described."""

    def __init__(self, held: Sequence[tuple[torch.nn.Parameter, Described]]):
        self.held = list(held)
        self.states: list[State] = [{} for _ in held]
        self.made = 0

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for parameter, _ in self.held:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter that has a gradient."""
        for (parameter, told), state in zip(self.held, self.states, strict=True):
            if parameter.grad is not None:
                _move(parameter, told, state, self.made)
        self.made += 1


def known(rule: str) -> bool:
    """Whether a rule is written here."""
    return rule in RULES


def _move(parameter: torch.Tensor, told: Described, state: State, step: int) -> None:
    settings = NEUTRAL | dict(told.settings)
    rate, decay = told.rate.at(step) or 0.0, settings["weight_decay"]
    gradient = -parameter.grad if settings["maximize"] else parameter.grad
    if decay and not settings["decoupled"]:
        gradient = gradient + decay * parameter
    moved = RULES[told.rule](gradient, parameter, settings, state, step)
    scaled = rate
    if told.rule == "Adafactor" and settings["scale_parameter"]:
        scaled = rate * max(settings["eps"], float(_rms(parameter)))
    change = scaled * moved
    if told.rule == "Adafactor" and settings["beta_1"] is not None:
        change = _average(state, "m", change, settings["beta_1"])
    if decay and settings["decoupled"]:
        parameter.mul_(1 - decay * (scaled if settings.get("decay_scaled") else rate))
    parameter.sub_(change)


def _held(state: State, name: str, like: torch.Tensor, start: float = 0.0) -> torch.Tensor:
    return state.setdefault(name, torch.full_like(like, start))


def _average(state: State, name: str, value: torch.Tensor, keep: float) -> torch.Tensor:
    """A running average, changed in place."""
    return _held(state, name, value).mul_(keep).add_(value, alpha=1 - keep)


def _sgd(g: torch.Tensor, p: torch.Tensor, s: Settings, state: State, step: int) -> torch.Tensor:
    if not s["momentum"]:
        return g
    dampening = s["dampening"] if step or s.get("dampened_first") else 0.0
    v = _held(state, "v", g).mul_(s["momentum"]).add_(g, alpha=1 - dampening)
    return g + s["momentum"] * v if s["nesterov"] else v.clone()


def _rmsprop(g: torch.Tensor, p: torch.Tensor, s: Settings, state: State, step: int) -> torch.Tensor:
    square = _average(state, "v", g * g, s["alpha"])
    if s["centered"]:
        square = square - _average(state, "mean", g, s["alpha"]) ** 2
    moved = g / (square.sqrt() + s["eps"])
    return _held(state, "momentum", g).mul_(s["momentum"]).add_(moved).clone() if s["momentum"] else moved


def _adagrad(g: torch.Tensor, p: torch.Tensor, s: Settings, state: State, step: int) -> torch.Tensor:
    v = _held(state, "v", g, s["initial_accumulator_value"]).add_(g * g)
    return g / (v.sqrt() + s["eps"]) / (1 + step * s["lr_decay"])


def _adadelta(g: torch.Tensor, p: torch.Tensor, s: Settings, state: State, step: int) -> torch.Tensor:
    v = _average(state, "v", g * g, s["rho"])
    moved = (_held(state, "u", g) + s["eps"]).sqrt() / (v + s["eps"]).sqrt() * g
    _average(state, "u", moved * moved, s["rho"])
    return moved


def _adam(g: torch.Tensor, p: torch.Tensor, s: Settings, state: State, step: int) -> torch.Tensor:
    first, second = s["betas"]
    m, v = _average(state, "m", g, first), _average(state, "v", g * g, second)
    if s["amsgrad"]:
        v = torch.maximum(_held(state, "largest", v), v, out=state["largest"])
    if not s["bias_correction"]:
        return m / (v.sqrt() + s["eps"])
    root = (v / (1 - second ** (step + 1))).sqrt()
    return m / (1 - first ** (step + 1)) / (root + s["eps"])


def _adamax(g: torch.Tensor, p: torch.Tensor, s: Settings, state: State, step: int) -> torch.Tensor:
    first, second = s["betas"]
    m, inside = _average(state, "m", g, first), s["eps"] if s["eps_inside"] else 0.0
    v = torch.maximum(_held(state, "v", g).mul_(second), g.abs() + inside, out=state["v"])
    share = 1 - first ** (step + 1) if s["bias_correction"] else 1.0
    return m / share / (v + s["eps"] - inside)


def _lion(g: torch.Tensor, p: torch.Tensor, s: Settings, state: State, step: int) -> torch.Tensor:
    first, second = s["betas"]
    moved = torch.sign(first * _held(state, "m", g) + (1 - first) * g)
    _average(state, "m", g, second)
    return moved


def _adafactor(g: torch.Tensor, p: torch.Tensor, s: Settings, state: State, step: int) -> torch.Tensor:
    keep = 1 - (step + 1) ** s["decay_rate"]
    square = g * g + (s["floor"] or 1e-30)
    if g.ndim > 1:
        rows = _average(state, "rows", square.mean(-1, keepdim=True), keep)
        columns = _average(state, "columns", square.mean(-2, keepdim=True), keep)
        square = rows * columns / rows.mean(-2, keepdim=True)
    else:
        square = _average(state, "v", square, keep)
    moved = g * square.rsqrt()
    return moved / max(1.0, float(_rms(moved)) / s["clip_threshold"])


def _rms(x: torch.Tensor) -> torch.Tensor:
    return (x * x).mean().sqrt()


def _muon(g: torch.Tensor, p: torch.Tensor, s: Settings, state: State, step: int) -> torch.Tensor:
    v = _average(state, "v", g, s["momentum"])
    moved = g.lerp(v, s["momentum"]) if s["nesterov"] else v.clone()
    if moved.ndim < 2:
        return moved
    flat = moved.reshape(len(moved), -1)
    x = flat.bfloat16() if s["orthogonalized"] == "bfloat16" else flat
    x = x.T if x.shape[0] > x.shape[1] else x
    x = x / (x.norm() + 1e-7)
    a, b, c = s["ns_coefficients"]
    for _ in range(s["ns_steps"]):
        product = x @ x.T
        x = torch.addmm(x, torch.addmm(product, product, product, beta=b, alpha=c), x, beta=a)
    x = (x.T if flat.shape[0] > flat.shape[1] else x).reshape(g.shape).to(g.dtype)
    tall, wide = g.shape[-2:]
    original = s["adjust_lr_fn"] == "original"
    return x * (max(1.0, tall / wide) ** 0.5 if original else 0.2 * max(tall, wide) ** 0.5)


RULES: dict[str, Callable[[torch.Tensor, torch.Tensor, Settings, State, int], torch.Tensor]] = {
    "SGD": _sgd,
    "RMSprop": _rmsprop,
    "Adagrad": _adagrad,
    "AdaDelta": _adadelta,
    "Adam": _adam,
    "Adamax": _adamax,
    "Lion": _lion,
    "Adafactor": _adafactor,
    "Muon": _muon,
}
