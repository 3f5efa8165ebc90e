"""Floating-point operations of a training step, counted twice: by torch's counter and on MLX's graph.

Two per multiply-add, matrix products and convolutions only. Both counts are made on the CPU, whatever device
is in use: operations do not depend on it, and torch's counter does not know those that MPS makes of a linear
layer and of attention. Attention runs unfused for the count (the counter does not know the CPU's flash kernel
either) and MLX is traced on the CPU stream, where its attention is plain products. The two counts must agree
exactly. They cannot for grouped convolutions, whose weight gradient torch counts as if dense, nor for the
weight gradient of transposed ones.
https://docs.pytorch.org/docs/2.13 (torch.utils.flop_counter), mlx.core.export_function
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from twins.training import accumulation
from twins.training.train import Half

import mlx.core as mx  # isort: skip  (after twins.frameworks: the BLAS)
from mlx.utils import tree_flatten  # isort: skip


def count_torch(half: Half, *batch) -> int:
    """Operations of forward and backward of the torch half on one batch; its gradients stay as they are."""
    call = _OnCpu(half.model, half.loss)
    with _counting() as counter:
        for part in accumulation.split(batch, half.accumulate):
            call(*part).backward()
    return counter.get_total_flops()


class _OnCpu:
    """Calls `function(model, *inputs)` with the weights, buffers and inputs of a torch module on the CPU.

    The module itself is not moved: an optimizer may hold its parameters.
    """

    def __init__(self, model: torch.nn.Module, function: Callable | None = None):
        self.held = _Held(model, function)
        named = [*self.held.named_parameters(), *self.held.named_buffers()]
        self.values = {
            name: value.detach().cpu().requires_grad_(value.requires_grad) for name, value in named
        }

    def __call__(self, *inputs: torch.Tensor):
        return functional_call(self.held, self.values, tuple(x.detach().cpu() for x in inputs))


class _Held(torch.nn.Module):
    """A module whose forward is a function of another, as functional_call wants it."""

    def __init__(self, model: torch.nn.Module, function: Callable | None):
        super().__init__()
        self.model, self.function = model, function

    def forward(self, *inputs: torch.Tensor):
        return self.function(self.model, *inputs) if self.function else self.model(*inputs)


def _linear_backward(x, gradient, weight, mask, out_shape=None, **_) -> int:
    """Both gradients of a linear layer that a back end keeps whole, as MPS does: (..., I) and (..., O)."""
    return 2 * math.prod(gradient) * x[-1] * sum(mask[:2])


@contextmanager
def _counting() -> Iterator[FlopCounterMode]:
    """torch's counter, with attention unfused."""
    more = {torch.ops.aten.linear_backward: _linear_backward}
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False, custom_mapping=more) as counter:
        yield counter


def _product(inputs: list, output: tuple[int, ...], _) -> int:
    """Matrix product (..., M, K) @ (..., K, N): every output needs K multiply-adds."""
    return 2 * math.prod(output) * inputs[0][-1]


def _convolution(inputs: list, output: tuple[int, ...], arguments: list) -> int:
    """Convolution with weight (out, ..., in): every output needs one multiply-add per tap and channel.

    MLX writes a transposed convolution, such as the gradient of a convolution's input, as one with its
    taps flipped over an input spread by zeros. There every input meets every tap once.
    """
    *_, groups, flipped = arguments
    x, weight = inputs
    if flipped:
        return 2 * math.prod(x) * math.prod(weight[:-1]) // groups
    return 2 * math.prod(output) * math.prod(weight[1:])


COUNTED = {"Matmul": _product, "AddMM": _product, "Convolution": _convolution}


def exported(function, *arguments) -> list[dict]:
    """Every entry of MLX's exported graph of one call, traced on the CPU stream."""
    found: list[dict] = []
    with mx.stream(mx.cpu):
        mx.export_function(found.append, function, *arguments)
    return found


def primitives(function, *arguments) -> list[dict]:
    """The primitives of one call."""
    return [entry for entry in exported(function, *arguments) if entry["type"] == "primitive"]


def count_mlx(half: Half, *batch) -> int:
    """Operations of forward and backward of the MLX half on one batch, from its exported graph."""
    loss_and_gradients = accumulation.mlx_loss_and_gradients(half.model, half.loss, half.accumulate, True)
    before = half.model.parameters()

    def step(*arrays):
        loss, gradients = loss_and_gradients(*arrays)
        return [loss, *(gradient for _, gradient in tree_flatten(gradients))]

    found = primitives(step, *batch)
    half.model.update(before)  # tracing left tracers in buffers that the forward pass changes
    return _counted(found)


def _counted(primitives: list[dict]) -> int:
    """Operations of the primitives that have any."""
    total = 0
    for primitive in primitives:
        rule = COUNTED.get(primitive["name"])
        if rule:
            inputs = [shape for _, shape, _ in primitive["inputs"]]
            total += sum(rule(inputs, shape, primitive["arguments"]) for _, shape, _ in primitive["outputs"])
    return total


def count(mlx: Half, torch_half: Half, arrays: tuple) -> int:
    """Operations of one training step's forward and backward, agreed on by both counts.

    Errors: ArithmeticError with both counts when they differ; then the halves do different work.
    """
    ours = count_mlx(mlx, *mlx.batch(arrays))
    theirs = count_torch(torch_half, *torch_half.batch(arrays))
    return _agreed(ours, theirs)


def _agreed(ours: int, theirs: int) -> int:
    """The count that both give."""
    if ours != theirs:
        raise ArithmeticError(
            f"a step is {ours:,} operations in MLX's graph and {theirs:,} by torch's counter"
        )
    return ours


def count_forward(mlx_model, torch_model, mlx_input: mx.array, torch_input: torch.Tensor) -> int:
    """Operations of one forward pass, agreed on by both counts. Errors: ArithmeticError when they differ."""
    ours = _counted(primitives(mlx_model, mlx_input))
    with torch.no_grad(), _counting() as counter:
        _OnCpu(torch_model)(torch_input)
    return _agreed(ours, counter.get_total_flops())
