"""The fairness gate: a twin is timed only after its halves are shown to compute the same thing.

Loss curves of correct twins part after about a hundred steps, even inside one framework, because
training is chaotic; so the gate compares outputs, gradients and updates at the start, and the first
losses against the floor that torch shows against itself when the rows of every batch are permuted.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from twins import train, weights
from twins.frameworks import MLX, on
from twins.train import Half

Batch = tuple[np.ndarray, ...]
Halves = Callable[[str], tuple[Half, Half]]  # dtype -> fresh (MLX, PyTorch) halves with equal weights


@dataclass(frozen=True)
class Threshold:
    """A limit, what correct twins were measured to reach, and the smallest planted defect above it."""

    limit: float
    matched: float
    defect: str
    unit: str


# Largest values of correct twins and values of planted defects (tests/test_parity.py), measured on Linux x86
# with transformer_lm: tiny with 20 seeds, and the quick profile's size.
WORST = "largest relative L2 over tensors"
MEDIAN = "median relative L2 over tensors"
APART = "largest difference in 20 steps, nats"
THRESHOLDS = {
    "weights": Threshold(0.0, 0.0, "a LayerNorm scale zeroed: 1", WORST),
    "outputs": Threshold(1e-5, 6.1e-7, "LayerNorm epsilon 1e-6 for 1e-5: 4.8e-3", "relative L2"),
    "gradients": Threshold(1e-5, 7.9e-7, "tanh for exact GELU: 2.2e-5", WORST),
    "update": Threshold(1e-4, 9.3e-6, "weight decay 0.01 for 0.1: 1.8e-3", MEDIAN),
    "clipping": Threshold(1e-3, 2e-5, "clipping on one side: 0.5", MEDIAN),
    "losses": Threshold(1e-4, 8.1e-6, "LayerNorm epsilon 1e-6 for 1e-5: 1.4e-4", APART),
    "moved": Threshold(0.0, 0.0, "optimizer.step() removed: every tensor", "tensors that did not move"),
    "float64 gradients": Threshold(1e-6, 3.2e-7, "tanh for exact GELU: 2.2e-5", WORST),
    "float64 losses": Threshold(1e-5, 2.7e-6, "clipping on one side: 2.3e-5", APART),
}
HUGE = 1e4  # multiplies the first loss, so that any clipping acts
FLOOR_FACTOR = 10.0  # losses may differ by this many times the floor
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
    return weights.as_mlx(arrays, half.model)


def _numpy(half: Half, tensors: dict) -> dict[str, np.ndarray]:
    return {name: half.framework.numpy(value) for name, value in tensors.items()}


def _worst(name: str, differences: dict[str, float], limit: float) -> Check:
    """The check made of the largest difference and the tensor it is at (nan counts as largest)."""
    if not differences:
        return Check(name, float("inf"), limit, "no tensor to compare")
    where = max(differences, key=lambda k: np.inf if np.isnan(differences[k]) else differences[k])
    return Check(name, differences[where], limit, where)


def check_names(mlx: Half, torch: Half) -> Check:
    """(a) Parameter names, shapes and count, in MLX's layout; the value is how many differ."""
    ours = {k: v.shape for k, v in weights.mlx_weights(mlx.model).items()}
    theirs = {k: v.shape for k, v in _as_mlx(weights.torch_weights(torch.model), mlx).items()}
    wrong = sorted(k for k in ours.keys() | theirs.keys() if ours.get(k) != theirs.get(k))
    listed = "; ".join(f"{k}: MLX {ours.get(k, 'none')}, PyTorch {theirs.get(k, 'none')}" for k in wrong[:3])
    count = sum(int(np.prod(shape)) for shape in ours.values())
    return Check("names", float(len(wrong)), 0.0, listed or f"{len(ours)} tensors, {count:,} numbers")


def check_weights(mlx: Half, torch: Half) -> Check:
    """(a) The initial weights are the same numbers."""
    theirs = _as_mlx(weights.torch_weights(torch.model), mlx)
    ours = weights.mlx_weights(mlx.model)
    return _worst("weights", {k: relative(ours[k], theirs[k]) for k in ours}, THRESHOLDS["weights"].limit)


def check_outputs(mlx: Half, torch: Half, batch: Batch) -> Iterator[Check]:
    """(b) Outputs and loss of one batch in training mode; the last array of a batch is the target."""
    outputs, losses = [], []
    for half in (mlx, torch):
        arrays = half.batch(batch)
        outputs.append(half.framework.numpy(half.model(*arrays[:-1])))
        losses.append(half.framework.numpy(half.loss(half.model, *arrays)))
    limit = THRESHOLDS["outputs"].limit
    if outputs[0].shape != outputs[1].shape:
        where = f"MLX {outputs[0].shape}, PyTorch {outputs[1].shape}"
        yield Check("outputs", float("inf"), limit, where)
        return
    yield Check("outputs", relative(*outputs), limit, f"{outputs[0].shape}")
    yield Check("loss", relative(*losses), limit, f"{float(losses[1]):.4f} nats")


