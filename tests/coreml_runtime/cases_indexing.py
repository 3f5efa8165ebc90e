"""Cases of sorting, running sums, gather and scatter; among ties the first index wins."""

import numpy as np
from cases import add, assigned, floats, integers

X = floats(2, 3, 4)
TIED = np.array([[3, 1, 3, 2, 1, 2]], np.float32)
for ascending in (False, True):
    add("topk", f"ascending={ascending}", x=X, k=2, axis=-1, ascending=ascending)
    add("argsort", f"ascending={ascending}", x=X, axis=1, ascending=ascending)
    add(
        "argsort",
        f"ties-{ascending}",
        x=TIED,
        axis=-1,
        ascending=ascending,
        expected=lambda x, ascending=ascending: np.argsort(x if ascending else -x, axis=-1, kind="stable"),
    )
add("topk", "axis0", x=floats(5, 3), k=3, axis=0)
add("topk", "values-only", x=X, k=2, axis=-1, return_indices=False)


def running_sum(x, exclusive, reverse):
    """Sums along axis 1 by their definition: which elements count towards each."""
    i = np.arange(x.shape[1])
    counted = i[:, None] > i if exclusive else i[:, None] >= i
    return np.einsum("ij,bjk->bik", counted.T if reverse else counted, x)


for exclusive in (False, True):
    for reverse in (False, True):
        add(
            "cumsum",
            f"{exclusive},{reverse}",
            x=X,
            axis=1,
            exclusive=exclusive,
            reverse=reverse,
            expected=lambda x, exclusive=exclusive, reverse=reverse: running_sum(x, exclusive, reverse),
        )
add("cumsum", "negative-axis", x=X, axis=-1)

for axis in (0, 1, -1):
    add("gather", f"axis{axis}", x=X, indices=np.array([1, 0, 1], np.int32), axis=axis)
add("gather", "rank-2", x=X, indices=np.array([[0, 1], [2, 0]], np.int32), axis=1)
add("gather", "scalar", x=X, indices=np.array(1, np.int32), axis=1, expected=lambda x, indices: x[:, 1])
add("gather", "negative", 16, x=X, indices=np.array([-1, 0], np.int32), axis=-1)
add(
    "gather",
    "batch",
    x=X,
    indices=np.array([[0, 3], [1, 1]], np.int32),
    axis=2,
    batch_dims=1,
    expected=lambda x, indices: np.stack([x[b][:, indices[b]] for b in range(2)]),
)
add("gather_along_axis", x=X, indices=integers(2, 3, 2, low=0, high=4), axis=-1)
add("gather_along_axis", "axis0", x=X, indices=integers(4, 3, 4, low=0, high=2), axis=0)
add(
    "gather_nd",
    x=X,
    indices=np.array([[0, 1], [1, 2]], np.int32),
    expected=lambda x, indices: x[[0, 1], [1, 2]],
)
add(
    "gather_nd",
    "batch",
    x=X,
    indices=np.array([[[1, 3]], [[2, 0]]], np.int32),
    batch_dims=1,
    expected=lambda x, indices: np.stack([x[0][1, 3], x[1][2, 0]])[:, None],
)

UFUNCS = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "max": np.maximum,
    "min": np.minimum,
}


def scattered(data, index, updates, mode):
    y = data.copy()
    if mode == "update":
        y[index] = updates
    else:
        UFUNCS[mode].at(y, index, updates)
    return y


REPEATED = np.array([2, 0, 2], np.int32)
for mode in (*UFUNCS, "update"):
    indices = REPEATED if mode != "update" else np.array([2, 0], np.int32)
    add(
        "scatter",
        mode,
        data=X,
        indices=indices,
        updates=floats(2, len(indices), 4, low=0.5, seed=4),
        axis=1,
        mode=mode,
        expected=lambda data, indices, updates, mode=mode: scattered(
            data.swapaxes(0, 1), (indices,), updates.swapaxes(0, 1), mode
        ).swapaxes(0, 1),
    )
    add(
        "scatter_along_axis",
        mode,
        data=X,
        indices=np.argsort(floats(2, 3, 4, seed=5), 1).astype(np.int32),
        updates=floats(2, 3, 4, low=0.5, seed=6),
        axis=1,
        mode=mode,
        expected=lambda data, indices, updates, mode=mode: scattered(
            data,
            tuple(indices if i == 1 else grid for i, grid in enumerate(np.indices(indices.shape))),
            updates,
            mode,
        ),
    )
    add(
        "scatter_nd",
        mode,
        data=X,
        indices=np.array([[0, 1], [1, 2]], np.int32),
        updates=floats(2, 4, low=0.5, seed=7),
        mode=mode,
        expected=lambda data, indices, updates, mode=mode: scattered(data, ([0, 1], [1, 2]), updates, mode),
    )
add(
    "scatter",
    "negative-dropped",
    data=X,
    indices=np.array([-1, 0], np.int32),
    updates=floats(2, 2, 4),
    axis=1,
    mode="update",
    expected=lambda data, indices, updates: assigned(data, np.s_[:, 0], updates[:, 1]),
)
add(
    "scatter",
    "negative-wraps",
    15,
    data=X,
    indices=np.array([-1, 0], np.int32),
    updates=floats(2, 2, 4),
    axis=1,
    mode="update",
    expected=lambda data, indices, updates: assigned(data, np.s_[:, [2, 0]], updates),
)
