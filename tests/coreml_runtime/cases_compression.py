"""Cases of compressed constants in both forms, iOS16's and iOS18's; coremltools decompresses them."""

import numpy as np
from cases import add_stored, floats
from coremltools.converters.mil.mil import types

WEIGHT = floats(4, 6)


def packed(values: np.ndarray, bits: int) -> np.ndarray:
    """Integers of `bits` bits as bytes, lowest bit first: the storage of iOS16."""
    digits = (values.reshape(-1, 1) >> np.arange(bits)) & 1
    return np.packbits(digits.astype(np.uint8).reshape(-1), bitorder="little")


def random_integers(name: str, *shape: int, seed: int = 0) -> np.ndarray:
    """Every value of a type that NumPy may not have, such as int4."""
    kind = types.string_to_builtin(name)
    low, high = types.type_mapping.builtin_to_range(kind).low, types.type_mapping.builtin_to_range(kind).high
    values = np.random.default_rng(seed).integers(int(low), int(high) + 1, shape)
    return values.astype(types.nptype_from_builtin(kind))


add_stored("constexpr_cast", opset=16, source_val=WEIGHT.astype(np.float16), output_dtype="fp32")
for axis in (0, 1):
    size = WEIGHT.shape[axis]
    add_stored(
        "constexpr_affine_dequantize",
        f"axis{axis}",
        16,
        quantized_data=random_integers("int8", 4, 6),
        axis=axis,
        zero_point=np.arange(size, dtype=np.int8),
        scale=floats(size, low=0.1, seed=axis),
    )
add_stored(
    "constexpr_affine_dequantize",
    "scalar",
    16,
    quantized_data=random_integers("uint8", 4, 6),
    axis=0,
    zero_point=np.uint8(7),
    scale=np.float32(0.05),
)
for bits in (1, 2, 4, 6, 8):
    indices = np.random.default_rng(bits).integers(0, 2**bits, 24)
    add_stored(
        "constexpr_lut_to_dense",
        f"{bits}-bit",
        16,
        indices=packed(indices, bits),
        lut=floats(2**bits, seed=bits),
        shape=np.array([4, 6], np.uint32),
    )
MASK = np.random.default_rng(3).integers(0, 2, (4, 6)).astype(bool)
add_stored(
    "constexpr_sparse_to_dense",
    opset=16,
    nonzero_data=WEIGHT[MASK],
    mask=packed(MASK.astype(int), 1),
    shape=np.array([4, 6], np.uint32),
)

for name in ("int4", "uint4", "int8", "uint8"):
    add_stored(
        "constexpr_blockwise_shift_scale",
        name,
        18,
        data=random_integers(name, 4, 6),
        scale=floats(4, 2, low=0.1, seed=1),
        offset=random_integers(name, 4, 2, seed=2),
    )
add_stored(
    "constexpr_blockwise_shift_scale",
    "no-offset",
    18,
    data=random_integers("int8", 4, 6),
    scale=floats(1, 3, low=0.1, seed=1),
)
for bits in (1, 2, 3, 4, 6, 8):
    add_stored(
        "constexpr_lut_to_dense",
        f"blocks-{bits}-bit",
        18,
        indices=random_integers(f"uint{bits}", 4, 6),
        lut=floats(2, 3, 2**bits, 1, seed=bits),
    )
for axis in (0, 1):
    add_stored(
        "constexpr_lut_to_dense",
        f"vectors-axis{axis}",
        18,
        indices=random_integers("uint2", 4, 6),
        lut=floats(2, 1, 4, 3, seed=9),
        vector_axis=axis,
    )
UINT1 = types.nptype_from_builtin(types.uint1)
add_stored("constexpr_sparse_to_dense", opset=18, nonzero_data=WEIGHT[MASK], mask=MASK.astype(UINT1))
