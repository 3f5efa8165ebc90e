"""Findings about published comparisons, each reproduced live with a small model of our own.

The benchmark they were found in: https://github.com/LucasSte/MLX-vs-Pytorch
"""

from dataclasses import dataclass

from twins.frameworks import mx  # isort: skip  (its BLAS must be loaded before mlx.nn)
import mlx.optimizers
import numpy as np
import torch

_WIDTH = 32


@dataclass(frozen=True)
class Finding:
    """One finding: `effect` in the words of `measure`, and the effect where it is absent (`control`)."""

    name: str
    measure: str
    effect: float
    control: float
    reproduced: bool


def findings() -> list[Finding]:
    """Every finding that needs no large model, reproduced now."""
    return [missing_step(), zero_scale(), bias_correction()]


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
