"""Integers that index out of range, found before MLX indexes with them, which would end the process.

PyTorch refuses such an index on a CPU; on CUDA an assertion in a kernel ends the process as well.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

import numpy as np

from twins.frameworks import uncompiled
from twins.parity.interception import bounds

import mlx.core as mx  # isort: skip  (after frameworks: the BLAS)
import torch  # isort: skip
from torch.nn import functional as F  # isort: skip
from torch.overrides import TorchFunctionMode  # isort: skip

CURE = (
    "MLX has no ignore_index: multiply the loss by a mask on both sides, and give a valid index where it is 0"
)
PLACES = (
    (mx.array, "__getitem__"),
    (mx.array, "__setitem__"),
    (mx, "take"),
    (mx, "take_along_axis"),
    (mx, "put_along_axis"),
    (mx.fast, "cross_entropy"),
)


class _TorchIndices(TorchFunctionMode):
    """Refuses the ids of an embedding and the classes of a loss that PyTorch's kernels would refuse."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is F.embedding:
            bounds.within(_host(args[0]), len(args[1] if len(args) > 1 else kwargs["weight"]), 0)
        if function in (F.cross_entropy, F.nll_loss) and len(args) > 1:
            scores, classes = args[0], args[1]
            if not classes.is_floating_point() and scores.ndim:
                numbers, ignored = _host(classes), kwargs.get("ignore_index", -100)
                size = scores.shape[1 if scores.ndim > 1 else 0]
                bounds.within(np.where(numbers == ignored, 0, numbers), size, 0)
        return function(*args, **kwargs)


def _host(values: torch.Tensor) -> np.ndarray:
    return values.detach().cpu().numpy()


@contextmanager
def guarded() -> Iterator[None]:
    """While this lasts an index out of range raises IndexOutOfRangeError, in both frameworks."""
    with ExitStack() as patches:
        for owner, name in PLACES:
            patches.enter_context(mock.patch.object(owner, name, _checked(name, getattr(owner, name))))
        patches.enter_context(_TorchIndices())
        patches.enter_context(uncompiled())
        yield


def _checked(name: str, own: Callable) -> Callable:
    """A function, so that Python binds it as a method where it is one."""

    def call(*args: object, **named: object) -> object:
        bounds.check(name, args, named)
        return own(*args, **named)

    return call
