"""Captures what an MLX function computes as a graph, the same one on every platform.

MLX is traced on its CPU stream, where fused operations come out as plain primitives, with compilation
off, modules in evaluation mode, and every array they hold put back afterwards.
https://ml-explore.github.io/mlx/build/html/usage/export.html
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import mlx.core as mx
from mlx.core import eval as evaluate  # not its stand-in

from mlx_coreml.capture import places
from mlx_coreml.capture.arguments import Bound, bind
from mlx_coreml.capture.captured_state import Held
from mlx_coreml.capture.kept_state import Change, address
from mlx_coreml.capture.module_paths import Calls, attribute
from mlx_coreml.capture.random_draws import mode
from mlx_coreml.capture.refusals import check_kernels, explained
from mlx_coreml.capture.releases import settled
from mlx_coreml.capture.repeats import change_of, difference, source_of
from mlx_coreml.capture.results import output_names, returned
from mlx_coreml.capture.stand_ins import STAND_INS, custom_functions_called_plainly
from mlx_coreml.capture.structures import Leaf, replaced
from mlx_coreml.ir.errors import MISTAKES, NotRepeatableError
from mlx_coreml.ir.graph import Graph, Node, Tensor, dtype_name
from mlx_coreml.ir.names import identifiers


@dataclass
class Events:
    """The events that MLX's exporter reports during one trace, in order."""

    inputs: list[tuple] = field(default_factory=list)
    outputs: list[tuple] = field(default_factory=list)
    constants: list[tuple] = field(default_factory=list)
    primitives: list[dict] = field(default_factory=list)

    def add(self, event: dict) -> None:
        """Take one of the exporter's callbacks."""
        if event["type"] == "primitive":
            self.primitives.append(event)
        elif event["type"] in ("inputs", "outputs", "constants"):
            setattr(self, event["type"], event[event["type"]])


def capture(
    fn: Callable,
    *example: Any,
    outputs: Sequence[str] | str | None = None,
    random: str = "refuse",
    **named: Any,
) -> Graph:
    """The graph of an MLX module or function on example arguments.

    Arrays, of MLX or NumPy, in lists, dictionaries, tuples, dataclasses and objects are inputs, named after
    the function's parameters; only their shapes and types matter. Anything else stays as it is. Outputs are
    named after `outputs`, after keys and fields where the function returns them, else output_0, output_1 ...
    Errors: CaptureError; FunctionError when the function fails on the example.
    """
    bound = bind(fn, example, named, mode(random))
    return Tracing(bound, list(example) if bound is fn and example else bound.arrays).graph(outputs)


def flat_inputs(fn: Callable, example: Sequence[Any]) -> list[tuple[str, mx.array]]:
    """The example's arrays by argument and place in it: "x", "cache.0.1". Errors: CaptureError."""
    bound = bind(fn, example)
    return list(zip(bound.keys, example if bound is fn else bound.arrays, strict=True))


def as_example(example: Sequence[Any], arrays: Sequence[mx.array]) -> list:
    """Flat arrays in the structure of the example."""
    places = iter(arrays)
    return [replaced(value, lambda _: next(places), {}) for value in example]


def as_flat(fn: Callable, example: Sequence[Any]) -> Callable:
    """The function on flat arrays, with its outputs as a flat list.

    Each call begins with the state that everything the function reaches has now, and leaves it so.
    """
    bound = bind(fn, example)

    def flat(*arrays):
        with bound.held.kept(), Calls(bound.held).recorded(arrays=False):
            return [leaf.value for leaf in returned(bound, bound(*arrays))]

    return flat


@contextmanager
def _ready(known: Held) -> Iterator[None]:
    """The state a capture needs: evaluation mode, no compilation, no GPU, the CPU stream."""
    with ExitStack() as stack:
        stack.enter_context(known.kept())
        for target, name, stand_in in STAND_INS:
            stack.enter_context(mock.patch.object(target, name, stand_in))
        stack.callback(mx.set_default_device, mx.default_device())
        mx.set_default_device(mx.cpu)
        stack.enter_context(mx.stream(mx.cpu))
        mx.disable_compile()
        stack.callback(mx.enable_compile)
        yield


