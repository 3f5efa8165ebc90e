"""What a function returns, laid out flat: arrays, and numbers as constants; and the names of the outputs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import mlx.core as mx
import numpy as np

from mlx_coreml.capture.arguments import Bound
from mlx_coreml.capture.structures import Leaf, leaves
from mlx_coreml.ir.errors import CaptureError

ALLOWED = "arrays, numbers, and lists, tuples, dictionaries, dataclasses and objects of them"
NUMBERS = {bool: mx.bool_, int: mx.int32, float: mx.float32}


def returned(bound: Bound, made: Any) -> list[Leaf]:
    """Every array that a function returned, with its place; a number is an array of it.

    None is left out, and of objects that are no dataclasses everything but arrays. Errors: CaptureError.
    """
    found = [leaf for leaf in leaves(made) if leaf.value is not None and not _is_detail(leaf)]
    arrays = [leaf for leaf in found if isinstance(leaf.value, mx.array | np.ndarray)]
    for leaf in found:
        _check(bound, leaf, bool(arrays))
    if not arrays:
        raise CaptureError(f"{bound.__name__} returns no array; at least one is needed")
    return [replace(leaf, value=_as_array(leaf.value)) for leaf in found]


def _is_detail(leaf: Leaf) -> bool:
    """Whether a leaf is an attribute that no user of a model asks for."""
    private = leaf.plain and any(part.startswith("_") for part in leaf.key.split("."))
    return leaf.plain and (private or not isinstance(leaf.value, mx.array | np.ndarray))


def _check(bound: Bound, leaf: Leaf, is_beside_arrays: bool) -> None:
    where = f" at '{leaf.name}'" if leaf.key else ""
    kind = type(leaf.value)
    is_number = kind in NUMBERS or isinstance(leaf.value, np.generic)
    if not isinstance(leaf.value, mx.array | np.ndarray) and not (is_number and is_beside_arrays):
        raise CaptureError(f"{bound.__name__} returns {kind.__name__}{where}; allowed are {ALLOWED}")
    if isinstance(leaf.value, mx.array | np.ndarray) and not leaf.value.size:
        shape = leaf.value.shape
        raise CaptureError(
            f"{bound.__name__} returns an array of shape {shape}{where}; Core ML has no empty arrays"
        )


def _as_array(value: Any) -> mx.array:
    if isinstance(value, mx.array):
        return value
    dtype = NUMBERS.get(type(value))
    return mx.array(value) if dtype is None or abs(value) >= 2**31 else mx.array(value, dtype)


def output_names(bound: Bound, made: Sequence[Leaf], given: Sequence[str] | str | None) -> list[str]:
    """The names of the outputs: those given, or those of keys and fields. Errors: CaptureError."""
    if given is not None:
        given = [given] if isinstance(given, str) else given
        if not isinstance(given, list | tuple) or not all(isinstance(n, str) and n for n in given):
            raise CaptureError(
                f"outputs={given!r}; allowed is a name, or a list of names, one per returned array"
            )
        if len(given) != len(made) or len(set(given)) != len(given):
            raise CaptureError(
                f"{bound.__name__} returns {len(made)} arrays and outputs={list(given)} "
                f"names {len(set(given))}; one different name per array is needed"
            )
        return list(given)
    if [leaf.key for leaf in made] == [""]:
        return ["output"]
    return [("output_" if leaf.name[0].isdigit() else "") + leaf.name.replace(".", "_") for leaf in made]
