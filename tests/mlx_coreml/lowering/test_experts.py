"""Products with matrices picked by index, masked blocks, transforms: what MLX gives."""

import numpy as np
import pytest
from agreement import assert_agree, normal, results, whole

from twins.frameworks import mx  # not from mlx: the fast BLAS comes first

A, B = normal(48, 80), normal(80, 33)
BLOCKS = {"out": (2, 2), "lhs": (2, 3), "rhs": (3, 2)}


def masked(*names: str, kind: mx.Dtype):
    """A product with masks of 32 x 32 blocks, and random masks for it."""

    def product(a, b, *masks):
        given = {f"mask_{name}": mask for name, mask in zip(names, masks, strict=True)}
        return mx.block_masked_mm(a, b, 32, **given)

    masks = [whole(0, 2, *BLOCKS[name], seed=i).astype(kind) for i, name in enumerate(names)]
    return product, (A, B, *masks)


CASES = {
    "few experts, many tokens": (
        lambda x, w, i: mx.gather_mm(x, w, rhs_indices=i),
        (normal(3, 4, 1, 8), normal(2, 8, 5), whole(0, 2, 3, 4, dtype=mx.uint32)),
    ),
    "many experts, few tokens": (
        lambda x, w, i: mx.gather_mm(x, w, rhs_indices=i),
        (normal(3, 1, 8), normal(9, 8, 5), whole(0, 9, 3, dtype=mx.uint32)),
    ),
    "experts for several rows": (
        lambda x, w, i: mx.gather_mm(x, w, rhs_indices=i),
        (normal(2, 2, 3, 8), normal(3, 8, 5), whole(0, 3, 2, 2, dtype=mx.uint32)),
    ),
    "left picked": (
        lambda x, w, i: mx.gather_mm(x, w, lhs_indices=i),
        (normal(4, 3, 8), normal(2, 8, 5), mx.array([3, 1], mx.uint32)),
    ),
    "both picked": (
        lambda x, w, i, j: mx.gather_mm(x, w, lhs_indices=i, rhs_indices=j),
        (normal(4, 3, 8), normal(2, 8, 5), mx.array([3, 1, 0], mx.uint32), mx.array([0, 1, 1], mx.uint32)),
    ),
    "two axes of matrices": (
        lambda x, w, i: mx.gather_mm(x, w, rhs_indices=i),
        (normal(2, 3, 1, 8), normal(2, 2, 8, 5), whole(0, 4, 2, 3, dtype=mx.uint32)),
    ),
    "transform of 8": (lambda x: mx.hadamard_transform(x), (normal(3, 8),)),
    "transform of 12": (lambda x: mx.hadamard_transform(x, scale=0.5), (normal(2, 3, 12),)),
    "transform of 40": (lambda x: mx.hadamard_transform(x), (normal(40),)),
}
CASES |= {
    f"blocks of {' and '.join(names)}, {kind}": masked(*names, kind=kind)
    for names in (("out",), ("lhs", "rhs"), ("out", "lhs", "rhs"))
    for kind in (mx.bool_, mx.float32)
}


@pytest.fixture(scope="module")
def pairs():
    return results(CASES)


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_mlx(name, pairs):
    assert_agree(pairs[name])


def test_the_masks_matter():
    product, arrays = CASES["blocks of out, mlx.core.bool"]
    assert np.abs(np.array(product(*arrays)) - np.array(arrays[0] @ arrays[1])).max() > 1
