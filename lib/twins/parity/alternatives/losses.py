"""Losses: what is smoothed, ignored or weighed, how it is reduced, and which loss it is."""

from collections.abc import Callable, Iterator, Sequence

from twins.parity.interception.operations import Operation
from twins.parity.interception.option import (
    COARSE,
    MILD,
    USUAL,
    Around,
    Option,
    compare,
    is_array,
    kind,
    shape,
    value,
)

import mlx.core as mx  # isort: skip  (after parity: the BLAS)
import mlx.nn as mnn  # isort: skip
import torch  # isort: skip
from torch.nn import functional as F  # isort: skip

REGRESSIONS: dict[str, tuple[Callable, Callable]] = {  # in words -> PyTorch's and MLX's, not reduced
    "the squared error": (
        lambda x, y: (x - y) ** 2,
        lambda x, y: mx.square(x - y),
    ),
    "half the squared error": (lambda x, y: 0.5 * (x - y) ** 2, lambda x, y: 0.5 * mx.square(x - y)),
    "the absolute error": (lambda x, y: (x - y).abs(), lambda x, y: mx.abs(x - y)),
    "the smooth L1 loss of beta 1": (
        lambda x, y: F.smooth_l1_loss(x, y, reduction="none"),
        lambda x, y: mnn.losses.smooth_l1_loss(x, y, reduction="none"),
    ),
    "the smooth L1 loss of beta 0.5": (
        lambda x, y: F.smooth_l1_loss(x, y, reduction="none", beta=0.5),
        lambda x, y: mnn.losses.smooth_l1_loss(x, y, beta=0.5, reduction="none"),
    ),
    "the Huber loss of delta 0.5": (
        lambda x, y: F.huber_loss(x, y, reduction="none", delta=0.5),
        lambda x, y: mnn.losses.huber_loss(x, y, delta=0.5, reduction="none"),
    ),
    "log cosh": (
        lambda x, y: torch.logaddexp(x - y, y - x) - torch.log(torch.tensor(2.0)),
        lambda x, y: mx.logaddexp(x - y, y - x) - mx.log(mx.array(2.0)),
    ),
}
BINARY: dict[str, Callable] = {
    "the binary cross-entropy of logits": lambda x, y: F.binary_cross_entropy_with_logits(
        x, y, reduction="none"
    ),
    "the binary cross-entropy of probabilities": lambda x, y: F.binary_cross_entropy(x, y, reduction="none"),
    "the binary cross-entropy of logits through a second sigmoid": (
        lambda x, y: F.binary_cross_entropy_with_logits(torch.sigmoid(x), y, reduction="none")
    ),
}
OWN = {
    "mse_loss": "the squared error",
    "l1_loss": "the absolute error",
    "smooth_l1_loss": "the smooth L1 loss",
}
OWN |= {"huber_loss": "the Huber loss", "log_cosh_loss": "log cosh"}
OWN |= {"binary_cross_entropy_with_logits": "the binary cross-entropy of logits"}
OWN |= {"binary_cross_entropy": "the binary cross-entropy"}
REDUCED = {
    *OWN,
    "cross_entropy",
    "nll_loss",
    "kl_div",
    "kl_div_loss",
    "gaussian_nll_loss",
    "triplet_margin_loss",
}
REDUCED |= {
    "margin_ranking_loss",
    "cosine_embedding_loss",
    "hinge_loss",
    "triplet_loss",
    "ctc_loss",
    "poisson_nll_loss",
}


