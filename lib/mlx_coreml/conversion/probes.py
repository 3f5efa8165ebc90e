"""Inputs beyond the example's numbers: zeros, ends of ranges and tables, large positions, other seeds.

A float16 model is most often wrong there: a small constant that guards a division is 0, a position is
rounded, a sum overflows. The inputs follow from what the graph shows of them (input_roles.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from mlx_coreml.conversion.input_roles import Role

MASKING = 1e30  # numbers this large, or infinite, say only that something is left out


@dataclass(frozen=True)
class Probe:
    """A name for messages, one array per input, and the level of grey of pictures (None: random ones)."""

    name: str
    arrays: Sequence[mx.array]
    grey: int | None = None


def probes(example: Sequence[mx.array], roles: Sequence[Role], rng: np.random.Generator) -> list[Probe]:
    """The probes that fit these inputs, the likeliest to fail first."""
    kinds = {role.kind for role in roles}
    makers = {}
    if "position" in kinds:
        makers["large positions"] = _large_positions
    if "ids" in kinds:
        makers["ids at both ends of the table"] = _both_ends
    if kinds & {"number", "position"}:
        makers |= {"zeros": _filled(lambda low, high: 0), "ones": _filled(lambda low, high: 1)}
    if "mask" in kinds:
        makers["all-masked rows"] = _masked
    makers["numbers of another seed"] = like
    if any(role.kind == "number" and _varies(array) for array, role in zip(example, roles, strict=True)):
        makers |= {"the least numbers": _filled(lambda low, high: low)}
        makers |= {"the greatest numbers": _filled(lambda low, high: high)}
    grey = {"zeros": 0, "the least numbers": 0, "ones": 255, "the greatest numbers": 255}
    return [
        Probe(name, [make(a, role, rng) for a, role in zip(example, roles, strict=True)], grey.get(name))
        for name, make in makers.items()
    ]


def like(array: mx.array, role: Role, rng: np.random.Generator) -> mx.array:
    """Random numbers within an array's range, ids of the whole table; normal ones if all floats are equal."""
    if array.dtype == mx.bool_:
        return mx.array(rng.integers(0, 2, array.shape).astype(bool))
    values = _numpy(array)
    if not values.size:
        return array
    low, high = (float(end) for end in (values.min(), values.max()))
    if values.dtype.kind in "iu":
        least, most = values.min(), values.max()
        if role.kind == "ids":
            least, most = min(least, 0), int(role.highest)
        drawn = rng.integers(least, most, values.shape, values.dtype, endpoint=True)
    elif low == high and np.isfinite(low):
        drawn = rng.standard_normal(values.shape)
    elif max(-low, high) < MASKING:
        drawn = rng.uniform(low, high, values.shape)
    else:  # a mask: other rows of it, so that no row is masked as a whole
        drawn = rng.permutation(values, axis=max(values.ndim - 2, 0))
    return _as(array, drawn)


def _varies(array: mx.array) -> bool:
    values = _numpy(array)
    return bool(values.size) and bool(values.min() != values.max())


def _numpy(array: mx.array) -> np.ndarray:
    return np.array(array.astype(mx.float32) if array.dtype == mx.bfloat16 else array)


def _as(array: mx.array, values: np.ndarray) -> mx.array:
    """Values in an array's type."""
    return mx.array(np.asarray(values, _numpy(array).dtype)).astype(array.dtype)


def _filled(chosen: Callable) -> Callable:
    """Every number of an input as chosen from its range, and whole ones no greater than they may be."""

    def fill(array: mx.array, role: Role, rng: np.random.Generator) -> mx.array:
        if role.kind == "mask" or not array.size:
            return array
        values = _numpy(array)
        low, high = values.min(), values.max()
        if not np.isfinite([float(low), float(high)]).all():
            return array
        number = chosen(low, high)
        whole = values.dtype.kind in "iu"
        return _as(array, np.full(values.shape, min(number, int(role.highest)) if whole else number))

    return fill


def _large_positions(array: mx.array, role: Role, rng: np.random.Generator) -> mx.array:
    """Positions moved up so that the last one is the greatest there may be."""
    if role.kind != "position":
        return array
    values = _numpy(array).astype(np.float64)
    return _as(array, values + (role.highest - values.max()))


def _both_ends(array: mx.array, role: Role, rng: np.random.Generator) -> mx.array:
    """The first and the last id in turn."""
    if role.kind != "ids":
        return array
    turns = np.arange(array.size).reshape(array.shape) % 2
    return _as(array, np.where(turns == 0, int(role.highest), 0))


def _masked(array: mx.array, role: Role, rng: np.random.Generator) -> mx.array:
    """A mask that hides everything."""
    if role.kind != "mask":
        return array
    return mx.zeros_like(array) if array.dtype == mx.bool_ else mx.full(array.shape, array.min(), array.dtype)
