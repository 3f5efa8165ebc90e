"""Why a step of training differs when the forward passes agree: loss, gradients, statistics."""

import numpy as np

from twins.frameworks import MLX
from twins.models import weights
from twins.parity import checks
from twins.parity.checks import ZERO_GRADIENT, Batch, Halves
from twins.parity.diagnosis import trials
from twins.parity.diagnosis.calls import Trace, pairs, record
from twins.parity.diagnosis.divergence import AGREE
from twins.parity.differences import relative
from twins.parity.limits import limit as limit_of
from twins.training.train import Half

from mlx.utils import tree_flatten  # isort: skip  (after parity: the BLAS)

Told = tuple[str, str, str]  # where, what differs, the cause or nothing
UNUSED = "the loss does not depend on it: it is not used, or the graph is cut (detach, no_grad) behind it"
ALONE = 3  # examples looked at one by one
TIED = "in PyTorch it is one weight with `{}`; arrays that start equal in MLX are two, and train apart"
SAME = 1e-3  # relative accuracy to which a measured factor is a known number


# --- the loss --------------------------------------------------------------------------------------


def loss(make: Halves, traces: tuple[Trace, Trace], batch: Batch) -> Told | None:
    """A loss that departs though the outputs agree."""
    ours, theirs = (float(trace.loss) for trace in traces)
    if abs(ours - theirs) <= AGREE * abs(theirs):
        return None
    departs = f"the loss is {ours:.6g} in MLX and {theirs:.6g} in PyTorch, of outputs that agree"
    cause = (
        trials.cause(_loss_place(make, traces, batch))
        or _reduction(make, traces[1], batch)
        or _multiple(make, batch, ours / theirs if theirs else 0.0)
    )
    return "the loss", departs, cause


def _loss_of(half: Half, batch: Batch) -> np.ndarray:
    return half.framework.numpy(half.loss(half.model, *half.batch(batch)))


def _loss_place(make: Halves, traces: tuple[Trace, Trace], batch: Batch) -> trials.Place:
    """The loss as a place of trials: what is inside of modules agrees."""
    values = tuple(np.asarray(trace.loss) for trace in traces)
    sides = [frozenset((call.path, 0) for call in trace.calls) for trace in traces]
    limit = min(AGREE, relative(*values) / 2)
    return trials.Place(make, batch, _loss_of, (values[0], values[1]), limit, (sides[0], sides[1]))


def _multiple(make: Halves, batch: Batch, factor: float) -> str:
    """Whether the losses are that factor apart for every single example and with other weights, too."""
    if not factor or not np.isfinite(factor):
        return ""
    pairs_of = [_losses(make, batch, other) for other in (0.0, 1.0, 2.0)]
    for row in range(min(ALONE, len(batch[-1]))):
        alone = tuple(array[row : row + 1] if len(array) == len(batch[-1]) else array for array in batch)
        pairs_of.append(_losses(make, alone, 0.0))
    if any(ours is None or theirs is None or not _times(ours, theirs, factor) for ours, theirs in pairs_of):
        return ""
    return f"MLX's is {factor:.4g} times PyTorch's"


def _times(one: float, two: float, factor: float) -> bool:
    return abs(one - factor * two) < SAME * abs(one)


def _losses(make: Halves, batch: Batch, lively: float) -> tuple[float | None, float | None]:
    """Both losses; with other weights when `lively` is not zero."""
    halves = trials.lively(make("float32"), lively) if lively else make("float32")
    found = [record(half, batch).loss for half in halves]
    return found[0] if found[0] is None else float(found[0]), found[1] if found[1] is None else float(
        found[1]
    )


def _reduction(make: Halves, trace: Trace, batch: Batch) -> str:
    """Whether one loss is the other times the number of examples, targets or outputs, with all weights."""
    target, last = batch[-1], trace.calls[-1].output if trace.calls else batch[-1]
    counts = {"examples": len(target), "targets": target.size, "outputs": last.size}
    found = [_losses(make, batch, other) for other in (0.0, 1.0, 2.0)]
    if any(ours is None or theirs is None for ours, theirs in found):
        return ""
    for what, count in counts.items():
        for large, small, factor in (("MLX", "PyTorch", count), ("PyTorch", "MLX", 1 / count)):
            if count > 1 and all(_times(ours, theirs, factor) for ours, theirs in found):
                return f"{large} sums over the {count} {what} where {small} takes the mean"
    return ""


