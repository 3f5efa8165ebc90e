"""Operations that run blocks, touch state or keep lists: cond, while_loop, read_state, make_list.

A list holds tensors of one shape. Writing returns a new list, which grows when written past its end.
"""

from collections.abc import Callable

import torch

from coreml_runtime.execution.scope import Frame, Scope, Step, getter, store_results
from coreml_runtime.format.dtypes import dtype_named
from coreml_runtime.operations.registry import Ints, Parts, Tensor, operation

Block = Callable[[Frame, tuple], tuple]


def cond(operation, blocks: list[Block], scope: Scope) -> Step:
    """Runs one of two blocks: the first when `pred` is true."""
    predicate = getter(_name(operation, "pred"), scope)
    then, otherwise = blocks
    return store_results(
        operation, lambda frame: (then if bool(predicate(frame)) else otherwise)(frame, ()), scope
    )


def while_loop(operation, blocks: list[Block], scope: Scope) -> Step:
    """Runs the second block on `loop_vars` while the first returns true."""
    start = [getter(binding.name, scope) for binding in operation.inputs["loop_vars"].arguments]
    condition, body = blocks

    def call(frame: Frame) -> tuple:
        values = tuple(get(frame) for get in start)
        while bool(condition(frame, values)[0]):
            values = body(frame, values)
        return values

    return store_results(operation, call, scope)


def read_state(operation, blocks: list[Block], scope: Scope) -> Step:
    """Reads the contents of a state."""
    name = _name(operation, "input")
    return store_results(operation, lambda frame: (frame.state[name],), scope)


def write_state(operation, blocks: list[Block], scope: Scope) -> Step:
    """Replaces the contents of a state; tensors are never changed in place, so what was read before stays."""
    name = _name(operation, "input")
    data = getter(_name(operation, "data"), scope)

    def run(frame: Frame) -> None:
        frame.state[name] = data(frame).clone()

    return run


CONTROL: dict[str, Callable[..., Step]] = {
    "cond": cond,
    "while_loop": while_loop,
    "read_state": read_state,
    "write_state": write_state,
}


def _name(operation, parameter: str) -> str:
    return operation.inputs[parameter].arguments[0].name


@operation("make_list")
def make_list(elem_shape: Parts, init_length: int = 1, dynamic_length: bool = True, dtype: str = "fp32"):
    # A dimension given as a string is known when the first element is written; until then slots are None.
    known = all(not isinstance(size, str) for size in elem_shape)
    shape = [int(size) for size in elem_shape] if known else []
    blank = torch.zeros(shape, dtype=dtype_named(dtype).carrier) if known else None
    return [blank] * init_length


@operation("list_length")
def list_length(ls: list):
    return torch.tensor(len(ls), dtype=torch.int32)


@operation("list_write")
def list_write(ls: list, index: int, value: Tensor):
    return _written(ls, {index: value})


@operation("list_scatter")
def list_scatter(ls: list, indices: Ints, value: Tensor):
    return _written(ls, dict(zip(indices, value, strict=True)))


@operation("list_read", arithmetic=False)
def list_read(ls: list, index: int):
    return _element(ls, index)


@operation("list_gather", arithmetic=False)
def list_gather(ls: list, indices: Ints):
    return torch.stack([_element(ls, index) for index in indices])


def _written(ls: list, changes: dict[int, Tensor]) -> list:
    blank = torch.zeros_like(next(iter(changes.values()))) if changes else None
    longer = ls + [blank] * (max(changes, default=-1) + 1 - len(ls))
    return [changes.get(i, item) for i, item in enumerate(longer)]


def _element(ls: list, index: int) -> Tensor:
    """The element, or zeros in the shape of another element if this one was never written."""
    if not -len(ls) <= index < len(ls):
        raise IndexError(f"index {index} of a list of {len(ls)}")
    if ls[index] is not None:
        return ls[index]
    written = [item for item in ls if item is not None]
    if not written:
        raise ValueError(f"element {index} is read before anything is written, and its shape is not declared")
    return torch.zeros_like(written[0])