class Tracing:
    """The traces of a bound function on flat arrays."""

    def __init__(self, bound: Bound, arrays: Sequence[mx.array]):
        self.bound, self.arrays = bound, arrays
        self.calls = Calls(bound.held)
        self.made: list[Leaf] = []

    def graph(self, outputs: Sequence[str] | str | None) -> Graph:
        """The graph of the function, which is seen to do the same twice."""
        bound = self.bound
        with _ready(bound.held):
            events = self._drawn()
            if not bound.repeats:
                self._check_repeats(events)
        names = identifiers([name.replace(".", "_") for name in bound.names])
        graph = _graph(events, names, len(self.made), self.calls, bound.held)
        check_kernels(bound.__name__, graph, bound.held)
        graph.input_keys, graph.output_keys = list(bound.keys), [leaf.key for leaf in self.made]
        graph.output_names = identifiers(output_names(bound, self.made, outputs), taken=names)
        return graph

    def _drawn(self) -> Events:
        """The events of a trace in which random numbers are refused, or inputs."""
        draws = self.bound.draws
        if draws.allowed and self.bound.repeats:
            return self._trace()
        with draws.noted(self.bound.__name__, lambda: self.calls.path):
            events = self._trace()
        if not draws.kinds:
            return events
        self.bound.note_draws()
        self.arrays = self.bound.arrays
        self._clear()
        return self._trace()

    def _trace(self) -> Events:
        """One trace; a second one when a module in training mode was met only while the function ran.

        The modules' calls are recorded, unless a transformation made outside of the function hides their
        arrays: MLX then cannot compute them.
        """
        try:
            events = self._recorded()
            if self.calls.late:
                self._clear()
                events = self._recorded()
        except MISTAKES as error:
            raise explained(self.bound.__name__, error, self.calls.failed) from error
        return events

    def _recorded(self) -> Events:
        try:
            with self.calls.recorded():
                return self._export()
        except (ValueError, RuntimeError) as error:
            if "without a primitive" not in str(error):
                raise
        self._clear()
        with self.calls.recorded(arrays=False):
            return self._export()

    def _clear(self) -> None:
        self.bound.held.restore()
        self.calls.clear()

    def _export(self) -> Events:
        try:
            return self._exported()
        except ValueError as error:
            if "CustomTransforms" not in str(error):
                raise
        self._clear()
        with custom_functions_called_plainly():
            return self._exported()

    def _exported(self) -> Events:
        events = Events()
        fed = [mx.zeros_like(array) for array in self.arrays]  # the function may hold the very arrays
        mx.export_function(events.add, self._flat, *fed)
        evaluate([value for _, value in events.constants])  # fails for what a transformation hides
        return events

    def _flat(self, *arrays: mx.array) -> list[mx.array]:
        self.made = returned(self.bound, self.bound(*arrays))
        return [leaf.value for leaf in self.made] + self.calls.arrays()

    def _check_repeats(self, events: Events) -> None:
        """Errors: NotRepeatableError when a second trace differs from the first."""
        bound, changes, recorded = self.bound, self.bound.held.changes(), self.calls.ended
        if any(change.place.path == "mx.random.state" for change in changes):
            raise NotRepeatableError(
                f"{bound.__name__} ({places.of_function(bound.fn)}) draws random numbers of MLX, and a "
                "package draws none: pass the noise as an argument, or give key=mx.random.key(0)"
            )
        if any(change.has_new_arrays for change in changes):
            bound.held.restore()
        made, self.calls.ended = self.made, []
        found = difference(events, self._trace())
        if found:
            raise NotRepeatableError(self._told(found, changes))
        bound.repeats, self.made, self.calls.ended = True, made, recorded

    def _told(self, found: str, changes: Sequence[Change]) -> str:
        """What a function that does not repeat itself does, and where, from two more traces of it."""
        bound = self.bound
        bound.held.restore()
        source = source_of(self._trace)
        bound.held.restore()
        line = "" if source else change_of(self._trace, changes) or places.of_function(bound.fn)
        names = ", ".join(dict.fromkeys(c.place.path or "its own attributes" for c in changes))
        cause = f", by {source}" if source else f"; it changes {names} ({line})" if names else f" ({line})"
        return (
            f"{bound.__name__} does not repeat itself{cause}: one call has {found}, and a package does "
            "the same at each call; pass what changes as an argument"
        )


def _graph(events: Events, input_names: list[str], count: int, calls: Calls, known: Held) -> Graph:
    """The graph of the exporter's events; its outputs are the first `count`, which are the function's own."""
    tensors = {
        key: Tensor(name, tuple(shape), dtype_name(dtype))
        for name, (key, shape, dtype) in zip(input_names, events.inputs, strict=True)
    }
    known_names = known.array_names()
    for key, value in events.constants:
        tensors[key] = Tensor(
            known_names.get(address(value)) or f"constant_{key}",
            tuple(value.shape),
            dtype_name(value.dtype),
            value,
        )
    nodes = []
    for event in events.primitives:
        for key, shape, dtype in event["outputs"]:
            tensors[key] = Tensor(key, tuple(shape), dtype_name(dtype))
        ins, outs = ([tensors[key] for key, *_ in event[side]] for side in ("inputs", "outputs"))
        nodes.append(Node(event["name"], ins, outs, settled(event["name"], event["arguments"], ins, outs)))
    made = [tensors[key] for key, *_ in events.outputs]
    attribute(calls, made[count:])
    graph = Graph([tensors[key] for key, *_ in events.inputs], made[:count], nodes)
    graph.sweep()
    return graph
