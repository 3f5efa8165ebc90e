"""Captures what an MLX function computes as a graph, the same one on every platform.

MLX is traced on its CPU stream, where fused operations come out as plain primitives, with compilation
off, modules in evaluation mode, and every array they hold put back afterwards.
https://ml-explore.github.io/mlx/build/html/usage/export.html
"""

import inspect
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import mlx.core as mx

from mlx_coreml.capture.captured_state import Held, held
from mlx_coreml.capture.kept_state import address
from mlx_coreml.capture.module_paths import Calls, attribute
from mlx_coreml.capture.releases import settled
from mlx_coreml.capture.stand_ins import STAND_INS
from mlx_coreml.ir.errors import CaptureError
from mlx_coreml.ir.graph import Graph, Node, Tensor, dtype_name
from mlx_coreml.ir.names import identifiers

import mlx.nn as mnn  # isort: skip
from mlx.utils import tree_flatten, tree_map  # isort: skip


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


def capture(fn: Callable, *example: Any, outputs: Sequence[str] | None = None) -> Graph:
    """The graph of an MLX module or function on example inputs.

    `example` holds arrays, or lists and dictionaries of arrays; only shapes and types matter. Inputs are
    named after the function's parameters, outputs after `outputs`, after the keys when the function returns
    a dictionary, else output_0, output_1 ... Errors: CaptureError.
    """
    taken, arrays = zip(*flat_inputs(fn, example), strict=True)
    known = held(fn)
    keys: list[str] = []
    calls = Calls(known)

    def flat_fn(*arrays):
        made = fn(*as_example(example, arrays))
        leaves = _flat_outputs(fn, made)
        keys[:] = [key for key, _ in leaves]
        return [array for _, array in leaves] + calls.arrays()

    with _ready(known):
        inputs = [mx.zeros_like(array) for array in arrays]  # the function may hold the very arrays itself
        events = _trace(fn, flat_fn, inputs, calls)
    names = identifiers([key.replace(".", "_") for key in taken])
    graph = _graph(events, names, len(keys), calls, known)
    graph.input_keys, graph.output_keys = list(taken), keys
    graph.output_names = identifiers(_output_names(fn, keys, outputs), taken=names)
    return graph


def signature_names(fn: Callable, count: int) -> list[str]:
    """Names for the first `count` positional arguments, from the function's signature where it has them."""
    target = type(fn).__call__ if isinstance(fn, mnn.Module) else fn
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):  # built-in functions have none
        parameters = []
    if isinstance(fn, mnn.Module):
        parameters = parameters[1:]
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [p.name for p in parameters if p.kind in places][:count]
    return names + [f"input_{i}" for i in range(len(names), count)]


def flat_inputs(fn: Callable, example: Sequence[Any]) -> list[tuple[str, mx.array]]:
    """The example's arrays by argument and place in it: "x", "cache.0.1". Errors: CaptureError."""
    if not callable(fn) or any(kind.__module__.startswith("torch.") for kind in type(fn).__mro__):
        raise CaptureError(
            f"the function to capture is {type(fn).__name__}; allowed are MLX modules and functions of arrays"
        )
    if not example:
        raise CaptureError(f"{function_name(fn)} has no example; pass one array per argument")
    _check_count(fn, example)
    flat = []
    for name, value in zip(signature_names(fn, len(example)), example, strict=True):
        for key, leaf in tree_flatten(value) if isinstance(value, list | tuple | dict) else [("", value)]:
            if not isinstance(leaf, mx.array):
                raise CaptureError(
                    f"input '{name}' of {function_name(fn)} is {type(leaf).__name__}; "
                    "allowed are mlx.core.array and lists, tuples and dictionaries of them"
                )
            if not leaf.size:
                raise CaptureError(
                    f"input '{name}' of {function_name(fn)} has shape {leaf.shape}; "
                    "Core ML has no empty arrays"
                )
            flat.append((f"{name}.{key}" if key else name, leaf))
    return flat


def _check_count(fn: Callable, example: Sequence[Any]) -> None:
    """Errors: CaptureError when the function cannot be called with as many positional arguments."""
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):  # built-in functions have none
        return
    try:
        signature.bind(*example)
    except TypeError as error:
        raise CaptureError(
            f"{function_name(fn)}{signature} cannot be called with {len(example)} arrays: {error}"
        ) from error


def as_example(example: Sequence[Any], arrays: Sequence[mx.array]) -> list:
    """Flat arrays in the structure of the example."""
    places = iter(arrays)
    return [tree_map(lambda _: next(places), value) for value in example]