def check_gradients(mlx: Half, torch: Half, batch: Batch, name: str = "gradients") -> Check:
    """(c) Every gradient at step 0; tensors whose true gradient is zero hold noise and are passed over."""
    ours = _numpy(mlx, train.gradients(mlx, *mlx.batch(batch))[1])
    theirs = _as_mlx(_numpy(torch, train.gradients(torch, *torch.batch(batch))[1]), mlx)
    noise = ZERO_GRADIENT * max(np.linalg.norm(g) for g in theirs.values())
    empty = np.zeros(())
    pairs = {k: (ours.get(k, empty), theirs.get(k, empty)) for k in ours.keys() | theirs.keys()}
    real = {k: p for k, p in pairs.items() if max(np.linalg.norm(p[0]), np.linalg.norm(p[1])) > noise}
    return _worst(name, {k: relative(*pair) for k, pair in real.items()}, THRESHOLDS[name].limit)


def _update(mlx: Half, torch: Half, batch: Batch) -> dict[str, float]:
    """Relative L2 between the halves' changes of every parameter in one optimizer step."""
    before = weights.mlx_weights(mlx.model), _as_mlx(weights.torch_weights(torch.model), mlx)
    for half in (mlx, torch):
        train.step(half)(*half.batch(batch))
    after = weights.mlx_weights(mlx.model), _as_mlx(weights.torch_weights(torch.model), mlx)
    return {k: relative(after[0][k] - before[0][k], after[1][k] - before[1][k]) for k in before[0]}


def _median(name: str, differences: dict[str, float]) -> Check:
    """The check made of the median over tensors; the worst is named beside it.

    The median, because Adam normalises the noise in a gradient that is truly zero to full size.
    """
    ordered = sorted(differences, key=differences.get)
    worst = f"worst {ordered[-1]}: {differences[ordered[-1]]:.2g}"
    return Check(name, differences[ordered[len(ordered) // 2]], THRESHOLDS[name].limit, worst)


def check_update(mlx: Half, torch: Half, batch: Batch) -> Iterator[Check]:
    """(d) The change of every parameter in one step, and in the step after one with a huge gradient.

    Adam's first step does not depend on the gradient's size, so clipping shows only in the next: the
    first loss is multiplied by HUGE, which makes any clipping act and weighs in the second moment.
    """
    huge = [replace(half, loss=partial(_scaled, half.loss)) for half in (mlx, torch)]
    yield _median("update", _update(*huge, batch))
    yield _median("clipping", _update(mlx, torch, batch))


def _scaled(loss: Callable, model, *batch):
    return HUGE * loss(model, *batch)


def _moved(name: str, half: Half, before: dict[str, np.ndarray]) -> Check:
    """(f) How many tensors of a trained half are still where they started."""
    now = weights.mlx_weights(half.model) if half.framework is MLX else weights.torch_weights(half.model)
    still = sorted(k for k in now if np.array_equal(now[k], before[k]))
    return Check(f"moved, {name}", float(len(still)), 0.0, ", ".join(still[:3]) or f"all {len(now)} tensors")


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
    """(e) and (f): the first losses of every step function against torch's floor, and what moved."""
    checks, losses = [], {}
    losses["floor"] = train.fit(make("float32")[1], permuted(batches))
    for name, (index, compiled) in _runs(torch_compiled).items():
        half = make("float32")[index]
        start = weights.mlx_weights(half.model) if index == 0 else weights.torch_weights(half.model)
        losses[name] = train.fit(half, batches, compiled=compiled)
        checks.append(_moved(name, half, start))
    reference = np.array(losses["PyTorch eager"])
    floor = float(np.abs(np.array(losses["floor"]) - reference).max())
    limit = max(THRESHOLDS["losses"].limit, FLOOR_FACTOR * floor)
    for name in [run for run in losses if run not in ("floor", "PyTorch eager")]:
        apart = np.abs(np.array(losses[name]) - reference)
        checks.append(
            Check(
                f"losses, {name}", float(apart.max()), limit, f"step {int(apart.argmax())}, floor {floor:.2g}"
            )
        )
    return checks, losses


def check_float64(make: Halves, batches: Sequence[Batch]) -> list[Check]:
    """(g) The same in float64, on the CPU: gradients at step 0 and the first losses."""
    with on("cpu"):
        gradients = check_gradients(*make("float64"), batches[0], "float64 gradients")
        ours, theirs = (np.array(train.fit(half, batches)) for half in make("float64"))
    apart = np.abs(ours - theirs)
    limit = THRESHOLDS["float64 losses"].limit
    return [gradients, Check("float64 losses", float(apart.max()), limit, f"step {int(apart.argmax())}")]


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
    checks += [check_gradients(*halves, batches[0]), *check_update(*halves, batches[0])]
    more, losses = check_losses(make, batches, torch_compiled)
    checks += more + (check_float64(make, batches) if float64 else [])
    return Verdict(twin, tuple(checks), losses)
