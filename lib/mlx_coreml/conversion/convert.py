"""Converts an MLX module or function to a Core ML model in one call, and checks it against MLX.

model = convert(network, mx.zeros((1, 28, 28, 1)))
model.save("Network.mlpackage")
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlx_coreml.backends.mil.assemble import assemble, describe, is_program, target_named
from mlx_coreml.backends.mil.flexible import axes as shapes
from mlx_coreml.backends.mil.images import channels_first, read_images
from mlx_coreml.backends.mil.lowering.registry import RULES
from mlx_coreml.backends.mil.precision import in_fp32
from mlx_coreml.backends.mil.program import build
from mlx_coreml.backends.mil.states import pair
from mlx_coreml.capture.arguments import Bound, bind, function_name, options_like
from mlx_coreml.capture.captured_state import held
from mlx_coreml.capture.random_draws import mode
from mlx_coreml.capture.tracing import as_example, as_flat, capture, flat_inputs
from mlx_coreml.conversion import options
from mlx_coreml.conversion.any_size import any_size
from mlx_coreml.conversion.check import (
    Check,
    Checked,
    check_is_installed,
    check_model,
    level_of,
    mlx_on_cpu,
)
from mlx_coreml.conversion.progress import Progress
from mlx_coreml.conversion.quiet import one_warning_per_cause
from mlx_coreml.conversion.source import Source, source_of
from mlx_coreml.ir.errors import ConversionError, WrongModelError, dictionary
from mlx_coreml.ir.graph import Graph
from mlx_coreml.passes import simplify, simplify_at_sizes

if TYPE_CHECKING:
    import coremltools as ct
    import mlx.core as mx
    from coremltools.converters.mil import mil

    from mlx_coreml.backends.coreai.asset import CoreAIModel

FUNCTION = ("fn", "example", "named")  # the parameters of `convert` that are no options


@dataclass(frozen=True)
class Request:
    """The arguments of one call of `convert`."""

    fn: Callable
    example: Sequence[Any]
    outputs: Sequence[str] | None
    states: Mapping[str, int | str]
    flexible: Mapping[str, Mapping]
    image_inputs: Mapping[str, Mapping]
    target: ct.target
    precision: str


@dataclass(frozen=True)
class Lowered:
    """The program of a request, the source it must agree with, and the flat arrays of the check."""

    program: mil.Program
    source: Source
    examples: Sequence[Sequence[mx.array]]


@one_warning_per_cause()
@mlx_on_cpu()
def convert(
    fn: Callable,
    *example: Any,
    outputs: Sequence[str] | str | None = None,
    states: Mapping[str, int | str] | None = None,
    flexible: Mapping[str, Mapping] | None = None,
    deployment_target: str | ct.target = "iOS17",
    precision: Any = "float16",
    image_inputs: Mapping[str, Mapping] | None = None,
    metadata: Mapping[str, Any] | None = None,
    check: bool | str = True,
    random: str = "refuse",
    to: str = "coreml",
    **named: Any,
) -> ct.models.MLModel | CoreAIModel:
    """The Core ML model of an MLX module or function on an example call: `.save("Model.mlpackage")`.

    `example` and `named` are the function's arguments. Arrays of MLX or NumPy, and `Spec((1, 16), "int32")`
    in place of one, become inputs, also inside lists, dictionaries, tuples, dataclasses and objects; the rest
    (None, numbers, texts, objects without arrays) is fixed, and listed in the metadata `fixed_arguments`.
    Random numbers that the function draws without a key are refused; with `random="input"` each draw is an
    input: random_0, random_1 ... (metadata `random_inputs`).

    `outputs` names the results. `states={"cache": 1}`: result 1 replaces input "cache", both nested alike
    (iOS 18). `flexible={"tokens": {1: (1, 512)}}`: axis 1 has any size in the range; `{1: [64, 128]}`: one
    of these. `image_inputs={"x": {"scale": 1 / 255, "bias": 0, "color": "RGB"}}`: a picture of which
    pixel * scale + bias is the input. `metadata`: author, license, version, short_description, `inputs` and
    `outputs` (descriptions by name); anything else is user-defined. `precision`: "float16" with float32
    where fp16 would overflow, "mixed" with float32 for norms and softmax too, "float32". Whole numbers become
    int32, with a warning for arithmetic that may leave its range.

    Targets before iOS 15 give the neural-network format (`.mlmodel`): its check runs the same program as an
    ML Program of iOS 15, because the reference runtime reads only those.

    `to="coreai"` gives a Core AI asset of fixed sizes for OS 27 instead: `.save("Model.aimodel")`, which
    needs the extra coreai and is checked by Core AI's own interpreter.

    Errors: ConversionError saying what cannot be converted; WrongModelError when `check` finds that the
    model, run by the reference runtime, and on macOS by Core ML's CPU as well, does not compute what MLX
    computes on the CPU, in float32. `check` is True or "full" (the example, other numbers and sizes, probes
    such as zeros and large positions), "quick" (the example alone), False or "off".
    """
    target, precision = options.deployment_target(deployment_target), options.precision_named(precision)
    core_ai = options.core_ai(to, target)
    bound = _bound(fn, example, named, random)
    request = Request(
        *(bound, bound.arrays, outputs, states or {}, flexible or {}, image_inputs or {}),
        *(target, precision),
    )
    level = level_of(check)
    if core_ai:
        return core_ai.converted(request, _told(bound), metadata or {}, level)
    if level != "off":
        check_is_installed()
    start = time.monotonic()
    with Progress(function_name(fn)).shown_while() as progress:
        lowered = lower(request, progress)
        progress.at("writes the package", 0.2)
        model = assemble(lowered.program, request.target)
        describe(model, _told(bound) | dict(dictionary(metadata or {}, "metadata")))
        model.user_defined_metadata["check"] = level
        if level != "off":
            seconds = time.monotonic() - start
            told = verified(request, lowered, model, level, seconds, progress).told()
            model.user_defined_metadata.update(told)
    return model


def _bound(fn: Callable, example: Sequence[Any], named: Mapping[str, Any], random: str) -> Bound:
    """The function with its example, and with the random numbers it draws as inputs where they may be."""
    if callable(fn):
        options_like(fn, named, [p for p in inspect.signature(convert).parameters if p not in FUNCTION])
    bound = bind(fn, example, named, mode(random))
    if bound.draws.allowed:
        capture(bound)
    return bound


def _told(bound: Bound) -> dict[str, str]:
    """What the metadata say of the call: arguments that are constants, and random numbers that are inputs."""
    draws = ", ".join(f"random_{i}: {kind}" for i, kind in enumerate(bound.draws.kinds))
    found = {"fixed_arguments": bound.fixed, "random_inputs": draws}
    return {key: text for key, text in found.items() if text}


def lower(request: Request, progress: Progress | None = None) -> Lowered:
    """Capture, clean up and lower a function, at several sizes where shapes are flexible."""
    progress = progress or Progress(function_name(request.fn))
    progress.at("traces", 0.0)
    graph = _captured(request, request.example)
    images = read_images(request.image_inputs, graph)
    states = pair(graph, request.states, request.target, request.outputs)
    for tensor in (graph.inputs[i] for i in states):
        if tensor.name in images:
            raise ConversionError(
                f"input '{tensor.name}' is both an image and a state; allowed is one of them"
            )
    axes = shapes.read_axes(request.flexible, graph, request.target)
    flat = as_flat(request.fn, request.example)
    examples = [[array for _, array in flat_inputs(request.fn, request.example)]]
    source = source_of(function_name(request.fn), flat, graph, examples[0], images, states)
    features = shapes.features(axes, graph, images)
    progress.at("lowers", 0.05)
    if axes:
        program, more = any_size(
            *(axes, graph, examples[0]),
            lambda arrays: _captured(request, as_example(request.example, arrays)),
            lambda *given: _programs(request, source, *given),
        )
        examples += more
    else:
        program = _program(request, graph, source)
    program.functions["main"].set_input_types(tuple(features))
    return Lowered(program, source, examples)


def _captured(request: Request, example: Sequence[Any]) -> Graph:
    return capture(request.fn, *example, outputs=request.outputs)


def _program(request: Request, graph: Graph, source: Source) -> mil.Program:
    """The program of a captured graph."""
    return _programs(request, source, [graph])[0]


def _programs(
    request: Request, source: Source, graphs: Sequence[Graph], kept: bool = False, tables: bool = True
) -> list[mil.Program]:
    """The programs of a function captured at several sizes, with what depends on them `kept` as nodes, or
    folded. The neural-network format has no fp16 program.
    """
    for graph in graphs:
        channels_first(graph, source.images)
    if kept:
        simplify_at_sizes(graphs, RULES, tables)
    else:
        for graph in graphs:
            simplify(graph)
    precision = request.precision if is_program(request.target) else "float32"
    exact = in_fp32(graphs, precision)
    return [build(graph, precision, request.target, source.states, exact) for graph in graphs]


def verified(
    request: Request,
    lowered: Lowered,
    model: ct.models.MLModel,
    level: str,
    seconds: float,
    progress: Progress,
) -> Checked:
    """What the check finds of a model; a neural network's program is run as an ML Program."""
    if not is_program(request.target):
        request = replace(request, target=target_named("iOS15"), precision="float32")
        lowered = lower(request)
        model = assemble(lowered.program, request.target)
    check = Check(
        *(lowered.source, model.package_path, lowered.examples, request.precision, level, seconds),
    )
    with held(request.fn).kept():  # in evaluation mode, as it was captured
        try:
            return check_model(check, progress)
        except ConversionError:
            raise
        except (RuntimeError, ValueError) as error:  # of the runtime: an operation does not take its inputs
            told = " ".join(str(error).split())
            where = " at one of its sizes" if request.flexible else ""
            raise WrongModelError(f"the converted model does not run{where}: {told}") from error
