"""Findings about published comparisons, each reproduced live with a small model of our own.

Every function reproduces the defect and measures the same without it (the control). Findings that were only
read in a source are in data/published/audit.csv. The benchmarks they were found in:
https://github.com/LucasSte/MLX-vs-Pytorch and https://github.com/TristanBilot/mlx-benchmark
"""

from collections.abc import Callable

from twins.frameworks import MLX, mx  # isort: skip  (its BLAS must be loaded before mlx.nn)
import mlx.nn
import mlx.optimizers
import numpy as np
import torch
from mlx.utils import tree_flatten
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from twins.records.record_types import Finding

_WIDTH = 32


def findings() -> list[Finding]:
    """Every finding that needs no large model, reproduced now."""
    return [make() for make in _ALL]


def missing_step(steps: int = 5) -> Finding:
    """Training without optimizer.step(): the largest change of a weight, and with the call."""
    without, with_it = _moved(steps, step=False), _moved(steps, step=True)
    reproduced = without == 0 and with_it > 0
    return Finding("missing optimizer step", "largest change of a weight", without, with_it, reproduced)


def zero_scale() -> Finding:
    """LayerNorm scales that start at zero: the share of weight tensors that get a gradient, and with ones."""
    zeros, ones = _share_with_gradient(0.0), _share_with_gradient(1.0)
    name = "LayerNorm scale starts at zero"
    return Finding(name, "share of weight tensors with a gradient", zeros, ones, zeros < ones == 1)


def bias_correction(rate: float = 1e-3) -> Finding:
    """AdamW's first update under MLX's defaults over PyTorch's, and with bias_correction=True."""
    default = _first_update_mlx(rate) / _first_update_torch(rate)
    corrected = _first_update_mlx(rate, bias_correction=True) / _first_update_torch(rate)
    reproduced = abs(default - 1) > 0.01 > abs(corrected - 1)
    measure = "first update, MLX over PyTorch"
    return Finding("AdamW without bias correction", measure, default, corrected, reproduced)


def evaluation_share(steps: int = 5, evaluations: int = 192) -> Finding:
    """Timed "training" of few steps and many evaluations: the share of counted work that is evaluation.

    The schedule is that of the audited benchmark; the control times the steps alone.
    """
    model = torch.nn.Sequential(*(torch.nn.Linear(_WIDTH, _WIDTH) for _ in range(12)))
    x = torch.ones(8, _WIDTH, requires_grad=True)  # as after an embedding: every layer's input has a gradient
    forward, step = _flops(lambda: model(x)), _flops(lambda: model(x).sum().backward())
    with_them, without = (n * forward / (n * forward + steps * step) for n in (evaluations, 0))
    name = "most of the timed work is evaluation"
    return Finding(
        name, "share of the work that is evaluation", with_them, without, with_them > 0.5 > without
    )


def default_dropout() -> Finding:
    """Encoder layers left at their defaults in training: how far two passes over one input differ.

    The effect is PyTorch's layer (dropout 0.1 by default), the control MLX's (0.0).
    """
    torch.manual_seed(0)
    layer, x = torch.nn.TransformerEncoderLayer(_WIDTH, 4, batch_first=True), torch.ones(2, 8, _WIDTH)
    theirs = (layer(x) - layer(x)).abs().max().item()
    ours, y = mlx.nn.TransformerEncoderLayer(_WIDTH, 4), mx.ones((2, 8, _WIDTH))
    control = mx.abs(ours(y, None) - ours(y, None)).max().item()
    name, measure = "dropout in one half only", "difference of two passes over one input"
    return Finding(name, measure, theirs, control, theirs > 0 == control)


def attention_bias() -> Finding:
    """Attention at its defaults: weights that only PyTorch's has, and with biases asked for in MLX."""
    theirs = sum(weight.numel() for weight in torch.nn.MultiheadAttention(_WIDTH, 4).parameters())
    more = [float(theirs - _size(mlx.nn.MultiHeadAttention(_WIDTH, 4, bias=each))) for each in (False, True)]
    name, measure = "biases in one half's attention only", "weights that only PyTorch has"
    return Finding(name, measure, *more, more[0] > 0 == more[1])


def cloned_layers() -> Finding:
    """A new stack of torch.nn.TransformerEncoder: how far its first two layers differ; control: MLX's."""
    layer = torch.nn.TransformerEncoderLayer(_WIDTH, 4)
    first, second = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).layers
    cloned = (first.linear1.weight - second.linear1.weight).abs().max().item()
    first, second = mlx.nn.TransformerEncoder(2, _WIDTH, 4).layers
    drawn = mx.abs(first.linear1.weight - second.linear1.weight).max().item()
    name, measure = "every layer starts as a copy of one", "largest difference of two layers' new weights"
    return Finding(name, measure, cloned, drawn, cloned == 0 < drawn)


def rate_twice(rate: float = 3e-4) -> Finding:
    """A LambdaLR whose function returns the rate and not a factor: the rate reached over the one meant."""
    wrong, right = (_scheduled(rate, factor) / rate for factor in (rate, 1.0))
    name = "learning rate multiplied by itself"
    return Finding(
        name, "rate after warm-up over the rate asked for", wrong, right, wrong < 0.01 < right == 1
    )


def discarded_scatter() -> Finding:
    """`x.at[i].add(y)` as a statement in MLX, whose result is a new array: the sum after, and when kept."""
    x, rows = mx.zeros((4, 2)), mx.array([0, 2])
    x.at[rows].add(mx.ones((2, 2)))
    kept = x.at[rows].add(mx.ones((2, 2)))
    after, control = x.sum().item(), kept.sum().item()
    return Finding(
        "result of a scatter thrown away", "sum after adding 4", after, control, after == 0 < control
    )


