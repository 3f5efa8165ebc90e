"""The single comparisons of the fairness gate: two halves that start equal, one quantity, one limit each."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from twins.frameworks import MLX
from twins.models import weights
from twins.models.weight_map import WeightMap
from twins.parity.differences import Check, arrays_of, compared, median, relative, worst
from twins.parity.limits import limit as limit_of
from twins.training import train
from twins.training.train import Half

from mlx.utils import tree_flatten  # isort: skip  (after frameworks: the BLAS)

Batch = tuple[np.ndarray, ...]
Halves = Callable[[str], tuple[Half, Half]]  # dtype -> fresh (MLX, PyTorch) halves with equal weights

HUGE = 1e4  # multiplies the first loss, so that any clipping acts
ZERO_GRADIENT = 1e-6  # of the largest tensor's norm: rounding noise where the true gradient is zero


# --- names and weights -----------------------------------------------------------------------------


def links(mlx: Half, torch: Half) -> WeightMap:
    """Which weight of the PyTorch half is which of the MLX half."""
    return WeightMap(torch.model, mlx.model, mlx.names)


def own_weights(half: Half) -> dict[str, np.ndarray]:
    """The weights of a half under its own names and in its own layout."""
    return (weights.mlx_weights if half.framework is MLX else weights.torch_weights)(half.model)


def both_weights(mlx: Half, torch: Half) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The weights of both halves under MLX's names and in its layout, without what only MLX has frozen."""
    known = links(mlx, torch)
    ours = {k: v for k, v in weights.mlx_weights(mlx.model).items() if k not in known.own}
    return ours, known.mlx(weights.torch_weights(torch.model))


def check_names(mlx: Half, torch: Half) -> Check:
    """(a) Parameter names, shapes and count, in MLX's layout; the value is how many differ."""
    ours, theirs = ({k: v.shape for k, v in each.items()} for each in both_weights(mlx, torch))
    wrong = sorted(k for k in ours.keys() | theirs.keys() if ours.get(k) != theirs.get(k))
    listed = "; ".join(f"{k}: MLX {ours.get(k, 'none')}, PyTorch {theirs.get(k, 'none')}" for k in wrong[:3])
    count = sum(int(np.prod(shape)) for shape in ours.values())
    return Check("names", float(len(wrong)), 0.0, listed or f"{len(ours)} tensors, {count:,} numbers")


def check_weights(mlx: Half, torch: Half) -> Check:
    """(a) The initial weights are the same numbers."""
    ours, theirs = both_weights(mlx, torch)
    return worst("weights", {k: relative(ours[k], theirs[k]) for k in ours}, limit_of("weights"))


def untrained(mlx: Half, torch: Half) -> list[tuple[str, str]]:
    """Weights that one half trains and the other does not, or twice: MLX's name, and the sentence for it."""
    known = links(mlx, torch)
    buffers = {name for name, _ in torch.model.named_buffers()}
    shown = {name: link for link in known.links for name in link.mlx}
    theirs, told = known.trained_torch(), []
    for name in sorted(known.trained_mlx ^ theirs):
        if name in theirs:
            told.append((name, f"`{name}` is trained in PyTorch and frozen in MLX"))
        elif name in shown and set(shown[name].torch) & buffers:
            mend = "freeze it there, or give it a name that begins with an underscore"
            told.append((name, f"`{name}` is a buffer in PyTorch and trained in MLX: {mend}"))
        else:
            told.append((name, f"`{name}` is frozen in PyTorch and trained in MLX"))
    for name, terms in known.sums().items():
        listed = " and ".join(f"`{term}`" for term in terms)
        mend = "so that their sum moves twice as far: freeze one of them at zero"
        told.append((name, f"MLX's `{name}` is the sum of {listed}, which both train in PyTorch, {mend}"))
    return told


def check_trained(mlx: Half, torch: Half) -> Check:
    """(a) The same weights are trained and frozen; the value is how many differ."""
    told = untrained(mlx, torch)
    count = len(links(mlx, torch).trained_mlx)
    listed = "; ".join(sentence for _, sentence in told[:3])
    return Check("trained", float(len(told)), 0.0, listed or f"{count} tensors train in both")


# --- outputs ---------------------------------------------------------------------------------------


def outputs_of(half: Half, batch: Batch) -> list[np.ndarray]:
    """What a half's model gives for all arrays of a batch but the last."""
    return [half.framework.numpy(array) for array in arrays_of(half.model(*half.batch(batch)[:-1]))]


def check_outputs(mlx: Half, torch: Half, batch: Batch) -> Iterator[Check]:
    """(b) Outputs and loss of one batch in training mode; the last array of a batch is the target."""
    losses = [half.framework.numpy(half.loss(half.model, *half.batch(batch))) for half in (mlx, torch)]
    outputs = compared("outputs", *[outputs_of(half, batch) for half in (mlx, torch)])
    yield outputs
    if np.isfinite(outputs.value):
        yield Check("loss", relative(*losses), limit_of("outputs"), f"{float(losses[1]):.4f} nats")


