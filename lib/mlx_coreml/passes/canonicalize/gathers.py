"""Rewrites gathers as MIL has them: without the indexed axes, which MLX keeps with size 1 and squeezes
afterwards; and along one axis where the indices of earlier axes only enumerate them, as in x[:, i].

The kind "gather" takes x and one index array per axis; its arguments are those axes, and the axes of the
result: those of x by number, those of the indices from -rank to -1.
"""

import numpy as np

from mlx_coreml.ir.graph import Graph, Node, Tensor, constant
from mlx_coreml.passes.rewriting.rewrite import made_by, replaced, rewrite, through

LIMIT = 5  # axes of a tensor in Core ML


def rewrite_gathers(graph: Graph) -> None:
    """Squeeze(Gather) and Squeeze(Transpose(Gather)) become "gather"; scatters are simplified."""
    rules = {"Squeeze": [squeezed_gather], "Scatter": [scatter_of_reshaped], "MaskedScatter": [masked_number]}
    rewrite(graph, rules)


def squeezed_gather(node: Node) -> list[Node] | None:
    """A Gather whose indexed axes, all of them, are squeezed out, possibly after a transposition."""
    between = made_by(node.inputs[0], "Transpose")
    gather = made_by(between.inputs[0] if between else node.inputs[0], "Gather")
    if gather is None:
        return None
    (axes, sizes), (squeezed,) = gather.unpack(2), node.unpack(1)
    x, *indices = gather.inputs
    full = all(size == (1 if i in axes else x.shape[i]) for i, size in enumerate(sizes))
    labels = [*range(-indices[0].rank, 0), *range(x.rank)]
    if between:
        labels = [labels[place] for place in between.unpack(1)[0]]
    if not full or sorted(labels[place] for place in squeezed) != sorted(axes):
        return None
    kept = [label for place, label in enumerate(labels) if place not in squeezed]
    found = along_one_axis(x, indices, list(axes), kept)
    axes, indices, kept = found or (list(axes), indices, kept)
    return [Node("gather", [x, *indices], node.outputs, (axes, kept), node.path or gather.path)]


def along_one_axis(
    x: Tensor, indices: list[Tensor], axes: list[int], kept: list[int]
) -> tuple[list[int], list[Tensor], list[int]] | None:
    """Axes, indices and labels for x[:, ..., i]: every index but the last counts the axis it indexes."""
    last, rank = len(axes) - 1, indices[0].rank
    counted = [_counts(index, axis, x.shape[axis]) for axis, index in enumerate(indices[:-1])]
    if not last or axes != list(range(last + 1)) or not all(counted):
        return None
    index = _of_last_axes(indices[-1], last)
    if index is None:
        return None
    as_axis = {axis - rank: axis for axis in range(last)}  # those axes of the indices are axes of x
    return [last], [index], [as_axis.get(label, label) for label in kept]


def _counts(index: Tensor, axis: int, size: int) -> bool:
    """Whether an index is its own place along one of its axes, which is as long as the axis it indexes."""
    if index.value is None or index.rank <= axis or index.shape[axis] != size:
        return False
    places = np.arange(size).reshape([-1 if i == axis else 1 for i in range(index.rank)])
    return bool((index.numpy() == places).all())


def _of_last_axes(index: Tensor, skipped: int) -> Tensor | None:
    """An index that is the same along its first axes, without them."""
    wanted = index.shape[skipped:]
    if index.value is not None:
        value = index.numpy()
        first = value[(0,) * skipped]
        return constant(first) if (value == first).all() else None
    before = through(index, "AsType", "Broadcast")
    return before if before.shape == wanted else None


def scatter_of_reshaped(node: Node) -> list[Node] | None:
    """Updates of more than five axes are read from before their reshape; the lowering shapes them."""
    *rest, updates = node.inputs
    before = through(updates, "Reshape", "ExpandDims", "Unflatten", "Flatten")
    if before.value is not None and before.rank > LIMIT:
        before = constant(before.value.reshape(-1), before.name)
    if before is updates:
        return None
    sizes = updates.shape[rest[1].rank :]
    return [Node("scatter", [*rest, before], node.outputs, (*node.unpack(2), sizes), node.path)]


def masked_number(node: Node) -> list[Node] | None:
    """A scatter of one number to masked places becomes a select."""
    x, mask, source = node.inputs
    number = through(source, "ExpandDims", "Reshape", "Broadcast")
    if number.value is not None and number.size and bool((number.value == number.value.reshape(-1)[0]).all()):
        number = constant(number.value.reshape(-1)[:1], number.name)
    return [replaced(node, "Select", [mask, number, x])] if number.size == 1 else None
