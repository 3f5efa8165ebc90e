"""Random tensors: shape and distribution are Core ML's, the numbers torch's. Seeds from 0 repeat."""

import torch

from twins.coreml.reference.registry import Ints, Tensor, operation


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
