"""Prepares a MIL function once: a list of closures over numbered slots, constants read at their first use.

A prediction then runs the closures in order. Source of the format: mlmodel/format/MIL.proto, messages
Function, Block, Operation, Argument.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from coreml_runtime import operations  # noqa: F401  (registers the rules)
from coreml_runtime.execution.constants import Constants
from coreml_runtime.execution.control_flow import CONTROL
from coreml_runtime.execution.limits import check_program
from coreml_runtime.execution.scope import (
    Frame,
    Scope,
    Step,
    getter,
    memoized,
    names_read,
    operation_record,
    run_steps,
    store_results,
)
from coreml_runtime.execution.unordered import Unordered, unordered_outputs
from coreml_runtime.format.dtypes import TensorType, makes_fp16, result_check, tensor_type
from coreml_runtime.format.memory import LARGE
from coreml_runtime.format.package import Package, every_operation
from coreml_runtime.format.values import check_value, is_large, read_value
from coreml_runtime.operations.registry import RULES, Rule, rule_of

COMPRESSED = "constexpr_"  # the names of operations that make a weight of what is stored
OPSETS = {"CoreML5": 15, "CoreML6": 16, "CoreML7": 17, "CoreML8": 18, "CoreML9": 26}


@dataclass(frozen=True)
class Program:
    """A prepared function: the steps to run, inputs and outputs by name, and the types of its states."""

    steps: list[Step]
    inputs: dict[str, tuple[int, TensorType]]
    outputs: dict[str, Callable[[Frame], Any]]
    states: dict[str, TensorType]
    size: int
    uses_fp16: bool
    unordered: dict[str, Unordered]


def prepare(function, package: Package, strict: bool, limits: bool = True) -> Program:
    """Prepare a protobuf `Function`.

    NotImplementedError lists every operation without a rule; ValueError for an unknown opset or bad
    weights, and, with `limits`, for what Core ML refuses.
    """
    if function.opset not in OPSETS:
        raise ValueError(f"opset {function.opset} of {package.path} is not known; known: {', '.join(OPSETS)}")
    block = function.block_specializations[function.opset]
    check_operations(block, package)
    if limits:
        check_program(function, block, package)
    scope = Scope(package, strict, OPSETS[function.opset])
    inputs = {}
    for declared in function.inputs:
        kind: Any = tensor_type(declared.type)
        if declared.type.WhichOneof("type") == "stateType":
            scope.states[declared.name] = kind
        else:
            inputs[declared.name] = (scope.define(declared.name), kind)
    steps = prepare_block(block, scope)
    outputs = {name: getter(name, scope) for name in block.outputs}
    uses_fp16 = makes_fp16(every_operation(block))
    unordered = unordered_outputs(block, Constants(block, package))
    return Program(steps, inputs, outputs, scope.states, scope.counter[0], uses_fp16, unordered)


def check_operations(block, package: Package) -> None:
    """Check the weight files, and raise one error that counts what has no rule."""
    missing: Counter[str] = Counter()
    for operation in every_operation(block):
        for constant in _constants_of(operation):
            check_value(constant, package)
        if operation.type == "const" or operation.type in CONTROL:
            continue
        if operation.type not in RULES:
            missing[_kind_of(operation)] += 1
            continue
        given = {*operation.inputs, *operation.attributes} - {"name"}
        for parameter in sorted(given - set(RULES[operation.type].parameters)):
            missing[f"{operation.type}({parameter}=)"] += 1
    if missing:
        listed = ", ".join(f"{name} ({count})" for name, count in sorted(missing.items()))
        raise NotImplementedError(f"{package.path} uses operations without a rule here: {listed}")


def _kind_of(operation) -> str:
    if operation.type != "custom_layer":
        return operation.type
    name = operation.attributes["class_name"].immediateValue.tensor.strings.values
    return f"custom layer {name[0] if name else ''}".rstrip()


def _constants_of(operation) -> Iterator:
    yield from operation.attributes.values()
    for argument in operation.inputs.values():
        yield from (
            binding.value for binding in argument.arguments if binding.WhichOneof("binding") == "value"
        )


def prepare_block(block, scope: Scope) -> list[Step]:
    """The steps of a block; each releases the values that no later step reads."""
    last_reader = {}
    for index, operation in enumerate(block.operations):
        for name in names_read(operation):
            last_reader[name] = index
    own = {slot.name for slot in block.inputs}
    steps = []
    for index, operation in enumerate(block.operations):
        step = prepare_operation(operation, scope)
        if step is None:
            continue
        own.update(result.name for result in operation.outputs)
        dead = [n for n in own if last_reader.get(n, index) == index and n not in block.outputs]
        own.difference_update(dead)
        steps.append(_releasing(step, [scope.slots[name] for name in dead if name in scope.slots]))
    return steps


def _releasing(step: Step, dead: list[int]) -> Step:
    if not dead:
        return step

    def run(frame: Frame) -> None:
        step(frame)
        for slot in dead:
            frame.slots[slot] = None

    return run


def prepare_nested(block, outer: Scope) -> Callable[[Frame, tuple], tuple]:
    """A function that runs a nested block on its inputs and returns its outputs."""
    scope = outer.inner()
    inputs = [scope.define(value.name) for value in block.inputs]
    steps = prepare_block(block, scope)
    outputs = [getter(name, scope) for name in block.outputs]

    def run(frame: Frame, values: tuple) -> tuple:
        for slot, value in zip(inputs, values, strict=True):
            frame.slots[slot] = value
        run_steps(steps, frame)
        return tuple(get(frame) for get in outputs)

    return run


def prepare_operation(operation, scope: Scope) -> Step | None:
    """The step of one operation; None for constants, which are only added to the scope."""
    if operation.type == "const":
        constant, name = operation.attributes["val"], operation.outputs[0].name
        scope.constants[name], large = _constant(constant, scope)
        scope.large.update([name] if large else [])
        return None
    if operation.type in CONTROL:
        return CONTROL[operation.type](operation, [prepare_nested(b, scope) for b in operation.blocks], scope)
    call = prepare_call(operation, rule_of(operation.type), scope)
    if operation.type.startswith(COMPRESSED):
        _define_compressed(operation, call, scope)
        return None
    return store_results(operation, call, scope)


def _define_compressed(operation, call: Callable[[Frame | None], tuple], scope: Scope) -> None:
    """Add the results of a constexpr operation to the constants; large ones are computed for each reader."""
    names = [result.name for result in operation.outputs]
    kinds = [tensor_type(result.type) for result in operation.outputs]
    if any(kind is None or kind.shape is None or None in kind.shape or kind.size >= LARGE for kind in kinds):
        key = (*names, scope.strict)
        scope.large.update(names)

        def results(*_: Any) -> tuple:
            return scope.package.weights.get(key, lambda: call(None))
    else:
        results = memoized(lambda: call(None))
    for index, name in enumerate(names):
        scope.constants[name] = lambda index=index: results()[index]


def _constant(value, scope: Scope) -> tuple[Callable, bool]:
    """A function that reads a constant, and whether it is large, so that it must not be kept."""
    read = partial(read_value, value, scope.package)
    if is_large(value):
        return lambda *_: read(), True
    return memoized(read), False


def prepare_call(operation, rule: Rule, scope: Scope) -> Callable[[Frame | None], tuple]:
    """A function of the frame that gathers the arguments, applies the rule and checks types and shapes."""
    types: Any = tuple(tensor_type(result.type) for result in operation.outputs)
    gather = prepare_arguments(operation, rule, scope, types)
    owned = operation.type.startswith(COMPRESSED)
    checks = [result_check(kind, scope.strict, rule.arithmetic, owned) for kind in types]
    rounds = [rule.arithmetic and kind is not None and kind.dtype.is_float for kind in types]
    function, label = rule.function, operation_record(operation)

    def call(frame: Frame | None) -> tuple:
        arguments = gather(frame)
        try:
            results = function(**arguments)
            if not isinstance(results, tuple):
                results = (results,)
            results = tuple([check(result) for check, result in zip(checks, results, strict=True)])
            if frame is None or frame.rounded is None:
                return results
            return tuple(
                [frame.rounded(r, t) if f else r for r, t, f in zip(results, types, rounds, strict=True)]
            )
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            raise RuntimeError(f"{label} failed on {_shapes(arguments)}: {error}") from error

    return call


def prepare_arguments(operation, rule: Rule, scope: Scope, types) -> Callable[[Frame | None], dict]:
    """A function of the frame that returns the arguments; constants are converted once."""
    constant: dict[str, Callable] = {}
    dynamic: dict[str, Callable] = {}
    for name, value in operation.attributes.items():
        if name != "name":
            read, large = _constant(value, scope)
            (dynamic if large else constant)[name] = read
    for name, argument in operation.inputs.items():
        getters = [_binding(binding, scope) for binding in argument.arguments]
        is_constant = all(fixed for fixed, _ in getters)
        getter = _together([get for _, get in getters], rule.parameters[name].is_tuple)
        (constant if is_constant else dynamic)[name] = getter
    convert = {name: rule.parameters[name].convert for name in (*constant, *dynamic)}
    extra: dict[str, Any] = {"opset": scope.opset} if rule.wants_opset else {}
    if rule.wants_outputs:
        extra["outputs"] = types
    known: dict[str, Any] | None = None
    moving = [(name, get, convert[name]) for name, get in dynamic.items()]

    def gather(frame: Frame | None) -> dict:
        nonlocal known
        if known is None:
            known = extra | {n: _converted(get(None), convert[n]) for n, get in constant.items()}
        arguments = dict(known)
        for name, get, change in moving:
            value = get(frame)
            arguments[name] = value if change is None else change(value)
        return arguments

    return gather


def _converted(value, convert: Callable | None):
    return value if convert is None else convert(value)


def _binding(binding, scope: Scope) -> tuple[bool, Callable]:
    if binding.WhichOneof("binding") == "value":
        read, large = _constant(binding.value, scope)
        return not large, read
    fixed = binding.name in scope.constants and binding.name not in scope.large
    return fixed, getter(binding.name, scope)


def _together(getters: list[Callable], is_tuple: bool) -> Callable:
    if is_tuple:
        return lambda frame: [get(frame) for get in getters]
    return getters[0]


def _shapes(arguments: dict) -> str:
    return ", ".join(f"{name} {_shape(value)}" for name, value in arguments.items())


def _shape(value) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_shape(item) for item in value) + "]"
    return str(tuple(value.shape)) if hasattr(value, "shape") else repr(value)
