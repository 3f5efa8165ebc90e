"""Integers that index out of range, found before MLX indexes with them.

MLX does not check an index (https://ml-explore.github.io/mlx/build/html/usage/indexing.html): a label of
-100, or one equal to the number of classes, reads beyond an array or ends the process. PyTorch refuses on a
CPU; on CUDA an assertion in a kernel ends the process as well.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

import numpy as np

from twins.frameworks import uncompiled

import mlx.core as mx  # isort: skip  (after frameworks: the BLAS)
import torch  # isort: skip
from torch.overrides import TorchFunctionMode  # isort: skip

INTEGERS = (mx.int8, mx.int16, mx.int32, mx.int64, mx.uint8, mx.uint16, mx.uint32, mx.uint64)
BEGINS = "index "  # the message of an IndexOutOfRangeError
CURE = "multiply the loss by a mask on both sides, and look up a valid index where it is 0"


class IndexOutOfRangeError(IndexError):
    """An array is indexed outside of its range; the message gives the value, its position and the range."""


def _refused(
    value: int, position: tuple[int, ...], size: int, least: int, label: bool
) -> IndexOutOfRangeError:
    cure = f"; MLX has no ignore_index: {CURE}" if label and value < 0 else ""
    place = f"{BEGINS}{value}, at {list(position)} of the array of indices"
    return IndexOutOfRangeError(f"{place}, is outside of {least} to {size - 1}{cure}")


def _check(indices: np.ndarray, size: int, least: int, label: bool = False) -> None:
    """Errors: IndexOutOfRangeError for the first index below `least` or not below `size`."""
    wrong = np.argwhere((indices < least) | (indices >= size))
    if len(wrong):
        position = tuple(int(i) for i in wrong[0])
        raise _refused(int(indices[position]), position, size, least, label)


def _numbers(value: object) -> np.ndarray | None:
    """The numbers of an array of indices; None for what is no such array, or is not known while tracing."""
    if not isinstance(value, mx.array) or value.dtype not in INTEGERS:
        return None
    try:
        return np.array(value)
    except ValueError:  # "Attempting to eval an array during function transformations"
        return None


def _checked(array: mx.array, indices: object, axis: int, label: bool = False) -> None:
    numbers = _numbers(indices)
    if numbers is not None and array.ndim:
        size = array.shape[axis]
        _check(numbers, size, -size, label)


def _indexed(own: Callable, array: mx.array, index: object, *value: object) -> mx.array:
    """Reads or writes an array at an index: one for each axis, in front of an ellipsis or behind it."""
    parts = index if isinstance(index, tuple) else (index,)
    rest = parts[parts.index(...) + 1 :] if any(part is ... for part in parts) else ()
    before = parts[: len(parts) - len(rest)]
    axes = [part for part in before if part is not None and part is not ...]
    for axis, part in enumerate(axes):
        _checked(array, part, axis)
    behind = [part for part in rest if part is not None]
    for axis, part in enumerate(behind, array.ndim - len(behind)):
        _checked(array, part, axis)
    return own(array, index, *value)


def _take(own: Callable, array: mx.array, indices: object, axis: int | None = None, **more) -> mx.array:
    _checked(array.flatten() if axis is None else array, indices, axis or 0)
    return own(array, indices, axis=axis, **more)


def _take_along(own: Callable, array: mx.array, indices: object, axis: int | None = None, **more) -> mx.array:
    """As losses of mlx.nn take the scores of labels."""
    _checked(array.flatten() if axis is None else array, indices, -1 if axis is None else axis, label=True)
    return own(array, indices, axis=axis, **more)


def _labels(own: Callable, scores: mx.array, labels: object, **more) -> mx.array:
    """As losses of mlx.nn take the scores of labels on an Apple GPU."""
    _checked(scores, labels, -1, label=True)
    return own(scores, labels, **more)


PLACES = (
    (mx.array, "__getitem__", _indexed),
    (mx.array, "__setitem__", _indexed),
    (mx, "take", _take),
    (mx, "take_along_axis", _take_along),
    (mx.fast, "cross_entropy", _labels),
)


class _TorchIndices(TorchFunctionMode):
    """Refuses the ids of an embedding and the classes of a loss that PyTorch's kernels would refuse."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is torch.nn.functional.embedding:
            _check(_host(args[0]), len(args[1] if len(args) > 1 else kwargs["weight"]), 0)
        if function in (torch.nn.functional.cross_entropy, torch.nn.functional.nll_loss) and len(args) > 1:
            scores, classes = args[0], args[1]
            if not classes.is_floating_point() and scores.ndim:
                numbers, ignored = _host(classes), kwargs.get("ignore_index", -100)
                size = scores.shape[1 if scores.ndim > 1 else 0]
                _check(np.where(numbers == ignored, 0, numbers), size, 0)
        return function(*args, **kwargs)


def _host(values: torch.Tensor) -> np.ndarray:
    return values.detach().cpu().numpy()


@contextmanager
def guarded() -> Iterator[None]:
    """While this lasts an index out of range raises IndexOutOfRangeError, in both frameworks."""
    with ExitStack() as patches:
        for owner, name, call in PLACES:
            own = getattr(owner, name)
            patches.enter_context(mock.patch.object(owner, name, _bound(call, own)))
        patches.enter_context(_TorchIndices())
        patches.enter_context(uncompiled())
        yield


def _bound(call: Callable, own: Callable) -> Callable:
    """A function, so that Python binds it as a method where it is one."""
    return lambda *args, **named: call(own, *args, **named)
