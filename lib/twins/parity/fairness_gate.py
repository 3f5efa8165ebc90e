"""The fairness gate: a twin is timed only after its halves are shown to compute the same thing.

Loss curves of correct twins part after about a hundred steps, even inside one framework, because
training is chaotic; so the gate compares outputs, gradients and updates at the start, and the first
losses against the floor that torch shows against itself when the rows of every batch are permuted and its
weights changed in their last places. Where a ReLU's input is zero but for rounding, float32 gradients part
as well, and are compared with such a floor too; the float64 checks are not.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np

from twins.frameworks import MLX
from twins.models import weights
from twins.parity.float64 import FAULTS, stage, unchecked
from twins.parity.limits import limit as limit_of
from twins.training import train
from twins.training.train import Half

Batch = tuple[np.ndarray, ...]
Halves = Callable[[str], tuple[Half, Half]]  # dtype -> fresh (MLX, PyTorch) halves with equal weights

HUGE = 1e4  # multiplies the first loss, so that any clipping acts
FLOOR_FACTOR = 10.0  # what chaos or a switched ReLU parts may differ by this many times the floor
SHAKE = 3e-6  # of every weight: moves what is computed from it by a few times what rounding does
DRAWS = 4
SWITCHED = 1e-4  # gradients that SHAKE moves by more have a switched ReLU behind them; others reach 4e-5
ZERO_GRADIENT = 1e-6  # of the largest tensor's norm: rounding noise where the true gradient is zero


@dataclass(frozen=True)
class Check:
    """One comparison: what was compared, the worst value, its limit, and the tensor or step it was at."""

    name: str
    value: float
    limit: float
    where: str

    @property
    def passed(self) -> bool:
        """Whether the value is within the limit; a value that is not a number is not."""
        return bool(self.value <= self.limit)

    def plain(self) -> dict:
        """The check as records hold it: JSON has no nan and no infinity, so None stands for both."""
        value = self.value if np.isfinite(self.value) else None
        return asdict(self) | {"value": value, "passed": self.passed}

    def __str__(self) -> str:
        sign = "is within" if self.passed else "EXCEEDS"
        return f"{self.name}: {self.value:.2g} {sign} {self.limit:.2g} ({self.where})"


@dataclass(frozen=True)
class Verdict:
    """All checks of one twin, and the first losses of every run: name -> one loss per step."""

    twin: str
    checks: tuple[Check, ...]
    losses: dict[str, list[float]]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    def failures(self) -> list[str]:
        """One sentence per failed check."""
        return [f"{self.twin}: {check}" for check in self.checks if not check.passed]


def relative(a: np.ndarray, b: np.ndarray) -> float:
    """|a - b| / |b| in L2; 0 when both are zero, infinite when only b is."""
    difference, size = np.linalg.norm(a.astype(np.float64) - b), np.linalg.norm(b.astype(np.float64))
    return 0.0 if difference == 0 else float(difference / size) if size else float("inf")


def _as_mlx(arrays: dict[str, np.ndarray], half: Half) -> dict[str, np.ndarray]:
    """Torch's arrays under the names and in the layout of `half`, MLX's or torch's own."""
    return weights.as_mlx(arrays, half.model, half.names) if half.framework is MLX else arrays


def _weights(half: Half) -> dict[str, np.ndarray]:
    return (weights.mlx_weights if half.framework is MLX else weights.torch_weights)(half.model)


def _numpy(half: Half, tensors: dict) -> dict[str, np.ndarray]:
    return {name: half.framework.numpy(value) for name, value in tensors.items()}


def worst(name: str, differences: dict[str, float], limit: float) -> Check:
    """The check made of the largest difference and the tensor it is at (nan counts as largest)."""
    if not differences:
        return Check(name, float("inf"), limit, "no tensor to compare")
    where = max(differences, key=lambda k: np.inf if np.isnan(differences[k]) else differences[k])
    return Check(name, differences[where], limit, where)


def check_names(mlx: Half, torch: Half) -> Check:
    """(a) Parameter names, shapes and count, in MLX's layout; the value is how many differ."""
    ours = {k: v.shape for k, v in _weights(mlx).items()}
    theirs = {k: v.shape for k, v in _as_mlx(_weights(torch), mlx).items()}
    wrong = sorted(k for k in ours.keys() | theirs.keys() if ours.get(k) != theirs.get(k))
    listed = "; ".join(f"{k}: MLX {ours.get(k, 'none')}, PyTorch {theirs.get(k, 'none')}" for k in wrong[:3])
    count = sum(int(np.prod(shape)) for shape in ours.values())
    return Check("names", float(len(wrong)), 0.0, listed or f"{len(ours)} tensors, {count:,} numbers")


def check_weights(mlx: Half, torch: Half) -> Check:
    """(a) The initial weights are the same numbers."""
    ours, theirs = _weights(mlx), _as_mlx(_weights(torch), mlx)
    return worst("weights", {k: relative(ours[k], theirs[k]) for k in ours}, limit_of("weights"))


