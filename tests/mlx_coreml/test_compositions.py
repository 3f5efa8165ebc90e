"""Random compositions of operations convert and agree with MLX, many as the outputs of one model."""

import numpy as np
import pytest
from compositions import Composition, compose

from coreml_runtime import load
from coreml_runtime.verification.divergence import rms_relative
from mlx_coreml import ConversionError, convert
from twins.frameworks import mx

SHAPES = [
    ((2, 3, 4), (4,)),
    ((6, 5), (2, 6, 5)),
    ((1, 6, 7, 3), (7, 3)),
    ((8,), (3, 8)),
    ((2, 4, 1, 5), (4, 3, 5)),
]
BATCH = 20  # compositions in one conversion
TOLERANCE = 1e-4


def draw(seed: int) -> tuple[list[mx.array], list[Composition]]:
    rng = np.random.default_rng(seed)
    shapes = SHAPES[seed % len(SHAPES)]
    inputs = [mx.array(rng.uniform(-2, 2, shape).astype(np.float32)) for shape in shapes]
    return inputs, [compose(rng, inputs) for _ in range(BATCH)]


def mismatches(inputs: list[mx.array], compositions: list[Composition]) -> list[str]:
    """What is wrong with each composition that does not convert, or not to what MLX computes."""
    try:
        found = predicted(inputs, compositions)
    except ConversionError as error:
        if len(compositions) == 1:
            return [f"{compositions[0]}: {error}"]
        return [told for each in compositions for told in mismatches(inputs, [each])]
    told = []
    for composition, ours in zip(compositions, found, strict=True):
        theirs = np.atleast_1d(np.array(composition(*inputs), np.float32))
        error = rms_relative(ours, theirs) if ours.shape == theirs.shape else np.inf
        if error > TOLERANCE:
            told.append(f"{composition}: {error:.1e}, {ours.shape} for {theirs.shape}")
    return told


def predicted(inputs: list[mx.array], compositions: list[Composition]) -> list[np.ndarray]:
    """What one model with an output per composition makes of the inputs, on the reference runtime."""

    def together(a, b):
        return [composition(a, b) for composition in compositions]

    model = convert(together, *inputs, precision="float32", check=False)
    found = load(model.package_path).predict(dict(zip("ab", map(np.array, inputs), strict=True)))
    return list(found.values())


@pytest.mark.parametrize("seed", range(3))
def test_sixty_random_compositions_agree(seed):
    assert mismatches(*draw(seed)) == []


@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(3, 100))
def test_two_thousand_random_compositions_agree(seed):
    assert mismatches(*draw(seed)) == []


def test_compositions_differ_and_come_from_their_seed():
    (_, first), (_, again), (_, other) = draw(0), draw(0), draw(5)
    assert list(map(str, first)) == list(map(str, again)) != list(map(str, other))
    assert len(set(map(str, first))) == BATCH and all(len(c.steps) == 5 for c in first)
