"""Rewrites AsStrided, a view of a flat array by sizes and strides: as sliding windows, or as a gather.

Pools are fused before (pooling.py). https://ml-explore.github.io/mlx/build/html/python/_autosummary/mlx.core.as_strided.html
"""

import math

import numpy as np

from mlx_coreml.ir.errors import ConversionError
from mlx_coreml.ir.graph import Graph, Node, constant
from mlx_coreml.passes.rewriting.rewrite import made_by, replaced, rewrite, step

INDEX_LIMIT = 2**22  # elements a constant index may have: 16 MB


def rewrite_strides(graph: Graph) -> None:
    """Replace each AsStrided. Errors: ConversionError for one that is no window, too large for an index."""
    rewrite(graph, {"AsStrided": [_windows, _gathered]})


def _windows(node: Node) -> list[Node] | None:
    """Windows along one axis of the array before it was flattened, such as the frames of a signal."""
    shape, strides, offset = node.unpack(3)
    flat = made_by(node.inputs[0], "Flatten", "Reshape")
    for source in [*(flat.inputs if flat else ()), node.inputs[0]]:
        steps = tuple(math.prod(source.shape[i + 1 :]) for i in range(source.rank))
        for axis in range(source.rank if len(shape) == source.rank + 1 and not offset else 0):
            count, size = shape[axis : axis + 2]
            stride, rest = divmod(strides[axis], steps[axis])
            full = (*source.shape[:axis], count, size, *source.shape[axis + 1 :])
            same = tuple(strides) == (*steps[:axis], strides[axis], *steps[axis:]) and tuple(shape) == full
            if same and not rest and stride and count == (source.shape[axis] - size) // stride + 1:
                return [replaced(node, "windows", [source], axis, size, stride)]
    return None


def _gathered(node: Node) -> list[Node]:
    """Each element by its place in the flat array."""
    shape, strides, offset = node.unpack(3)
    (x,), count = node.inputs, math.prod(shape)
    if count > INDEX_LIMIT:
        raise ConversionError(
            f"{node.where}: {count} elements are read by strides, which Core ML lacks; allowed "
            f"are windows along one axis, pools, and up to {INDEX_LIMIT} elements"
        )
    places = np.full(tuple(shape), offset, np.int32)
    for axis, stride in enumerate(strides):
        places += (stride * np.arange(shape[axis], dtype=np.int32)).reshape(
            [-1 if i == axis else 1 for i in range(len(shape))]
        )
    taken = step(node, "Gather", [x, constant(places.reshape(-1))], (count, 1), [0], (1,))
    return [taken, replaced(node, "Reshape", [taken.output], tuple(shape))]