def boolean_mask() -> Finding:
    """A causal mask made by filling booleans with -inf: the share of pairs it hides, and as a float mask."""
    lower = torch.ones(8, 8).tril()
    wrong = lower.bool().masked_fill(~lower.bool(), float("-inf")).float()
    right = torch.zeros(8, 8).masked_fill(~lower.bool(), float("-inf"))
    hidden, control = ((torch.softmax(mask, -1) == 0).float().mean().item() for mask in (wrong, right))
    name = "causal mask that hides nothing"
    return Finding(name, "share of pairs hidden", hidden, control, hidden == 0 < control)


def optimizer_loop() -> Finding:
    """AdamW's loop over tensors, as it runs by default on MPS: its share of a step's calls, and fused."""
    loop, fused = _optimizer_share(foreach=False), _optimizer_share(fused=True)
    name, measure = "optimizer's loop over tensors", "share of a step's operations that are the optimizer's"
    return Finding(name, measure, loop, fused, loop > 2 * fused)


def lazy_arrays(size: int = 2**20) -> Finding:
    """Random numbers made in MLX before the clock starts: the share of their bytes that exists by then."""
    shares = []
    for evaluated in (False, True):
        before = mx.get_active_memory()
        x = mx.random.normal((size,))
        if evaluated:
            MLX.evaluate(x)
        shares.append((mx.get_active_memory() - before) / x.nbytes)
        del x
    name, measure = "inputs made inside the timer", "share of the input that exists when the clock starts"
    return Finding(name, measure, *shares, shares[0] < 0.01 < shares[1])


def swapped_factors() -> Finding:
    """The same product with its factors swapped in one half: how far results differ; control: not swapped."""
    x, y = np.random.default_rng(0).random((2, _WIDTH, _WIDTH), np.float32)
    theirs = (torch.from_numpy(x) @ torch.from_numpy(y)).numpy()
    swapped, same = (np.array(mx.array(a) @ mx.array(b)) for a, b in ((y, x), (x, y)))
    apart, control = (float(np.abs(theirs - ours).max() / theirs.max()) for ours in (swapped, same))
    name, measure = "factors of a product swapped in one half", "largest difference over the largest entry"
    return Finding(name, measure, apart, control, apart > 0.01 > control)


_ALL: tuple[Callable[[], Finding], ...] = (
    missing_step,
    zero_scale,
    bias_correction,
    evaluation_share,
    default_dropout,
    attention_bias,
    cloned_layers,
    rate_twice,
    optimizer_loop,
    swapped_factors,
    lazy_arrays,
    discarded_scatter,
    boolean_mask,
)


def _moved(steps: int, *, step: bool) -> float:
    torch.manual_seed(0)
    model = torch.nn.Linear(_WIDTH, _WIDTH)
    before = model.weight.detach().clone()
    optimizer = torch.optim.AdamW(model.parameters())
    x = torch.randn(8, _WIDTH)
    for _ in range(steps):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        if step:
            optimizer.step()
    return (model.weight.detach() - before).abs().max().item()


def _share_with_gradient(scale: float) -> float:
    torch.manual_seed(0)
    norm = torch.nn.LayerNorm(_WIDTH)
    torch.nn.init.constant_(norm.weight, scale)
    model = torch.nn.Sequential(torch.nn.Linear(_WIDTH, _WIDTH), norm, torch.nn.Linear(_WIDTH, 3))
    labels = torch.arange(8) % 3
    torch.nn.functional.cross_entropy(model(torch.randn(8, _WIDTH)), labels).backward()
    return float(np.mean([bool(weight.grad.abs().max() > 0) for weight in model.parameters()]))


def _first_update_torch(rate: float) -> float:
    weight = torch.nn.Parameter(torch.zeros(1))
    weight.grad = torch.ones(1)
    torch.optim.AdamW([weight], lr=rate, weight_decay=0.0).step()
    return -weight.item()


def _first_update_mlx(rate: float, **options: bool) -> float:
    optimizer = mlx.optimizers.AdamW(learning_rate=rate, weight_decay=0.0, **options)
    updated = optimizer.apply_gradients({"w": mx.ones(1)}, {"w": mx.zeros(1)})
    return -updated["w"].item()


def _flops(call: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def _size(model: mlx.nn.Module) -> int:
    return sum(weight.size for _, weight in tree_flatten(model.parameters()))


def _scheduled(rate: float, factor: float, warm_up: int = 4) -> float:
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: factor * min(1.0, n / warm_up))
    for _ in range(warm_up):
        optimizer.step()
        schedule.step()
    return optimizer.param_groups[0]["lr"]


class _Calls(TorchDispatchMode):
    """Counts the operations PyTorch dispatches, without views."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += not getattr(func, "is_view", False)
        return func(*args, **(kwargs or {}))


def _optimizer_share(**options: bool) -> float:
    model = torch.nn.Sequential(*(torch.nn.Linear(_WIDTH, _WIDTH) for _ in range(12)))
    optimizer = torch.optim.AdamW(model.parameters(), **options)
    with _Calls() as network:
        model(torch.ones(8, _WIDTH)).sum().backward()
    optimizer.step()  # the first step also makes the moments
    with _Calls() as update:
        optimizer.step()
    return update.count / (network.count + update.count)