def _alike(name: str, ours: np.ndarray, theirs: np.ndarray) -> Check:
    """The check made of two outputs; of other shapes they are infinitely far apart."""
    limit = limit_of(name)
    if ours.shape != theirs.shape:
        return Check(name, float("inf"), limit, f"MLX {ours.shape}, PyTorch {theirs.shape}")
    return Check(name, relative(ours, theirs), limit, f"{ours.shape}")


def check_outputs(mlx: Half, torch: Half, batch: Batch) -> Iterator[Check]:
    """(b) Outputs and loss of one batch in training mode; the last array of a batch is the target."""
    outputs, losses = [], []
    for half in (mlx, torch):
        arrays = half.batch(batch)
        outputs.append(half.framework.numpy(half.model(*arrays[:-1])))
        losses.append(half.framework.numpy(half.loss(half.model, *arrays)))
    yield _alike("outputs", *outputs)
    if outputs[0].shape == outputs[1].shape:
        where = f"{float(losses[1]):.4f} nats"
        yield Check("loss", relative(*losses), limit_of("outputs"), where)


def check_evaluation(mlx: Half, torch: Half, batch: Batch, kind: str = "") -> Iterator[Check]:
    """(b) What training has gathered: the running statistics, and outputs of one batch in evaluation mode.

    A twin without running statistics has no check of them.
    """
    kept = [name for name, _ in torch.model.named_buffers() if not name.endswith(weights.NOT_WEIGHTS)]
    ours, theirs = _weights(mlx), _as_mlx({k: v for k, v in _weights(torch).items() if k in kept}, mlx)
    name = f"{kind}statistics"
    if theirs:
        yield worst(name, {k: relative(ours[k], theirs[k]) for k in theirs}, limit_of(name))
    outputs = []
    for half in (mlx, torch):
        half.model.eval()
        outputs.append(half.framework.numpy(half.model(*half.batch(batch)[:-1])))
        half.model.train()
    yield _alike(f"{kind}evaluation", *outputs)


def check_gradients(mlx: Half, torch: Half, batch: Batch, name: str = "gradients") -> Check:
    """(c) Every gradient at step 0; tensors whose true gradient is zero hold noise and are passed over."""
    ours = _numpy(mlx, train.gradients(mlx, *mlx.batch(batch))[1])
    theirs = _as_mlx(_numpy(torch, train.gradients(torch, *torch.batch(batch))[1]), mlx)
    noise, empty = ZERO_GRADIENT * max(np.linalg.norm(g) for g in theirs.values()), np.zeros(())
    pairs = {k: (ours.get(k, empty), theirs.get(k, empty)) for k in ours.keys() | theirs.keys()}
    real = {k: p for k, p in pairs.items() if max(np.linalg.norm(p[0]), np.linalg.norm(p[1])) > noise}
    return worst(name, {k: relative(*pair) for k, pair in real.items()}, limit_of(name))


def _update(mlx: Half, torch: Half, batch: Batch) -> dict[str, float]:
    """Relative L2 between the halves' changes of every parameter in one optimizer step."""
    before = _weights(mlx), _as_mlx(_weights(torch), mlx)
    for half in (mlx, torch):
        train.step(half)(*half.batch(batch))
    after = _weights(mlx), _as_mlx(_weights(torch), mlx)
    return {k: relative(after[0][k] - before[0][k], after[1][k] - before[1][k]) for k in before[0]}


