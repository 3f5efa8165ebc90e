"""Cases of slicing and of tensors made from shapes and conditions."""

import numpy as np
from cases import add, assigned, floats

X = floats(2, 3, 4)
SLICES = [
    ("plain", {"begin": [0, 1, 1], "end": [2, 3, 3]}),
    ("negative", {"begin": [0, -2, -3], "end": [2, 3, -1]}),
    ("stride", {"begin": [0, 0, 0], "end": [2, 3, 4], "stride": [1, 2, 3]}),
    ("reversed", {"begin": [0, 2, 3], "end": [2, 0, 0], "stride": [1, -1, -2]}),
    (
        "masks",
        {
            "begin": [1, 1, 1],
            "end": [1, 2, 3],
            "begin_mask": [True, False, False],
            "end_mask": [True, False, True],
        },
    ),
    (
        "reversed-masks",
        {
            "begin": [0, 0, 0],
            "end": [0, 0, 0],
            "stride": [1, -1, 1],
            "begin_mask": [True] * 3,
            "end_mask": [True] * 3,
        },
    ),
    ("squeeze", {"begin": [1, -1, 0], "end": [2, 3, 4], "squeeze_mask": [True, True, False]}),
    ("past-end", {"begin": [0, 0, 1], "end": [9, 9, 9]}),
]
for label, constants in SLICES:
    add("slice_by_index", label, x=X, **constants)
add("slice_by_size", x=X, begin=[0, 1, 1], size=[2, -1, 2])
add(
    "slice_update",
    opset=18,
    x=X,
    update=floats(2, 2, 2, seed=3),
    begin=[0, 1, 0],
    end=[2, 3, 4],
    stride=[1, 1, 2],
    expected=lambda x, update: assigned(x, np.s_[:, 1:3, 0:4:2], update),
)
add(
    "slice_update",
    "reversed",
    opset=18,
    x=X,
    update=floats(2, 3, 4, seed=3),
    begin=[0, 0, 0],
    end=[0, 0, 0],
    stride=[1, -1, 1],
    begin_mask=[True] * 3,
    end_mask=[True] * 3,
    expected=lambda x, update: update[:, ::-1],
)
add(
    "slice_update",
    "squeeze",
    opset=18,
    x=X,
    update=floats(3, 4, seed=3),
    begin=[1, 0, 0],
    end=[2, 3, 4],
    squeeze_mask=[True, False, False],
    expected=lambda x, update: assigned(x, np.s_[1], update),
)


add("fill_like", ref_tensor=X, value=3.5, expected=lambda ref_tensor: np.full((2, 3, 4), 3.5, np.float32))
add("shape", x=X)
add("non_zero", x=np.array([[0, 1, 0], [2, 0, 3]], np.float32))
add("range_1d", start=np.array(2, np.int32), end=9, step=3, expected=lambda start: np.arange(2, 9, 3))
add(
    "one_hot",
    indices=np.array([0, 2, 1], np.int32),
    one_hot_vector_size=4,
    expected=lambda indices: np.eye(4)[indices],
)
add(
    "one_hot",
    "axis",
    indices=np.array([[0, 2], [1, 0]], np.int32),
    one_hot_vector_size=3,
    axis=1,
    on_value=2.5,
    off_value=-1.0,
    expected=lambda indices: np.where(np.arange(3)[None, :, None] == indices[:, None], 2.5, -1.0),
)
for lower, upper in ((-1, 0), (0, -1), (1, 1), (0, 0), (-1, -1), (2, -1)):
    add("band_part", f"{lower},{upper}", x=floats(2, 4, 5), lower=lower, upper=upper)
