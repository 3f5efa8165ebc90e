"""The table of MIL operations: it finds the function (the rule) that computes an operation of a program.

A rule has MIL's own parameter names and returns one result, or a tuple of them; its annotations say in which
form it receives each argument. So `def softmax(x: Tensor, axis: int = -1)` gets a tensor and a Python
integer.
"""

import functools
import inspect
import operator
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from coreml_runtime.format.dtypes import TensorType

Tensor = torch.Tensor
Tensors = list[torch.Tensor]
Parts = list[Any]
Ints = tuple[int, ...]
Bools = tuple[bool, ...]
Number = int | float | bool
Outputs = tuple[TensorType | None, ...]


def _numbers(value) -> tuple:
    if isinstance(value, list):
        return tuple(item.item() for item in value)
    return tuple(value.reshape(-1).tolist())


_CONVERT: dict[Any, Callable | None] = {
    Tensor: None,
    Any: None,
    str: None,
    list: None,
    Tensors: None,
    Parts: None,
    int: int,
    float: float,
    bool: bool,
    Number: lambda value: value.item(),
    Ints: _numbers,
    Bools: _numbers,
}
# These parameters are tuples in MIL, which hold several values under one name.
_TUPLES = {Tensors, Parts}


@dataclass(frozen=True)
class Parameter:
    """How a rule receives an argument: converted by `convert` (None: as it is), alone or as a tuple."""

    convert: Callable | None
    is_tuple: bool
    required: bool


@dataclass(frozen=True)
class Rule:
    """One operation: its function and its parameters.

    `arithmetic` is False when the results are values of the arguments, which need no rounding to fp16.
    `wants_opset` and `wants_outputs` say that the function takes `opset` (15, 16, 17, 18, 26) or the declared
    `outputs`.
    """

    name: str
    function: Callable
    parameters: dict[str, Parameter]
    arithmetic: bool
    wants_opset: bool
    wants_outputs: bool


RULES: dict[str, Rule] = {}


def operation(*names: str, arithmetic: bool = True) -> Callable[[Callable], Callable]:
    """Register the decorated function as the rule of MIL operations; ValueError for a second rule."""

    def file(function: Callable) -> Callable:
        for name in names:
            if name in RULES:
                raise ValueError(f"operation '{name}' already has a rule: {RULES[name].function.__name__}")
            RULES[name] = _rule(name, function, arithmetic)
        return function

    return file


def _rule(name: str, function: Callable, arithmetic: bool) -> Rule:
    signature = dict(inspect.signature(function).parameters)
    wants_opset = signature.pop("opset", None) is not None
    wants_outputs = signature.pop("outputs", None) is not None
    parameters = {key: _parameter(parameter) for key, parameter in signature.items()}
    return Rule(name, function, parameters, arithmetic, wants_opset, wants_outputs)


def _parameter(parameter: inspect.Parameter) -> Parameter:
    kind = parameter.annotation
    if isinstance(kind, types.UnionType) and type(None) in kind.__args__:
        kind = functools.reduce(operator.or_, (part for part in kind.__args__ if part is not type(None)))
    return Parameter(_CONVERT[kind], kind in _TUPLES, parameter.default is inspect.Parameter.empty)


def rule_of(name: str) -> Rule:
    """The rule of a MIL operation; NotImplementedError lists the known ones."""
    if name not in RULES:
        raise NotImplementedError(f"no rule for operation '{name}'; known are {', '.join(sorted(RULES))}")
    return RULES[name]