# --- gradients -------------------------------------------------------------------------------------


def _gradients(make: Halves, batch: Batch) -> tuple[Half, Half, list[dict[str, np.ndarray]]]:
    """Both halves and their gradients under MLX's names and in its layout."""
    mlx, torch_half = make("float32")
    theirs = checks.links(mlx, torch_half).mlx(checks.gradients_of(torch_half, batch), gradients=True)
    return mlx, torch_half, [checks.gradients_of(mlx, batch), theirs]


def gradients(make: Halves, batch: Batch) -> Told | None:
    """The gradient nearest to the loss that is missing in one half, or departs."""
    mlx, torch_half, (ours, theirs) = _gradients(make, batch)
    known = [k for k in weights.mlx_weights(mlx.model) if k in ours or k in theirs]
    for name in reversed(known):
        if (name in ours) != (name in theirs):
            side = "MLX" if name in theirs else "PyTorch"
            where, departs, why = _missing(name, side, mlx, torch_half)
            zeros = np.zeros_like(ours.get(name, theirs.get(name)))
            values = ours.get(name, zeros), theirs.get(name, zeros)
            cut = trials.cause(_gradient_place(make, batch, name, values)) if why.endswith(UNUSED) else ""
            return where, departs, cut or why
    noise = ZERO_GRADIENT * max((np.linalg.norm(g) for g in theirs.values()), default=0.0)
    real = [k for k in known if max(np.linalg.norm(ours[k]), np.linalg.norm(theirs[k])) > noise]
    limit = limit_of("gradients")
    wrong = [k for k in reversed(real) if relative(ours[k], theirs[k]) > limit]
    if not wrong:
        return None
    size = f"{relative(ours[wrong[0]], theirs[wrong[0]]):.2g} of its size"
    departs = f"the gradient of `{wrong[0]}` departs by {size}, though outputs and loss agree"
    cause = (
        _tied(wrong[0], torch_half, ours, theirs)
        or trials.cause(_gradient_place(make, batch, wrong[0], (ours[wrong[0]], theirs[wrong[0]])))
        or _factor(wrong, ours, theirs)
        or _rows(wrong[0], ours[wrong[0]], theirs[wrong[0]])
    )
    return f"`{wrong[0]}`", departs, cause


