"""What Core ML refuses or computes otherwise than MIL's documentation says, as public reports from Macs
have it.

`LIMITS` is the one table of them. A row is either *refused*: then a package to which it applies is not run
here either; or *computed*: then the runtime gives Core ML's value; or *told*: then Core ML fails only on
some devices, or the report does not say enough to be imitated, and nothing is done here. None of it was run
on a Mac by us.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from coreml_runtime.execution.constants import Constants
from coreml_runtime.format.dtypes import TensorType, tensor_type
from coreml_runtime.format.package import Package, description_of

ISSUES = "https://github.com/apple/coremltools/issues/"
PULLS = "https://github.com/apple/coremltools/pull/"
HERE = ("refused", "computed", "told")
RANK = 5
ENUMERATED = 128
EMPTY_INPUT = 9  # the specification version of iOS 18
Types = dict[str, TensorType | None]


@dataclass(frozen=True)
class Limit:
    """One difference: in which case, what Core ML does, what is done here, and who reports it."""

    case: str
    core_ml: str
    here: str
    source: str


LIMITS = {
    "integer linear": Limit(
        "linear of an int32 input",
        "builds no execution plan (error code -14)",
        "refused",
        f"{ISSUES}2575; rdar 111421695 in coremltools' tests, iOS17/test_linear.py, where matmul passes",
    ),
    "pad": Limit(
        "pad in mode reflect or replicate of another axis than the last two",
        "does not parse it: only `constant` pads more than two dimensions",
        "refused",
        f"{ISSUES}2576, {ISSUES}2571; the rule as measured in {PULLS}2701",
    ),
    "rank": Limit(
        f"a value of more than {RANK} dimensions that is not a constant",
        "does not declare the network",
        "refused",
        f"{ISSUES}1723, {ISSUES}2291",
    ),
    "no inputs": Limit(
        f"a program without inputs, specification version below {EMPTY_INPUT} (iOS 18)",
        "does not compile it: empty input is only valid from version 9 on",
        "refused",
        f"{ISSUES}2578, {PULLS}2684",
    ),
    "mixed flexibility": Limit(
        "one input with enumerated shapes and another with a range of sizes",
        "stops with EnumeratedWithRangeInputsException",
        "refused",
        f"{ISSUES}2548",
    ),
    "many shapes": Limit(
        f"more than {ENUMERATED} enumerated shapes of an input",
        "fails to predict",
        "refused",
        f"{ISSUES}989; https://apple.github.io/coremltools/docs-guides/source/flexible-inputs.html",
    ),
    "mixed shapes": Limit(
        "inputs with enumerated shapes, given shapes that stand at different places of their lists",
        "fails to predict",
        "refused",
        f"{ISSUES}2271",
    ),
    "state shape": Limit("a state of a flexible shape", "does not support it", "refused", f"{ISSUES}2537"),
    "avg_pool": Limit(
        "avg_pool with ceil_mode=True and exclude_padding_from_average=False",
        "counts what the last window has beyond the input as padding, and divides by the whole window",
        "computed",
        f"{ISSUES}2772, {PULLS}2844",
    ),
    "epsilon": Limit(
        "log, rsqrt and inverse without an epsilon",
        "adds 1e-45, 1e-12 and 1e-4 to the argument: inverse(1e-5) is 9091",
        "computed",
        f"{ISSUES}2773",
    ),
    "scatter": Limit(
        "scatter operations since iOS 17 with an index out of bounds, not validated",
        "drops the update",
        "computed",
        "rdar 128089254 in coremltools' tests, iOS17/test_scatter_gather.py",
    ),
    "ties": Limit(
        "topk with sort=False; reduce_argmax, reduce_argmin, argsort and topk among equal elements",
        "gives any order",
        "computed",
        "https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html",
    ),
    "vector product": Limit(
        "matmul of a vector and a stack of matrices, as coremltools before 9.1 declares its shape",
        "crashes when it predicts",
        "computed",
        f"{ISSUES}2263, {PULLS}2719: the declared shape is wrong, and this runtime stops at it",
    ),
    "fixed beside range": Limit(
        "a model with a state, a fixed input and an input with a range of sizes",
        "stops with EnumeratedWithRangeInputsException in one report",
        "told",
        f"{ISSUES}2548",
    ),
    "empty": Limit(
        "a value without elements",
        "fails in resize and concat",
        "told",
        f"{ISSUES}1040; rdar 112418424 in coremltools' tests, iOS17/test_image_resizing.py",
    ),
    "same_lower": Limit(
        "pooling over one dimension with pad_type same_lower",
        "gives a wrong result, which the report does not show",
        "told",
        "rdar 98852008 in coremltools' tests, iOS14/test_pool.py",
    ),
    "conv_transpose": Limit(
        "conv_transpose with output_shape",
        "gives other results on the GPU and the Neural Engine than on the CPU",
        "told",
        f"{ISSUES}2281",
    ),
    "int16 cast": Limit(
        "cast of int32 to int16 beyond its range",
        "may keep the int32 value",
        "told",
        f"{ISSUES}2222",
    ),
    "state width": Limit(
        "a state whose last dimension is no multiple of 32",
        "fails on the Neural Engine",
        "told",
        f"{ISSUES}2631",
    ),
}


class Refused(ValueError):
    """Core ML does not run a package, or not with these inputs."""


def refusal(where: str, name: str, found: str) -> Refused:
    """The error for a limit of the table."""
    limit = LIMITS[name]
    return Refused(
        f"{where} does not run on Core ML: {found} is a case of {limit.case}, for which Core ML "
        f"{limit.core_ml} (source: {limit.source})"
    )


def check_program(function: Any, block: Any, package: Package) -> None:
    """Raise `Refused` for a function that Core ML would not load."""
    types: Types = {each.name: tensor_type(each.type) for each in function.inputs}
    for each in function.inputs:
        kind = types[each.name]
        if (
            each.type.WhichOneof("type") == "stateType"
            and kind
            and (kind.shape is None or None in kind.shape)
        ):
            raise refusal(str(package.path), "state shape", f"state '{each.name}' {kind}")
    if not function.inputs and package.specification.specificationVersion < EMPTY_INPUT:
        version = package.specification.specificationVersion
        raise refusal(str(package.path), "no inputs", f"version {version}")
    for operation, name in _broken(block, types, Constants(block, package)):
        listed = ", ".join(f"'{result.name}' {tensor_type(result.type)}" for result in operation.outputs)
        raise refusal(str(package.path), name, f"{operation.type} {listed}")


def _broken(block: Any, types: Types, constants: Constants) -> Iterator[tuple[Any, str]]:
    """The operations of a block and of those inside it that Core ML refuses, each with the name of its
    limit.
    """
    types = types | {each.name: tensor_type(each.type) for each in block.inputs}
    for operation in block.operations:
        types |= {result.name: tensor_type(result.type) for result in operation.outputs}
        yield from (
            (operation, name) for name, applies in CHECKS.items() if applies(operation, types, constants)
        )
        for nested in operation.blocks:
            yield from _broken(nested, types, constants)


def _is_integer_linear(operation: Any, types: Types, constants: Constants) -> bool:
    if operation.type != "linear":
        return False
    kind = types.get(operation.inputs["x"].arguments[0].name)
    return kind is not None and kind.dtype.name == "INT32"


def _pads_leading_axes(operation: Any, types: Types, constants: Constants) -> bool:
    if operation.type != "pad" or constants.argument(operation, "mode", "constant") == "constant":
        return False
    widths = constants.argument(operation, "pad")
    return isinstance(widths, list) and any(widths[:-4])


def _is_of_high_rank(operation: Any, types: Types, constants: Constants) -> bool:
    if operation.type == "const" or operation.type.startswith("constexpr_"):
        return False
    kinds = [types[result.name] for result in operation.outputs]
    return any(kind is not None and kind.shape is not None and len(kind.shape) > RANK for kind in kinds)


CHECKS: dict[str, Callable[[Any, Types, Constants], bool]] = {
    "integer linear": _is_integer_linear,
    "pad": _pads_leading_axes,
    "rank": _is_of_high_rank,
}


def listed_shapes(package: Package, function: str) -> dict[str, list[tuple[int, ...]]]:
    """The enumerated shapes of each array input that has any, in the order of the package.

    Raises `Refused` for kinds of flexibility that Core ML does not take together.
    """
    listed, ranges = {}, []
    for feature in description_of(package.specification.description, function).input:
        if feature.type.WhichOneof("Type") != "multiArrayType":
            continue
        array = feature.type.multiArrayType
        kind = array.WhichOneof("ShapeFlexibility")
        if kind == "enumeratedShapes":
            listed[feature.name] = [tuple(shape.shape) for shape in array.enumeratedShapes.shapes]
        elif kind == "shapeRange" and any(s.lowerBound != s.upperBound for s in array.shapeRange.sizeRanges):
            ranges.append(feature.name)
    if listed and ranges:
        found = f"'{next(iter(listed))}' with enumerated shapes and '{ranges[0]}' with a range"
        raise refusal(str(package.path), "mixed flexibility", found)
    for name, shapes in listed.items():
        if len(shapes) > ENUMERATED:
            raise refusal(str(package.path), "many shapes", f"'{name}' with {len(shapes)}")
    return listed


def check_places(
    where: str, listed: dict[str, list[tuple[int, ...]]], given: dict[str, tuple[int, ...]]
) -> None:
    """Raise `Refused` for inputs whose shapes stand at different places of their enumerated shapes."""
    if len(listed) < 2 or len({len(shapes) for shapes in listed.values()}) > 1:
        return
    places = [
        {i for i, shape in enumerate(shapes) if shape == given[name]} for name, shapes in listed.items()
    ]
    if not set.intersection(*places):
        found = ", ".join(f"'{name}' {given[name]}" for name in listed)
        raise refusal(where, "mixed shapes", found)
