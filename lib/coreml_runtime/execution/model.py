"""`load` and `Model.predict`, which has the signature of Core ML's own `predict`, on any system.

Core ML treats a declared fp16 type as the least precision it keeps (coremltools guide, "Typed Execution").
So there are two precisions: `strict` rounds every fp16 value to fp16, `exact` keeps it in float32. Both
compute in float32.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from coreml_runtime.format.features import Feature, read_features, tensor_from, value_for
from coreml_runtime.format.package import Package, description_of, open_package

if TYPE_CHECKING:
    import torch

    from coreml_runtime.execution.program import Program
    from coreml_runtime.execution.scope import Frame, Hook, Operation
    from coreml_runtime.execution.unordered import Unordered
    from coreml_runtime.format.dtypes import TensorType

PRECISIONS = ("strict", "exact")


class State:
    """What a stateful model keeps between predictions: one tensor for each state, zero at first."""

    def __init__(self, program: Program):
        import torch

        self._declared = program.states
        self.tensors = {
            name: torch.zeros(declared.shape, dtype=declared.dtype.carrier)  # type: ignore[arg-type]
            for name, declared in program.states.items()
        }

    def copy(self) -> State:
        """Another state with the same contents; predictions replace tensors and never write into them."""
        other = copy.copy(self)
        other.tensors = dict(self.tensors)
        return other

    def read_state(self, name: str) -> np.ndarray:
        """A copy of a state, in its declared type; KeyError lists the states."""
        self._check(name)
        return self.tensors[name].numpy().astype(self._declared[name].dtype.stored)

    def write_state(self, name: str, value: np.ndarray) -> None:
        """Replace a state; KeyError lists the states, ValueError for another shape."""
        import torch

        self._check(name)
        declared, array = self._declared[name], np.asarray(value)
        if not declared.matches(array.shape):
            raise ValueError(f"state '{name}' has shape {declared.shape}, got {array.shape}")
        self.tensors[name] = torch.from_numpy(array.astype(declared.dtype.stored)).to(declared.dtype.carrier)

    def _check(self, name: str) -> None:
        if name not in self.tensors:
            raise KeyError(f"no state '{name}'; the model has {', '.join(self.tensors) or 'none'}")


class Model:
    """A prepared function of a package; made by `load`."""

    def __init__(self, package: Package, function: str, precision: str, limits: bool = True):
        from coreml_runtime.execution.limits import listed_shapes
        from coreml_runtime.execution.program import (
            prepare,  # imports torch, which importing this package must not
        )

        if precision not in PRECISIONS:
            raise ValueError(f"precision '{precision}' is not known; known are {', '.join(PRECISIONS)}")
        program = package.function(function)
        self.path, self.function, self.precision = package.path, function, precision
        description = package.specification.description
        shown = description_of(description, function)
        self.inputs: dict[str, Feature] = read_features(shown.input)
        self.outputs: dict[str, Feature] = read_features(shown.output)
        self._classifier = (description.predictedFeatureName, description.predictedProbabilitiesName)
        self._program = prepare(program, package, precision == "strict", limits)
        self._weights = package.weights
        self._listed = listed_shapes(package, function) if limits else {}

    @property
    def uses_fp16(self) -> bool:
        """Whether any operation of the program results in fp16."""
        return self._program.uses_fp16

    @property
    def unordered(self) -> dict[str, Unordered]:
        """The outputs whose order MIL leaves open."""
        return self._program.unordered

    @property
    def states(self) -> tuple[str, ...]:
        """The names of the model's states."""
        return tuple(self._program.states)

    def make_state(self) -> State:
        """A new state, all zeros; ValueError for a model without one."""
        if not self._program.states:
            raise ValueError(f"{self.path} has no state, so call predict without one")
        return State(self._program)

    def predict(
        self,
        inputs: Mapping[str, Any],
        state: State | None = None,
        *,
        intermediates: bool = False,
        hook: Hook | None = None,
    ) -> dict[str, Any]:
        """Run the model on arrays or PIL images by input name and return its outputs by name.

        `intermediates=True` adds every value that the program computes, by its name in the program.
        `hook(operation, name, value)` is called with each value as it is computed. A wrong input raises one
        ValueError or TypeError that names the input and what is allowed.
        """
        seen: dict[str, Any] = {}
        if intermediates:
            hook = _collecting(seen, hook)
        return seen | self.run(inputs, state, hook)

    def predict_each(
        self, calls: Sequence[Mapping[str, Any]], hooks: Sequence[Hook | None]
    ) -> list[dict[str, Any]]:
        """The outputs of independent calls, operation by operation, so that a weight is converted once for
        all.

        ValueError for a model with state, whose calls depend on each other.
        """
        frames = [self._frame(each, None, hook) for each, hook in zip(calls, hooks, strict=True)]
        return self._computed(frames)

    def run(
        self,
        inputs: Mapping[str, Any],
        state: State | None,
        hook: Hook | None = None,
        rounded: Callable[[torch.Tensor, TensorType], torch.Tensor] | None = None,
    ) -> dict[str, Any]:
        """The outputs by name; `rounded(value, declared)` replaces each result of arithmetic in floats."""
        return self._computed([self._frame(inputs, state, hook, rounded)])[0]

    def _frame(
        self, inputs: Mapping[str, Any], state: State | None, hook: Hook | None, rounded: Any = None
    ) -> Frame:
        from coreml_runtime.execution.scope import Frame

        frame = Frame([None] * self._program.size, self._tensors_of(state), hook, rounded)
        for name, value in self._arguments(inputs).items():
            frame.slots[self._program.inputs[name][0]] = value
        return frame

    def _computed(self, frames: list[Frame]) -> list[dict[str, Any]]:
        import torch

        with torch.inference_mode():
            for step in self._program.steps:
                for frame in frames:
                    step(frame)
            return [self._results(frame) for frame in frames]

    def _tensors_of(self, state: State | None) -> dict[str, torch.Tensor]:
        names = ", ".join(self.states)
        if state is None and names:
            raise ValueError(f"{self.path} keeps state ({names}): pass state=model.make_state()")
        if state is not None and set(state.tensors) != set(self.states):
            raise ValueError(f"the state has {', '.join(state.tensors)}, the model {names or 'none'}")
        return state.tensors if state is not None else {}

    def _arguments(self, inputs: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        from coreml_runtime.execution.limits import check_places

        features = {name: feature for name, feature in self.inputs.items() if feature.kind != "state"}
        takes = ", ".join(str(feature) for feature in features.values())
        for name in inputs:
            if name not in features:
                raise ValueError(f"the model has no input '{name}'; it takes {takes}")
        arguments = {}
        for name, feature in features.items():
            if name not in inputs and not feature.optional:
                raise ValueError(f"input '{name}' is missing; the model takes {takes}")
            value = (
                inputs[name] if name in inputs else np.full(feature.shapes[0], feature.default, feature.dtype)
            )
            arguments[name] = tensor_from(value, feature, self._program.inputs[name][1])
        check_places(str(self.path), self._listed, {name: tuple(a.shape) for name, a in arguments.items()})
        return arguments

    def _results(self, frame: Frame) -> dict[str, Any]:
        values = {name: get(frame) for name, get in self._program.outputs.items()}
        label, probabilities = self._classifier
        for name in list(values):  # `classify` names its results by its own rules
            if name not in self.outputs:
                values[probabilities if isinstance(values[name], dict) else label] = values.pop(name)
        return {name: value_for(values[name], feature) for name, feature in self.outputs.items()}


def load(
    path: str | Path, function: str = "main", precision: str = "strict", *, limits: bool = True
) -> Model:
    """Read a saved ML Program and prepare one of its functions.

    `precision` is `strict` (every fp16 value is rounded to fp16) or `exact` (fp16 values stay float32). With
    `limits=False` what Core ML refuses by public reports is computed as MIL's documentation says. Raises
    FileNotFoundError or ValueError for anything but an ML Program that Core ML runs, and NotImplementedError
    with the list of operations that are not implemented.
    """
    return Model(open_package(path), function, precision, limits)


def readings(
    path: str | Path, precisions: Sequence[str] = PRECISIONS, function: str = "main"
) -> dict[str, Model]:
    """The models of one package by precision, sharing what they keep of its weights. Errors as in `load`."""
    opened = open_package(path)
    return {precision: Model(opened, function, precision) for precision in precisions}


def _collecting(seen: dict[str, Any], hook: Hook | None) -> Hook:
    def collect(operation: Operation, name: str, value: Any) -> None:
        seen[name] = np.array(value.numpy()) if hasattr(value, "numpy") else value
        if hook is not None:
            hook(operation, name, value)

    return collect
