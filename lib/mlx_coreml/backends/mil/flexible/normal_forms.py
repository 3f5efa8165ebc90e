"""One form for operations whose constants change with a size, so that fewer of them do: -1, from the end."""

from collections.abc import Sequence

import numpy as np
from coremltools.converters.mil.mil import Operation, Var

from mlx_coreml.backends.mil.flexible.symbolic_sizes import same
from mlx_coreml.ir.errors import ConversionError


def refusal(operation: Operation, told: str) -> ConversionError:
    return ConversionError(f"operation '{operation.op_type}' ('{operation.outputs[0].name}') {told}")


def is_constant(each: Sequence) -> bool:
    """Whether an input is one constant in every program."""
    if isinstance(each[0], list | tuple):
        return False
    return all(v.op is not None and v.op.op_type == "const" for v in each if isinstance(v, Var))


def value_of(given):
    return given.val if isinstance(given, Var) else given


def shown(given) -> str:
    """A constant's first numbers."""
    flat = np.asarray(value_of(given)).reshape(-1)
    return f"[{' '.join(f'{number:.4g}' for number in flat[:4])}{' ...' if flat.size > 4 else ''}]"


def agree(each: Sequence) -> bool:
    return all(same(value_of(each[0]), value_of(other)) for other in each[1:])


def _reshape(given: dict[str, list]) -> None:
    """A reshape, whose one varying size becomes -1."""
    if not is_constant(given["shape"]):
        return
    shapes = [_whole(np.array(value_of(v)), x.shape) for v, x in zip(given["shape"], given["x"], strict=True)]
    changing = [i for i, sizes in enumerate(zip(*shapes, strict=True)) if len(set(sizes)) > 1]
    if len(changing) == 1:
        given["shape"] = [np.where(np.arange(len(s)) == changing[0], -1, s).astype(np.int32) for s in shapes]


def _whole(shape: np.ndarray, of: Sequence[int]) -> np.ndarray:
    """The shape that a reshape gives, with the size that it leaves open."""
    is_open = shape == -1
    rest = int(np.prod(np.where(is_open, 1, shape)))
    return np.where(is_open, int(np.prod(of)) // max(rest, 1), shape)


def _slice_by_index(given: dict[str, list]) -> None:
    """Places at, or at a constant distance from, the end of the tensor in every program are told so."""
    if not (is_constant(given["begin"]) and is_constant(given["end"])):
        return
    sizes = np.array([v.shape for v in given["x"]])
    begins, ends = (np.array([value_of(v) for v in given[name]]) for name in ("begin", "end"))
    none = np.zeros(sizes.shape[1], bool)
    masks = {n: none | value_of(given[n][0]) if n in given else none for n in ("begin_mask", "end_mask")}
    changing = np.any(sizes != sizes[0], axis=0)
    whole = changing & np.all(ends == sizes, axis=0)
    given["begin_mask"] = [masks["begin_mask"] | whole & np.all(begins == 0, axis=0)] * len(sizes)
    given["end_mask"] = [masks["end_mask"] | whole] * len(sizes)
    given["begin"], given["end"] = _from_end(begins, sizes), _from_end(ends, sizes)


def _from_end(places: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
    """Places in programs, as negative numbers from the end where only that makes them agree; 0 at the end."""
    back, differ = places - sizes, np.any(places != places[0], axis=0)
    counted = differ & np.all(back == back[0], axis=0) & (back[0] <= 0)
    return list(np.where(counted, back, places).astype(np.int32))


def full_pads(pads, rank: int) -> np.ndarray:
    """Padding of all axes: what is not constant has to say it for each."""
    given = np.asarray(value_of(pads))
    return np.concatenate([np.zeros(2 * rank - given.size, np.int32), given])


def strided(operation: Operation) -> bool:
    """Whether a slice has strides, or drops axes."""
    stride = operation.stride
    return (stride is not None and bool(np.any(stride.val != 1))) or operation.outputs[
        0
    ].rank != operation.x.rank


def _conv_transpose(given: dict[str, list]) -> None:
    """The size of the result follows from the padding."""
    if not agree(given.get("output_shape", [])):
        del given["output_shape"]


def begin_of(operation: Operation, output: Var) -> np.ndarray:
    """Where an output of a split, or of a slice without strides, starts in its input."""
    if operation.op_type == "split":
        before = operation.outputs[: operation.outputs.index(output)]
        axis = int(operation.axis.val) % output.rank
        start = sum(v.shape[axis] for v in before)
        return np.where(np.arange(output.rank) == axis, start, 0).astype(np.int32)
    begin, size = value_of(operation.inputs["begin"]), np.array(operation.inputs["x"].shape)
    if begin is None:
        raise refusal(operation, "starts at a place, and ends at another, that change with the size")
    mask = operation.inputs.get("begin_mask")
    masked = False if mask is None else value_of(mask)
    return np.where(masked, 0, np.where(begin < 0, begin + size, begin)).astype(np.int32)


CUTS = {"split": {"split_sizes"}, "slice_by_index": {"begin", "end"}}  # changing, they need another operation
NORMAL = {"reshape": _reshape, "slice_by_index": _slice_by_index, "conv_transpose": _conv_transpose}
