"""Bits and division of whole numbers by arithmetic, and views as another type."""

import coremltools as ct
import numpy as np
import pytest
from agreement import assert_agree, results, truths, whole

from mlx_coreml.backends.mil.lowering.arithmetic import integers
from mlx_coreml.backends.mil.program import build
from mlx_coreml.conversion.convert import convert
from mlx_coreml.ir.errors import ConversionError
from mlx_coreml.ir.graph import Graph, Node, Tensor, constant
from twins.frameworks import mx  # not from mlx: the fast BLAS comes first

N, M, K = whole(-99, 99, 3, 4), whole(-99, 99, 3, 4, seed=1), whole(0, 9, 3, 4)
EDGES = mx.array([-(2**31), 2**31 - 1, -1, 0, 1, 2**30])
BYTES = whole(0, 256, 9, dtype=mx.uint8)
CASES = {
    f"{name} of {label}": (lambda x, y, name=name: getattr(mx, name)(x, y), pair)
    for name in ("bitwise_and", "bitwise_or", "bitwise_xor")
    for label, pair in {
        "numbers": (N, M),
        "edges": (EDGES, EDGES[::-1]),
        "bytes": (BYTES, BYTES[::-1]),
        "truths": (truths(3, 4), truths(3, 4, seed=1)),
    }.items()
}
CASES |= {
    "low bits": (lambda x: (x & 1, x & 7, x & 255, x & 0), (N,)),
    "other masks": (lambda x: (x & 6, x | 1, x ^ -1, x & -4), (N,)),
    "inverted": (lambda x: (~x, mx.bitwise_invert(x)), (N,)),
    "inverted bytes": (lambda x: ~x, (BYTES,)),
    "inverted truths": (lambda x: (~x, mx.bitwise_invert(x)), (truths(3, 4),)),
    "shifts by a constant": (lambda x: (x << 3, x >> 2, x >> 0), (N,)),
    "shifts by an input": (lambda x, k: (x << k, x >> k), (N, K)),
    "shifted bytes wrap": (lambda x: (x << 3, x >> 1), (BYTES,)),
    "bytes as signed": (lambda x: x.view(mx.int8), (BYTES,)),
    "truths as bytes": (lambda x: x.view(mx.uint8), (truths(3, 4),)),
    "signed as unsigned": (lambda x: x.view(mx.uint32), (K,)),
    "shifts to the last bit": (lambda x: (x << 31, x >> 31, x >> 30), (EDGES,)),
    "shifts by an input to the last bit": (lambda x, k: (x << k, x >> k), (EDGES, EDGES % 32)),
    "shifted unsigned: zeros come in": (
        lambda x: ((x * 40503) >> 1, (x * 40503) >> 16, (x * 40503) >> 31, (x * 40503) >> (1 + x % 31)),
        (whole(0, 2**31, 40, dtype=mx.uint32),),
    ),
}
# Eight bits wrap whatever computes: sums and products while they run, and where they are written.
SMALL, AT = mx.array([-128, 127, -1, 3, -128], mx.int8), mx.array([0, 3, 3, 1])
CASES |= {
    "running sums and products of bytes": (lambda x: (mx.cumsum(x), mx.cumprod(x[:7])), (BYTES,)),
    "bytes added and multiplied in place": (
        lambda x, u, i: (x.at[i].add(u), x.at[i].multiply(u), x.at[2:6].add(u)),
        (BYTES, whole(0, 256, 4, dtype=mx.uint8), AT),
    ),
    "the lowest byte has no opposite": (lambda x: (mx.abs(x), -x, x // mx.array(-1, mx.int8)), (SMALL,)),
    "quotient and remainder of bytes": (lambda x: mx.divmod(x, mx.array(-1, mx.int8)), (SMALL,)),
    "square of truths": (mx.square, (truths(3, 4),)),
}


@pytest.fixture(scope="module")
def pairs():
    return results(CASES)


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_mlx(name, pairs):
    assert_agree(pairs[name])


def test_a_mask_of_low_bits_is_one_operation():
    model = convert(lambda x: x & 15, N, check=False)
    kinds = {
        op.type
        for op in model.get_spec().mlProgram.functions["main"].block_specializations["CoreML7"].operations
    }
    assert kinds - {"const", "identity"} == {"mod"}


@pytest.mark.parametrize(
    "kind, wanted", [("Divide", [[3, -3, -3, 3]]), ("DivMod", [[3, -3, -3, 3], [1, -1, 1, -1]])]
)
def test_whole_division_of_mlx_0_31_rounds_towards_zero(kind, wanted, monkeypatch):
    monkeypatch.setattr(integers, "divmod_truncates", lambda: True)
    x, y = np.array([7, -7, 7, -7], np.int32), np.array([2, 2, -2, -2], np.int32)
    made = [Tensor(name, (4,), "int32") for name in "qr"[: len(wanted)]]
    graph = Graph(
        [Tensor("unused", (1,), "int32")], made, [Node(kind, [constant(x), constant(y)], made)], ["q", "r"]
    )
    graph.output_names = graph.output_names[: len(made)]
    main = build(graph, "float32", ct.target.iOS17).functions["main"]
    assert [output.val.tolist() for output in main.outputs] == wanted


def test_bits_of_another_type_are_refused():
    with pytest.raises(
        ConversionError, match="reads the bits of float32 as int32; allowed are whole numbers"
    ):
        convert(lambda x: x.view(mx.int32), mx.ones((2,)))


@pytest.mark.parametrize("dtype, fn", [(mx.uint32, lambda x: x - 5 > 0), (mx.int64, lambda x: x * x)])
def test_arithmetic_that_may_leave_the_range_of_int32_is_told(dtype, fn):
    with pytest.warns(
        UserWarning, match=r"primitive '(Subtract|Multiply)' .* computes whole numbers as int32"
    ):
        convert(fn, K.astype(dtype), check=False)