def _median(name: str, differences: dict[str, float]) -> Check:
    """The check made of the median over tensors; the worst tensor is named as well.

    The median, because Adam normalises the noise in a gradient that is truly zero to full size.
    """
    ordered = sorted(differences, key=differences.__getitem__)
    largest = f"worst {ordered[-1]}: {differences[ordered[-1]]:.2g}"
    return Check(name, differences[ordered[len(ordered) // 2]], limit_of(name), largest)


def check_update(mlx: Half, torch: Half, batch: Batch) -> Iterator[Check]:
    """(d) The change of every parameter in one step, and in the step after one with a huge gradient.

    Adam's first step does not depend on the gradient's size, so clipping shows only in the next: the
    first loss is multiplied by HUGE, which makes any clipping act and weighs in the second moment.
    """
    huge, other = (replace(half, loss=partial(_scaled, half.loss)) for half in (mlx, torch))
    yield _median("update", _update(huge, other, batch))
    yield _median("clipping", _update(mlx, torch, batch))


def _scaled(loss: Callable, model, *batch):
    return HUGE * loss(model, *batch)


def _moved(name: str, half: Half, before: dict[str, np.ndarray]) -> Check:
    """(f) How many tensors of a trained half are still where they started."""
    now = _weights(half)
    still = sorted(k for k in now if np.array_equal(now[k], before[k]))
    return Check(f"moved, {name}", float(len(still)), 0.0, ", ".join(still[:3]) or f"all {len(now)} tensors")


def shaken(half: Half, draw: int) -> Half:
    """A torch half, each of its weights changed by about SHAKE of itself."""
    rng, found = np.random.default_rng(draw), weights.torch_weights(half.model)
    for name, _ in half.model.named_parameters():
        found[name] = (found[name] * (1 + SHAKE * rng.standard_normal(found[name].shape))).astype("float32")
    weights.load_torch(half.model, found)
    return half


def floors(make: Halves, batch: Batch) -> dict[str, float]:
    """By check, what rounding alone can do to torch: against itself shaken, the largest of DRAWS."""
    largest: dict[str, float] = {}
    for draw in range(DRAWS):
        pair = shaken(make("float32")[1], draw), make("float32")[1]
        for check in (check_gradients(*pair, batch), *check_update(*pair, batch)):
            largest[check.name] = max(check.value, largest.get(check.name, 0.0))
    return largest


def relaxed(checks: Sequence[Check], floors: dict[str, float]) -> list[Check]:
    """The checks; where the gradients' floor shows a switched ReLU, with limits of FLOOR_FACTOR floors."""
    if floors["gradients"] <= SWITCHED:
        return list(checks)
    limits = {check.name: max(check.limit, FLOOR_FACTOR * floors[check.name]) for check in checks}
    return [replace(c, limit=limits[c.name], where=f"{c.where}, floor {floors[c.name]:.2g}") for c in checks]


def permuted(batches: Sequence[Batch], seed: int = 0) -> list[Batch]:
    """The same batches with their rows in another order: the same mean loss, rounded differently."""
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(batch[0])) for batch in batches]
    return [tuple(array[order] for array in batch) for batch, order in zip(batches, orders, strict=True)]


def _runs(torch_compiled: bool) -> dict[str, tuple[int, bool]]:
    """Name of a run -> which half it trains (0 MLX, 1 PyTorch) and whether its step is compiled."""
    runs = {"PyTorch eager": (1, False), "MLX eager": (0, False), "MLX compiled": (0, True)}
    return runs | ({"PyTorch compiled": (1, True)} if torch_compiled else {})


def check_losses(make: Halves, batches: Sequence[Batch], torch_compiled: bool) -> tuple[list[Check], dict]:
    """(e) and (f): the first losses of every step function compared with torch's floor, and what moved."""
    checks, losses = [], {"floor": train.fit(shaken(make("float32")[1], 0), permuted(batches))}
    for name, (index, compiled) in _runs(torch_compiled).items():
        half = make("float32")[index]
        start = _weights(half)
        losses[name] = train.fit(half, batches, compiled=compiled)
        checks.append(_moved(name, half, start))
    reference = np.array(losses["PyTorch eager"])
    floor = float(np.abs(np.array(losses["floor"]) - reference).max())
    limit = max(limit_of("losses"), FLOOR_FACTOR * floor)
    for name in [run for run in losses if run not in ("floor", "PyTorch eager")]:
        apart = np.abs(np.array(losses[name]) - reference)
        where = f"step {apart.argmax()}, floor {floor:.2g}"
        checks.append(Check(f"losses, {name}", float(apart.max()), limit, where))
    return checks, losses


def check_float64(make: Halves, batches: Sequence[Batch]) -> list[Check]:
    """(g) The same in float64, on the CPU: gradients at step 0, the first losses, and what they leave.

    What cannot be computed in float64 is told in the place of these checks, and is no failure.
    """
    try:
        with stage():
            halves = make("float64")
            gradients = check_gradients(*halves, batches[0], "float64 gradients")
            ours, theirs = (np.array(train.fit(half, batches)) for half in halves)
            left = list(check_evaluation(*halves, batches[0], "float64 "))
    except FAULTS as error:
        return [Check("float64", 0.0, 0.0, unchecked(error))]
    apart, limit = np.abs(ours - theirs), limit_of("float64 losses")
    losses = Check("float64 losses", float(apart.max()), limit, f"step {apart.argmax()}")
    return [gradients, losses, *left]


def gate(
    twin: str, make: Halves, batches: Sequence[Batch], torch_compiled: bool = False, float64: bool = True
) -> Verdict:
    """Every check of the fairness gate on a twin, over as many steps as there are batches (20 is usual).

    When names or shapes differ the rest cannot be compared, and the verdict holds that check alone.
    """
    halves = make("float32")
    names = check_names(*halves)
    if not names.passed:
        return Verdict(twin, (names,), {})
    checks = [names, check_weights(*halves), *check_outputs(*halves, batches[0])]
    gradients = check_gradients(*halves, batches[0])
    checks += check_evaluation(*halves, batches[0])
    first = [gradients, *check_update(*halves, batches[0])]
    checks += relaxed(first, floors(make, batches[0]))
    more, losses = check_losses(make, batches, torch_compiled)
    checks += more + (check_float64(make, batches) if float64 else [])
    return Verdict(twin, tuple(checks), losses)
