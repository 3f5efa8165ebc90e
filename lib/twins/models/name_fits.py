"""Which entries of a map of names would fit weights that only one half has, judged by their shapes."""

import itertools
from collections.abc import Iterator

from twins.models.weight_map import joined_axis

Shape = tuple[int, ...]
Shapes = dict[str, Shape]

PARTS = (2, 3, 4)  # how many weights one may be joined from, split into or summed of


def changed(name: str, shape: Shape, goal: str, wanted: Shape) -> str:
    """The entry that makes a weight of this shape one of that shape, by its axes or as it is read."""
    if sorted(shape) == sorted(wanted) and len(shape) == len(wanted) > 1:
        orders = (
            axes for axes in itertools.permutations(range(len(shape))) if _turned(shape, axes) == wanted
        )
        return f'"{name}": ("{goal}", {next(orders)})'
    if _count(shape) == _count(wanted) and shape and wanted:
        return f'"{name}": ("{goal}", "reshape")'
    return ""


def _turned(shape: Shape, axes: Shape) -> Shape:
    return tuple(shape[axis] for axis in axes)


def _count(shape: Shape) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def entries(torch_shapes: Shapes, mlx_shapes: Shapes) -> list[str]:
    """Entries that use up every weight that only one half has; empty when there is no such set.

    Both are in MLX's layout and in the order of the halves. Several in one, and one as several, come first.
    """
    left, right, found = dict(torch_shapes), dict(mlx_shapes), []
    for goal, wanted in mlx_shapes.items():
        group = next(_groups(left, wanted), ())
        if group and goal not in left:
            found.append(f'({", ".join(map(_quoted, group))}): "{goal}"')
            left, right = _without(left, group), _without(right, (goal,))
    for name, shape in list(left.items()):
        group = next(_groups(right, shape, sums=False), ())
        if group:
            found.append(f'"{name}": [{", ".join(map(_quoted, group))}]')
            left, right = _without(left, (name,)), _without(right, group)
    if len(left) != len(right):
        return []
    for (name, shape), (goal, wanted) in zip(left.items(), right.items(), strict=True):
        if sorted(shape) != sorted(wanted):
            return []
        found.append(f'"{name}": "{goal}"' if shape == wanted else changed(name, shape, goal, wanted))
    return found


def _groups(shapes: Shapes, wanted: Shape, sums: bool = True) -> Iterator[tuple[str, ...]]:
    """Neighbouring weights of one kind that sum to a shape, or that add up to it along an axis."""
    for count in PARTS:
        for kind in [None, *dict.fromkeys(name.rpartition(".")[2] for name in shapes)]:
            listed = [name for name in shapes if kind is None or name.rpartition(".")[2] == kind]
            for start in range(len(listed) - count + 1):
                group = tuple(listed[start : start + count])
                each = [shapes[name] for name in group]
                if joined_axis(each, wanted) is not None or (sums and count == 2 and set(each) == {wanted}):
                    yield group


def _without(shapes: Shapes, names: tuple[str, ...]) -> Shapes:
    return {name: shape for name, shape in shapes.items() if name not in names}


def _quoted(name: str) -> str:
    return f'"{name}"'
