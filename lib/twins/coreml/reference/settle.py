"""Brings every result to its declared type: carrier type, fp16 rounding in strict mode, declared shape."""

from collections.abc import Callable

import torch

from twins.coreml.reference.dtypes import TensorType


def settler(declared: TensorType | None, strict: bool, arithmetic: bool) -> Callable:
    """A function that converts and checks one result; with `arithmetic` and `strict`, fp16 results are
    rounded.

    ValueError when the shape is not the declared one.
    """
    if declared is None or declared.dtype.carrier is None:
        return lambda value: value
    carrier = declared.dtype.carrier
    rounds = strict and arithmetic and declared.dtype.name == "FLOAT16"
    exact_shape = declared.shape if declared.shape is not None and None not in declared.shape else None

    def settle(value: torch.Tensor) -> torch.Tensor:
        if value.dtype != carrier:
            value = value.to(carrier)
        if rounds:
            value = value.half().float()
        if value.shape != exact_shape and not declared.matches(value.shape):
            raise ValueError(f"the result has shape {tuple(value.shape)}, the program declares {declared}")
        return value

    return settle
