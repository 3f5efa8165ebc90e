"""Activations, with the parameters named alpha and beta that MIL gives them."""

import torch
import torch.nn.functional as F

from coreml_runtime.operations.registry import Tensor, operation


@operation("relu", arithmetic=False)
def relu(x: Tensor):
    return torch.relu(x)


@operation("softplus")
def softplus(x: Tensor):
    return torch.logaddexp(x, torch.zeros_like(x))  # F.softplus is linear above 20


@operation("softplus_parametric")
def softplus_parametric(x: Tensor, alpha: Tensor, beta: Tensor):
    alpha, beta = per_channel(alpha, x), per_channel(beta, x)
    return alpha * softplus(x * beta)


@operation("softmax")
def softmax(x: Tensor, axis: int = -1):
    return torch.softmax(x, axis)


@operation("gelu")
def gelu(x: Tensor, mode: str = "EXACT"):
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    return F.gelu(x, approximate={"EXACT": "none", "TANH_APPROXIMATION": "tanh"}[mode])


@operation("elu")
def elu(x: Tensor, alpha: float):
    return F.elu(x, alpha)


@operation("leaky_relu")
def leaky_relu(x: Tensor, alpha: float):
    return F.leaky_relu(x, alpha)


@operation("prelu")
def prelu(x: Tensor, alpha: Tensor):
    return torch.where(x > 0, x, x * per_channel(alpha, x))


@operation("clamped_relu")
def clamped_relu(x: Tensor, alpha: float, beta: float):
    return torch.clamp(torch.where(x >= 0, x, x * alpha), max=beta)


@operation("thresholded_relu", arithmetic=False)
def thresholded_relu(x: Tensor, alpha: float):
    return torch.where(x >= alpha, x, torch.zeros_like(x))


@operation("linear_activation")
def linear_activation(x: Tensor, alpha: float, beta: float = 0.0):
    return x * alpha + beta


@operation("scaled_tanh")
def scaled_tanh(x: Tensor, alpha: float = 1.0, beta: float = 1.0):
    return alpha * torch.tanh(x * beta)


@operation("sigmoid_hard")
def sigmoid_hard(x: Tensor, alpha: float = 0.2, beta: float = 0.5):
    return torch.clamp(x * alpha + beta, 0, 1)


def per_channel(values: Tensor, x: Tensor) -> Tensor:
    """One value per channel, shaped to broadcast with x (N, C, ...)."""
    return values.reshape(1, -1, *[1] * (x.dim() - 2))
