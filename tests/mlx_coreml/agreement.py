"""Runs many small functions as one converted model: what Core ML's operations give, beside what MLX gives.

A table of cases is a dictionary from a name to a function and its example arrays.
"""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from coreml_runtime import load
from mlx_coreml.conversion.convert import convert
from twins.frameworks import mx  # not from mlx: the fast BLAS comes first

Cases = Mapping[str, tuple[Callable, tuple[mx.array, ...]]]
Pairs = dict[str, list[tuple[np.ndarray, np.ndarray]]]


def results(cases: Cases, target: str = "iOS17", precision: str = "float32") -> Pairs:
    """For each case the outputs that the converted model and MLX give."""
    owned = [(name, fn, len(arrays)) for name, (fn, arrays) in cases.items()]
    flat = [array for _, arrays in cases.values() for array in arrays]

    def every(*arrays):
        places = iter(arrays)
        return [_listed(fn(*[next(places) for _ in range(count)])) for _, fn, count in owned]

    wanted = every(*flat)
    model = convert(every, *flat, deployment_target=target, precision=precision, check=False)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "cases.mlpackage"))
        model.save(path)
        loaded = load(path)
    fed = {
        name: np.atleast_1d(np.array(array)).astype(feature.dtype)
        for (name, feature), array in zip(loaded.inputs.items(), flat, strict=True)
    }
    found = iter(loaded.predict(fed).values())
    return {
        name: [(next(found), np.atleast_1d(np.array(value))) for value in values]
        for (name, *_), values in zip(owned, wanted, strict=True)
    }


def _listed(made) -> list[mx.array]:
    return list(made) if isinstance(made, list | tuple) else [made]


def assert_agree(pairs: list[tuple[np.ndarray, np.ndarray]], tolerance: float = 1e-5) -> None:
    """Whole numbers and truth values are equal, others within a tolerance of the largest one; nan is nan."""
    assert pairs
    for found, wanted in pairs:
        assert found.shape == wanted.shape
        if not np.issubdtype(wanted.dtype, np.floating):
            np.testing.assert_array_equal(found.astype(np.int64), wanted.astype(np.int64))
            continue
        scale = np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * max(scale, 1e-30))


def normal(*shape: int, seed: int = 0) -> mx.array:
    """Standard normal numbers, the same for the same arguments."""
    return mx.array(np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32))


def whole(low: int, high: int, *shape: int, dtype: mx.Dtype = mx.int32, seed: int = 0) -> mx.array:
    """Whole numbers from low to high - 1."""
    return mx.array(np.random.default_rng([seed, *shape]).integers(low, high, shape)).astype(dtype)


def truths(*shape: int, seed: int = 0) -> mx.array:
    """Truth values, both of them."""
    return mx.array(np.random.default_rng([seed, *shape]).random(shape) < 0.5)
