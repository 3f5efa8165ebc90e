"""Tensors made from shapes, numbers and conditions, or drawn at random: fill, range, one-hot, non-zero.

Random tensors have Core ML's shapes and distributions but torch's numbers. A seed of 0 or more repeats them.
"""

import torch

from coreml_runtime.operations.registry import Ints, Number, Tensor, operation


@operation("fill", arithmetic=False)
def fill(shape: Ints, value: Number = 0.0):
    return torch.full(shape, value)


@operation("fill_like", arithmetic=False)
def fill_like(ref_tensor: Tensor, value: Number = 0.0):
    return torch.full(tuple(ref_tensor.shape), value)


@operation("range_1d")
def range_1d(start: Number, end: Number, step: Number):
    return torch.arange(start, end, step)


@operation("shape")
def shape(x: Tensor):
    return torch.tensor(x.shape, dtype=torch.int32)


@operation("non_zero")
def non_zero(x: Tensor):
    return torch.nonzero(x)


@operation("one_hot", arithmetic=False)
def one_hot(
    indices: Tensor, one_hot_vector_size: int, axis: int = -1, on_value: Number = 1, off_value: Number = 0
):
    axis %= indices.dim() + 1
    indices = torch.where(indices < 0, indices + one_hot_vector_size, indices).unsqueeze(axis)
    places = torch.arange(one_hot_vector_size).reshape([-1 if i == axis else 1 for i in range(indices.dim())])
    return torch.where(indices == places, torch.tensor(on_value), torch.tensor(off_value))


@operation("band_part", arithmetic=False)
def band_part(x: Tensor, lower: int = -1, upper: int = -1):
    rows, columns = x.shape[-2:]
    below = torch.arange(rows)[:, None] - torch.arange(columns)
    kept = ((below <= lower) | (lower < 0)) & ((-below <= upper) | (upper < 0))
    return torch.where(kept, x, torch.zeros_like(x))


def _generator(seed: int) -> torch.Generator:
    generator = torch.Generator()
    if seed >= 0:
        return generator.manual_seed(seed)
    generator.seed()
    return generator


@operation("random_normal")
def random_normal(shape: Ints, mean: float = 0.0, stddev: float = 1.0, seed: int = -1):
    return torch.randn(shape, generator=_generator(seed)) * stddev + mean


@operation("random_uniform")
def random_uniform(shape: Ints, low: float = 0.0, high: float = 1.0, seed: int = -1):
    return torch.rand(shape, generator=_generator(seed)) * (high - low) + low


@operation("random_bernoulli")
def random_bernoulli(shape: Ints, prob: float = 0.5, seed: int = -1):
    return (torch.rand(shape, generator=_generator(seed)) < prob).float()


@operation("random_categorical")
def random_categorical(x: Tensor, mode: str = "logits", size: int = 1, seed: int = -1):
    weights = torch.softmax(x, dim=-1) if mode == "logits" else x
    rows = weights.reshape(-1, x.shape[-1])
    drawn = torch.multinomial(rows, size, replacement=True, generator=_generator(seed))
    return drawn.reshape(*x.shape[:-1], size).float()
