"""What differs in meaning between the optimizers of two halves, in sentences; read, not computed.

Settings are compared per parameter as twins.parity.optimizers describes them, so that two classes that do the
same are equal, and every parameter group counts. Of an optimizer that is not known nothing is claimed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from twins.parity.optimizers import described, rates
from twins.parity.optimizers.described import NEUTRAL, Described, Read
from twins.training.train import Half

from mlx.utils import tree_flatten  # isort: skip  (after twins: the BLAS)

ALMOST = 1e-6  # relative; some numbers went through float32
LISTED = 3  # parameters named before the rest is counted
BESIDE = {  # settings that mean something only beside another one
    **dict.fromkeys(("nesterov", "dampening", "dampened_first"), "momentum"),
    **dict.fromkeys(("decoupled", "decay_scaled"), "weight_decay"),
    "eps_inside": "bias_correction",
}
FIRST = ("rule", "bias_correction", "learning_rate", "betas", "eps", "weight_decay", "momentum")


@dataclass(frozen=True)
class Difference:
    """A setting, its two values, the parameters it differs for (under MLX's names), and the sentence.

    `whole`: it differs for every parameter that was compared.
    """

    setting: str
    ours: Any
    theirs: Any
    names: tuple[str, ...]
    whole: bool
    sentence: str


def differences(mlx: Half, torch_half: Half, theirs: Read | None = None) -> list[Difference]:
    """Everything in which the optimizers of fresh halves are known to differ in meaning.

    `theirs`: what torch's half does, when that is not to be read from its optimizer.
    """
    found = list(_of_halves(mlx, torch_half))
    ours, theirs = described.of_mlx(mlx), theirs or described.of_torch(mlx, torch_half)
    pairs = {k: (ours[k], theirs[k]) for k in ours if ours[k] is not None and theirs.get(k) is not None}
    compared: dict[tuple[int, int], list[tuple]] = {}
    grouped: dict[tuple, list[str]] = {}
    for name, pair in pairs.items():
        key = id(pair[0]), id(pair[1])
        if key not in compared:
            compared[key] = list(_compared(*pair))
        for each in compared[key]:
            grouped.setdefault(each, []).append(name)
    shapes = {name: value.shape for name, value in tree_flatten(mlx.model.trainable_parameters())}
    for each in sorted(grouped, key=lambda each: FIRST.index(each[0]) if each[0] in FIRST else len(FIRST)):
        names, whole = tuple(grouped[each]), len(grouped[each]) == len(pairs)
        subject = "" if whole else _subject(names, {name: shapes[name] for name in pairs})
        found.append(Difference(*each[:3], names, whole, _sentence(*each, subject, len(names) > 1)))
    return found


def _of_halves(mlx: Half, torch_half: Half) -> Iterator[Difference]:
    """What differs around the optimizers: clipping, and the parts of a batch."""
    if mlx.clip != torch_half.clip:
        ways = [f"clipped at {v}" if v is not None else "not clipped" for v in (mlx.clip, torch_half.clip)]
        told = f"gradients are {ways[0]} in MLX and {ways[1]} in PyTorch"
        yield Difference("clip", mlx.clip, torch_half.clip, (), True, told)
    if mlx.accumulate != torch_half.accumulate:
        ours, theirs = mlx.accumulate, torch_half.accumulate
        told = f"gradients are averaged over {ours} parts of a batch in MLX and over {theirs} in PyTorch"
        yield Difference("accumulate", ours, theirs, (), True, told)


def _compared(ours: Described, theirs: Described) -> Iterator[tuple[str, Any, Any, str, str]]:
    """Setting, both values, the sentence of two rates, and the rule."""
    if ours.rule != theirs.rule:
        yield "rule", ours.kind, theirs.kind, "", ours.rule
        return
    if told := rates.parting(ours.rate, theirs.rate):
        yield "learning_rate", str(ours.rate), str(theirs.rate), told, ours.rule
    for name in {**ours.settings, **theirs.settings}:
        known = name in ours.settings and name in theirs.settings
        if known or name not in BESIDE:
            mine, other = (each.settings.get(name, NEUTRAL.get(name)) for each in (ours, theirs))
            if not _equal(mine, other):
                yield name, mine, other, "", ours.rule


def _equal(ours: Any, theirs: Any) -> bool:
    numbers = all(isinstance(v, int | float | tuple) and not isinstance(v, bool) for v in (ours, theirs))
    if not numbers or np.shape(ours) != np.shape(theirs) or not np.size(ours) or isinstance(ours, str):
        return ours == theirs
    if not all(isinstance(v, int | float) for v in (*np.ravel(ours).tolist(), *np.ravel(theirs).tolist())):
        return ours == theirs
    return bool(np.allclose(ours, theirs, rtol=ALMOST, atol=0))


# --- sentences -------------------------------------------------------------------------------------


def _subject(names: tuple[str, ...], shapes: dict[str, tuple[int, ...]]) -> str:
    """What a part of the parameters is called: by their kind when they are all of it, or by their names."""
    kinds = {
        "biases": {name for name in shapes if name.rpartition(".")[2] == "bias"},
        "weights of one dimension": {name for name, shape in shapes.items() if len(shape) < 2},
    }
    kinds |= {"weights other than biases": set(shapes) - kinds["biases"]}
    kinds |= {"weights of more than one dimension": set(shapes) - kinds["weights of one dimension"]}
    known = next((kind for kind, members in kinds.items() if set(names) == members), "")
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return known or ", ".join(f"`{name}`" for name in names[:LISTED]) + more


def _sentence(
    setting: str, ours: Any, theirs: Any, told: str, rule: str, subject: str = "", several: bool = True
) -> str:
    if setting == "weight_decay" and subject:
        decay = "decay" if several else "decays"
        if not ours:
            return f"{subject} {decay} by {theirs:.6g} in PyTorch and not in MLX"
        more = f"by {theirs:.6g}" if theirs else "not"
        return f"{subject} {decay} by {ours:.6g} in MLX and {more} in PyTorch"
    words = told or _special(setting, ours, theirs, rule)
    words = words or f"{setting} is {_value(ours)} in MLX and {_value(theirs)} in PyTorch"
    return f"for {subject}, {words}" if subject else words


def _special(setting: str, ours: Any, theirs: Any, rule: str) -> str:
    """The sentence of a setting whose two values alone do not say what it does; empty for others."""
    if setting == "bias_correction":
        if rule == "Adamax":
            return "MLX's Adamax has no bias correction, PyTorch's has"
        return "bias correction is off in MLX (its default) and on in PyTorch"
    if setting in ("amsgrad", "maximize", "centered", "lr_decay", "initial_accumulator_value"):
        return f"{setting} is {_value(theirs)} in PyTorch and not available in MLX"
    if setting == "cycled":
        return f"PyTorch's schedule changes {' and '.join(theirs)} too, MLX's only the learning rate"
    ways = {
        "rule": f"MLX's half has {ours} and PyTorch's {theirs}",
        "decoupled": f"weight decay is {_decay(ours)} in MLX and {_decay(theirs)} in PyTorch",
        "dampened_first": "the first step is dampened in MLX and not in PyTorch",
        "decay_scaled": "weight decay is scaled like the step in MLX and by the learning rate in PyTorch",
        "eps_inside": "eps is added after the maximum in MLX and before it in PyTorch",
        "factored": "squares are factored over width and channels in MLX, height and width in PyTorch",
        "orthogonalized": f"Newton-Schulz runs in {ours} in MLX and in {theirs} in PyTorch",
    }
    return ways.get(setting, "")


def _decay(decoupled: bool) -> str:
    return "decoupled from the gradient" if decoupled else "added to the gradient (L2)"


def _value(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:.6g}" if isinstance(value, int | float) else str(value)