def check_evaluation(mlx: Half, torch: Half, batch: Batch, kind: str = "") -> Iterator[Check]:
    """(b) What training has gathered: the running statistics, and outputs of one batch in evaluation mode.

    A twin without running statistics has no check of them.
    """
    ours, theirs = both_weights(mlx, torch)
    buffers = {name for name, _ in torch.model.named_buffers()}
    kept = {n for link in links(mlx, torch).links if set(link.torch) & buffers for n in link.mlx}
    name = f"{kind}statistics"
    if kept:
        yield worst(name, {k: relative(ours[k], theirs[k]) for k in kept}, limit_of(name))
    yield evaluated(mlx, torch, batch, f"{kind}evaluation")


def evaluated(mlx: Half, torch: Half, batch: Batch, name: str = "evaluation") -> Check:
    """(b) Outputs of one batch in evaluation mode."""
    outputs = []
    for half in (mlx, torch):
        half.model.eval()
        outputs.append(outputs_of(half, batch))
        half.model.train()
    return compared(name, *outputs)


# --- gradients and updates -------------------------------------------------------------------------


def gradients_of(half: Half, batch: Batch) -> dict[str, np.ndarray]:
    """Every gradient of a half at step 0, under its own names."""
    arrays = train.gradients(half, *half.batch(batch))[1]
    return {name: half.framework.numpy(value) for name, value in arrays.items()}


def gradient_pairs(mlx: Half, torch: Half, batch: Batch) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Every gradient of both halves at step 0, under MLX's names; one that a half has not is a zero."""
    ours = gradients_of(mlx, batch)
    theirs = links(mlx, torch).mlx(gradients_of(torch, batch), gradients=True)
    empty = np.zeros(())
    return {k: (ours.get(k, empty), theirs.get(k, empty)) for k in ours.keys() | theirs.keys()}


def check_gradients(mlx: Half, torch: Half, batch: Batch, name: str = "gradients") -> Check:
    """(c) Every gradient at step 0; tensors whose true gradient is zero hold noise and are passed over."""
    found = gradient_pairs(mlx, torch, batch)
    norms = {k: max(np.linalg.norm(each) for each in pair) for k, pair in found.items()}
    noise = ZERO_GRADIENT * max(norms.values(), default=0.0)
    return worst(name, {k: relative(*found[k]) for k in found if not norms[k] <= noise}, limit_of(name))


def changes(half: Half, batch: Batch) -> dict[str, np.ndarray]:
    """What one optimizer step changes of every weight a half trains, under its own names."""
    before = own_weights(half)
    train.step(half)(*half.batch(batch))
    after = own_weights(half)
    return {name: after[name] - before[name] for name in _trained(half)}


def _updates(mlx: Half, torch: Half, batch: Batch) -> dict[str, float]:
    """Relative L2 between the halves' changes of every weight they train in one optimizer step."""
    ours, theirs = changes(mlx, batch), links(mlx, torch).mlx(changes(torch, batch))
    return {name: relative(ours[name], theirs[name]) for name in ours if name in theirs}


def _trained(half: Half) -> set[str]:
    """The weights a half trains, under its own names."""
    if half.framework is MLX:
        return {name for name, _ in tree_flatten(half.model.trainable_parameters())}
    return {name for name, parameter in half.model.named_parameters() if parameter.requires_grad}


def check_update(mlx: Half, torch: Half, batch: Batch) -> Iterator[Check]:
    """(d) The change of every parameter in one step, and in the step after one with a huge gradient.

    Adam's first step does not depend on the gradient's size, so clipping shows only in the next: the
    first loss is multiplied by HUGE, which makes any clipping act and weighs in the second moment.
    """
    yield median("update", _updates(*(enlarged(half) for half in (mlx, torch)), batch))
    yield median("clipping", _updates(mlx, torch, batch))


def enlarged(half: Half) -> Half:
    """The half with its loss multiplied by HUGE."""
    return replace(half, loss=partial(_scaled, half.loss))


def _scaled(loss: Callable, model, *batch):
    return HUGE * loss(model, *batch)


def trained(mlx: Half, torch: Half) -> set[str]:
    """The weights, by MLX's names, that a half trains."""
    known = links(mlx, torch)
    return known.trained_mlx | known.trained_torch()


def unmoved(mlx: Half, torch: Half, before: Mapping[str, np.ndarray], index: int) -> set[str]:
    """The weights, by MLX's names, that a half trains and one (0 MLX, 1 PyTorch) has not moved."""
    now = both_weights(mlx, torch)[index]
    return {name for name in trained(mlx, torch) if np.array_equal(now[name], before[name])}


def check_moved(name: str, left: set[str], nowhere: set[str], count: int) -> Check:
    """(f) How many of `count` trained weights a run has not moved, and the other half has."""
    found = sorted(left if len(left) == count else left - nowhere)
    beside = f", {len(left)} more move in neither half" if left and not found else ""
    told = ", ".join(found[:3]) or f"all {count - len(left)} tensors{beside}"
    return Check(f"moved, {name}", float(len(found)), 0.0, told)