def _tied(name: str, torch_half: Half, ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> str:
    """Whether a weight of PyTorch has several names, and MLX's gradients under these add up to its own."""
    groups: dict[int, set[str]] = {}
    for key, parameter in torch_half.model.named_parameters(remove_duplicate=False):
        groups.setdefault(id(parameter), set()).add(weights.renamed(key, torch_half.names))
    for group in groups.values():
        own = name in group and len(group) > 1 and all(k in ours for k in group)
        if own and relative(sum(ours[k] for k in group), theirs[name]) < SAME:
            return TIED.format(min(group - {name}))
    return ""


def _gradient_place(
    make: Halves, batch: Batch, name: str, values: tuple[np.ndarray, np.ndarray]
) -> trials.Place:
    """A gradient as a place of trials, which only change where the graph is cut."""
    mlx_model = make("float32")[0].model

    def measure(half: Half, batch: Batch) -> np.ndarray:
        found = checks.gradients_of(half, batch)
        if half.framework is not MLX:
            found = weights.as_mlx(found, half.model, mlx_model, half.names, gradients=True)
        return found.get(name, np.zeros_like(values[0]))

    limit = min(limit_of("gradients"), relative(*values) / 2)
    return trials.Place(make, batch, measure, values, limit, cuts=True)


def _missing(name: str, side: str, mlx: Half, torch_half: Half) -> Told:
    """The sentence for a weight that gets a gradient in one half only."""
    trainable = dict(tree_flatten(mlx.model.trainable_parameters()))
    listed = torch_half.model.named_parameters(remove_duplicate=False)
    torch_names = {weights.renamed(k, mlx.names): p for k, p in listed}
    tied = [k for k, p in torch_names.items() if k != name and p is torch_names.get(name)]
    if tied:
        return f"`{name}`", f"`{name}` gets no gradient of its own in PyTorch", TIED.format(tied[0])
    frozen = (
        name not in trainable
        if side == "MLX"
        else name in torch_names and not torch_names[name].requires_grad
    )
    why = f"it is frozen in {side}" if frozen else f"in {side} {UNUSED}"
    return f"`{name}`", f"`{name}` gets no gradient in {side}", why


def _rows(name: str, ours: np.ndarray, theirs: np.ndarray) -> str:
    """Rows of a table that one half leaves without a gradient, when all others agree."""
    for side, first, second in (("MLX", ours, theirs), ("PyTorch", theirs, ours)):
        left = [row for row in range(len(first)) if not first[row].any() and second[row].any()]
        rest = np.delete(np.arange(len(first)), left)
        if left and relative(first[rest], second[rest]) < SAME:
            return f"rows {left[:3]} of `{name}` get no gradient in {side}, as with padding_idx"
    return ""


def _factor(wrong: list[str], ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> str:
    """One factor that turns every departing gradient of torch into MLX's."""
    for side, first, second in (("MLX", ours, theirs), ("PyTorch", theirs, ours)):
        if all(not first[k].any() and second[k].any() for k in wrong):
            return f"it is zero in {side}: the graph is cut there (stop_gradient, detach)"
    factors = [np.linalg.norm(ours[k]) / np.linalg.norm(theirs[k]) for k in wrong]
    same = all(relative(ours[k], f * theirs[k]) < SAME for k, f in zip(wrong, factors, strict=True))
    if same and max(factors) - min(factors) < SAME * max(factors):
        return f"MLX's gradients are {factors[0]:.4g} times PyTorch's"
    return ""


# --- statistics that a forward pass changes --------------------------------------------------------


def statistics(make: Halves, traces: tuple[Trace, Trace], batch: Batch) -> Told | None:
    """A running mean or variance that one pass in training mode moves differently."""
    mlx, torch_half = make("float32")
    trained = {weights.renamed(k, mlx.names) for k, _ in torch_half.model.named_parameters()}
    before = weights.mlx_weights(mlx.model)
    after = []
    for half, read in ((mlx, _ours), (torch_half, _theirs)):
        half.loss(half.model, *half.batch(batch))
        after.append(read(half, mlx))
    for name in [k for k in before if k not in trained and all(k in values for values in after)]:
        moved = [values[name] - before[name] for values in after]
        if relative(*moved) > limit_of("update"):
            layer = name.rpartition(".")[0]
            departs = f"one pass moves `{name}` differently, by {relative(*moved):.2g} of the way"
            return f"`{name}`", departs, _running(layer, before, after, traces)
    return None


def _ours(half: Half, _: Half) -> dict[str, np.ndarray]:
    return weights.mlx_weights(half.model)


def _theirs(half: Half, mlx: Half) -> dict[str, np.ndarray]:
    return weights.as_mlx(weights.torch_weights(half.model), half.model, mlx.model, mlx.names)


def _running(layer: str, before: dict, after: list[dict], traces: tuple[Trace, Trace]) -> str:
    """Momentum and kind of variance of each half, measured from what the layer was given."""
    found = [pair for pair in pairs(*traces) if pair.mlx.path == layer]
    mean, variance = f"{layer}.running_mean", f"{layer}.running_var"
    if not found or mean not in before or variance not in before:
        return ""
    x = np.moveaxis(found[0].torch.inputs[0], 1, -1).astype(np.float64)
    x = x.reshape(-1, x.shape[-1])
    momenta = [_share(values[mean] - before[mean], x.mean(0) - before[mean]) for values in after]
    if abs(momenta[0] - momenta[1]) > SAME:
        told = f"the newest batch weighs {momenta[0]:.3g} in MLX and {momenta[1]:.3g} in PyTorch"
        reversed_ = abs(sum(momenta) - 1) < SAME
        return f"{told}: the momentum {'is taken the other way round' if reversed_ else 'differs'}"
    unbiased = len(x) / (len(x) - 1)
    for side, values, share in zip(("MLX", "PyTorch"), after, momenta, strict=True):
        used = (values[variance] - (1 - share) * before[variance]) / share
        if abs(np.median(used / x.var(0)) - 1) < 0.1 * (unbiased - 1):
            return f"{side} keeps the biased variance (divided by n), the other half the unbiased (by n - 1)"
    return ""


def _share(moved: np.ndarray, whole: np.ndarray) -> float:
    return float((moved * whole).sum() / (whole * whole).sum())