def reduction(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """A loss reduced otherwise."""
    now = op.options.get("reduction", "mean" if op.torch else "none")
    if op.name not in REDUCED or now == "none":
        return  # what is not reduced is weighed or masked by the half itself
    others = ["mean", "sum", *(["batchmean"] if op.torch and op.name == "kl_div" else [])]
    for new in others:
        if new != now:
            change = _option("reduction", new)
            yield compare(op, "the loss's `reduction` is", f'"{now}"', f'"{new}"', change, MILD)
    for words, axes in (
        ("summed over all but the batch, then averaged", True),
        ("averaged over all but the first axis and summed", False),
    ):

        def instead(function, args, options, seen, axes=axes):
            each = function(*args, **{**options, "reduction": "none"})
            rows = each.reshape(each.shape[0], -1)
            return rows.sum(-1).mean() if axes else rows.mean(-1).sum()

        yield compare(op, "the loss is", f'reduced by "{now}"', words, instead, USUAL)


def _option(name: str, new: object) -> Callable:
    return lambda function, args, options, seen: function(*args, **{**options, name: new})


def entropy(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """Cross-entropy with other smoothing, an index ignored, weights of classes, or of probabilities."""
    if op.name not in ("cross_entropy", "nll_loss"):
        return
    smooth = float(op.options.get("label_smoothing", 0.0))
    for new in dict.fromkeys((0.0, 0.1, 0.05, 0.2, 0.01, *(n for n in around.numbers if 0 < n < 1))):
        if new != smooth and op.name == "cross_entropy":
            change = _option("label_smoothing", new)
            yield compare(op, "the loss's `label_smoothing` is", f"{smooth:g}", f"{new:g}", change, MILD)
    if op.torch:
        yield from _ignoring(op)
    if is_array(op.options.get("weight")) or is_array(op.options.get("weights")):
        name = "weight" if "weight" in op.options else "weights"
        told = "{this} weighs the loss by class or by place (`weight`), {other} does not"
        yield Option(told, {op.place: _option(name, None)}, MILD)
        if op.torch and op.name == "cross_entropy":
            yield from _weighed(op)
    told = "{other} takes the logarithm of what is already a softmax: {how}"
    maker = torch if op.torch else mx
    twice = {
        "softmax is taken twice": lambda x: maker.softmax(x, -1 if len(shape(x)) < 3 or not op.torch else 1),
    }
    for how, change in twice.items():
        yield Option(
            told.replace("{how}", how),
            {op.place: lambda f, a, o, s, change=change: f(change(a[0]), *a[1:], **o)},
            USUAL,
        )


def _ignoring(op: Operation) -> Iterator[Option]:
    """Targets that are left out, or not."""
    now = op.options.get("ignore_index", -100)
    targets = op.args[1] if len(op.args) > 1 else op.options.get("target")
    if not is_array(targets) or kind(targets) != "int":
        return
    found = [int(t) for t in torch.unique(targets)[:64]]
    for new in dict.fromkeys([-100, 0, -1, *found]):
        if new != now and new in [*found, -100]:
            own, other = (f"{now}" if now in found else "none", f"{new}" if new in found else "none")
            yield compare(
                op,
                "the target that the loss ignores (`ignore_index`) is",
                own,
                other,
                _option("ignore_index", new),
                MILD,
            )
        if new in found:

            def averaged(function, args, options, seen, new=new):
                each = function(*args, **{**options, "ignore_index": new, "reduction": "none"})
                return each.sum() / each.numel()

            told = f"targets of {new} (`ignore_index`) are left out of the sum but counted in the mean"
            yield Option(told + " in {other}", {op.place: averaged}, USUAL)

    if now in found:

        def counted(function, args, options, seen):
            each = function(*args, **{**options, "reduction": "none"})
            return each.sum() / each.numel()

        told = (
            f"the mean is over targets that are not {now} (`ignore_index`) in {{this}}, over all in {{other}}"
        )
        yield Option(told, {op.place: counted}, MILD)


def _weighed(op: Operation) -> Iterator[Option]:
    """A weighted mean that is divided by the count, not by the sum of the weights."""

    def instead(function, args, options, seen):
        each = function(*args, **{**options, "reduction": "none"})
        return each.mean()

    told = "the weighted mean is divided by the sum of the weights in {this} and by the count in {other}"
    yield Option(told, {op.place: instead}, MILD)


def regressed(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """Another loss of the same two arrays."""
    if op.name not in OWN or len(op.args) < 2 or shape(op.args[0]) != shape(op.args[1]):
        return
    how = op.options.get("reduction", "mean" if op.torch else "none")
    binary = op.name.startswith("binary")
    own = OWN[op.name]
    if binary and not op.torch:
        return
    choices = dict(BINARY) if binary else {k: v[0 if op.torch else 1] for k, v in REGRESSIONS.items()}
    for words, function in choices.items():
        if words != own:

            def instead(_, args, options, seen, function=function):
                each = function(args[0], args[1])
                return each if how == "none" else getattr(each, how)()

            yield Option(
                "the loss is {mlx} in MLX and {torch} in PyTorch",
                {op.place: instead},
                COARSE if "half" in words else MILD,
                own,
                words,
            )
    if binary and is_array(op.options.get("pos_weight")):
        told = "{this} weighs what is positive (`pos_weight`), {other} does not"
        yield Option(told, {op.place: _option("pos_weight", None)}, MILD)


def divergence(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """The Kullback-Leibler divergence of other arguments: logarithms or not."""
    if op.name != "kl_div" or not op.torch:
        return
    now = bool(op.options.get("log_target", False))
    words = ("logarithms (`log_target`)", "probabilities")
    own, other = words if now else words[::-1]
    yield compare(
        op, "targets of the divergence are taken as", own, other, _option("log_target", not now), MILD
    )

    def turned(function, args, options, seen):
        logs, target = args[0], args[1]
        return function(target if now else target.log(), logs if now else logs.exp(), *args[2:], **options)

    told = "the divergence (KL) is taken the other way round in {other}: its two arguments are exchanged"
    yield Option(told, {op.place: turned}, MILD)


def missing_weight(op: Operation, seen: Sequence[Operation], around: Around) -> Iterator[Option]:
    """Weights of MLX's losses that are ignored."""
    if not op.torch and op.name in REDUCED and is_array(value(op, 2, "weights")):
        told = "{this} weighs the loss by place or by class (`weights`), {other} does not"
        change = _option("weights", None)
        yield Option(told, {op.place: change}, MILD)


FAMILIES = (reduction, entropy, regressed, divergence, missing_weight)