def as_flat(fn: Callable, example: Sequence[Any]) -> Callable:
    """The function with the example's nested arguments laid out flat, and its outputs as a flat list.

    Each call begins with the state that everything the function reaches has now, and leaves it so.
    """
    known = held(fn)

    def flat(*arrays):
        with known.kept():
            return [array for _, array in _flat_outputs(fn, fn(*as_example(example, arrays)))]

    return flat


def _flat_outputs(fn: Callable, made: Any) -> list[tuple[str, mx.array]]:
    """Every array a function returned, with its place in the structure."""
    nested = isinstance(made, list | tuple | dict)
    leaves = [
        (key, leaf) for key, leaf in (tree_flatten(made) if nested else [("", made)]) if leaf is not None
    ]
    for key, leaf in leaves:
        where = f" at '{key}'" if key else ""
        if not isinstance(leaf, mx.array):
            raise CaptureError(
                f"{function_name(fn)} returns {type(leaf).__name__}{where}; "
                "allowed are mlx.core.array and lists, tuples and dictionaries of them"
            )
        if not leaf.size:
            raise CaptureError(
                f"{function_name(fn)} returns an array of shape {leaf.shape}{where}; "
                "Core ML has no empty arrays"
            )
    if not leaves:
        raise CaptureError(f"{function_name(fn)} returns no array; at least one is needed")
    return leaves


def _output_names(fn: Callable, keys: list[str], given: Sequence[str] | None) -> list[str]:
    if given is not None:
        if not isinstance(given, list | tuple) or not all(isinstance(n, str) and n for n in given):
            raise CaptureError(f"outputs={given!r}; allowed is a list of names, one per returned array")
        if len(given) != len(keys) or len(set(given)) != len(given):
            raise CaptureError(
                f"{function_name(fn)} returns {len(keys)} arrays and outputs={list(given)} "
                f"names {len(set(given))}; "
                "one different name per array is needed"
            )
        return list(given)
    if keys == [""]:
        return ["output"]
    return [("output_" if key[0].isdigit() else "") + key.replace(".", "_") for key in keys]


@contextmanager
def _ready(known: Held) -> Iterator[None]:
    """The state a capture needs: evaluated arrays, evaluation mode, no compilation, the CPU stream."""
    with ExitStack() as stack:
        stack.enter_context(known.kept())
        for target, name, stand_in in STAND_INS:
            stack.enter_context(mock.patch.object(target, name, stand_in))
        stack.enter_context(mx.stream(mx.cpu))
        mx.disable_compile()
        stack.callback(mx.enable_compile)
        yield


def _trace(fn: Callable, flat_fn: Callable, arrays: list[mx.array], calls: Calls) -> Events:
    """One trace, a second one when a module in training mode was met only while the function ran.

    The modules' calls are recorded, unless a transformation made outside of the function hides their arrays.
    """
    events = _recorded(fn, flat_fn, arrays, calls)
    if calls.late:
        calls.known.restore()
        calls.clear()
        events = _recorded(fn, flat_fn, arrays, calls)
    return events


def _recorded(fn: Callable, flat_fn: Callable, arrays: list[mx.array], calls: Calls) -> Events:
    try:
        with calls.recorded():
            return _export(fn, flat_fn, arrays)
    except (ValueError, RuntimeError) as error:
        if "during function transformations" in str(error) or not calls.clear():
            raise
    calls.known.restore()
    with calls.recorded(arrays=False):
        return _export(fn, flat_fn, arrays)


def _export(fn: Callable, flat_fn: Callable, arrays: list[mx.array]) -> Events:
    events = Events()
    try:
        mx.export_function(events.add, flat_fn, *arrays)
    except ValueError as error:
        told = str(error)
        if "during function transformations" in told:
            raise CaptureError(
                f"{function_name(fn)} reads the numbers in an array{_line(error)}; a captured function "
                "may read only shapes and types: use mx.where in place of if, and no .item() or .tolist()"
            ) from error
        if "Unable to get state for primitive" in told:
            primitive = told.rpartition("primitive ")[2].strip()
            hint = "; mx.eval what mx.load gave before" if primitive == "Load" else ""
            raise CaptureError(
                f"{function_name(fn)} uses primitive '{primitive}', "
                f"which MLX {mx.__version__} cannot export{hint}"
            ) from error
        raise
    mx.eval([value for _, value in events.constants])  # fails for an array that a transformation hides
    return events


def _line(error: Exception) -> str:
    """Where in the user's code an error came from."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
    return f" (line {frames[-1].lineno} of {frames[-1].name})" if frames else ""


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


def function_name(fn: Callable) -> str:
    """The name of a function or module, for messages."""
    return getattr(fn, "__name__", type(fn).__name__)
