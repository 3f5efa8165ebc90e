"""Operations that run blocks or touch state: cond, while_loop, read_state, write_state.

Each takes the protobuf operation, its prepared blocks and the scope, and returns the step.
"""

from collections.abc import Callable

from twins.coreml.reference.scope import Frame, Scope, Step, getter, storing

Block = Callable[[Frame, tuple], tuple]


def cond(operation, blocks: list[Block], scope: Scope) -> Step:
    """Runs one of two blocks: the first when `pred` is true."""
    predicate = getter(_name(operation, "pred"), scope)
    then, otherwise = blocks
    return storing(operation, lambda frame: (then if bool(predicate(frame)) else otherwise)(frame, ()), scope)


def while_loop(operation, blocks: list[Block], scope: Scope) -> Step:
    """Runs the second block on `loop_vars` while the first returns true."""
    start = [getter(binding.name, scope) for binding in operation.inputs["loop_vars"].arguments]
    condition, body = blocks

    def call(frame: Frame) -> tuple:
        values = tuple(get(frame) for get in start)
        while bool(condition(frame, values)[0]):
            values = body(frame, values)
        return values

    return storing(operation, call, scope)


def read_state(operation, blocks: list[Block], scope: Scope) -> Step:
    """The present contents of a state."""
    name = _name(operation, "input")
    return storing(operation, lambda frame: (frame.state[name],), scope)


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
