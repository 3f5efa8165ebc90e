"""Normalisations. The variance is the biased one, and epsilon is added to it before the root."""

import torch
import torch.nn.functional as F

from coreml_runtime.operations.activation import per_channel
from coreml_runtime.operations.registry import Ints, Tensor, operation


@operation("batch_norm")
def batch_norm(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: float = 1e-5,
):
    return F.batch_norm(x, mean, variance, gamma, beta, training=False, eps=epsilon)


@operation("instance_norm")
def instance_norm(x: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None, epsilon: float = 1e-5):
    y = _standardize(x, list(range(2, x.dim())), epsilon)
    y = y if gamma is None else y * per_channel(gamma, x)
    return y if beta is None else y + per_channel(beta, x)


@operation("layer_norm")
def layer_norm(
    x: Tensor,
    axes: Ints | None = None,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: float = 1e-5,
):
    axes = sorted(axis % x.dim() for axis in axes) if axes else list(range(x.dim()))
    shape = [x.shape[axis] for axis in axes]
    if axes == list(range(x.dim() - len(axes), x.dim())):
        return F.layer_norm(x, shape, gamma, beta, epsilon)
    y = _standardize(x, axes, epsilon)
    spread = [size if axis in axes else 1 for axis, size in enumerate(x.shape)]
    y = y if gamma is None else y * gamma.reshape(spread)
    return y if beta is None else y + beta.reshape(spread)


@operation("l2_norm")
def l2_norm(x: Tensor, epsilon: float = 1e-6):
    return x / torch.sqrt(x.square().sum((-3, -2, -1), keepdim=True) + epsilon)


@operation("local_response_norm")
def local_response_norm(x: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0):
    if x.dim() == 3:  # Apple's tests expect (C, H, W), without a batch
        return F.local_response_norm(x.unsqueeze(0), size, alpha, beta, k).squeeze(0)
    return F.local_response_norm(x, size, alpha, beta, k)


def _standardize(x: Tensor, axes: list[int], epsilon: float) -> Tensor:
    centred = x - x.mean(axes, keepdim=True)
    return centred / torch.sqrt(centred.square().mean(axes, keepdim=True) + epsilon)
