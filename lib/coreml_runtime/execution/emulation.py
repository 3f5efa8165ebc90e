"""Lets coremltools predict without Core ML: inside a `with` block, this runtime computes the predictions.

    with reference_predictions():
        model.predict({"x": x})

coremltools reaches Core ML through one class, `coremltools.models.model._MLModelProxy`, which only macOS has.
The block puts a class with the same methods in its place, so what is built on `predict` works: activation
quantization (`linear_quantize_activations`), `bisect_model`, and the comparator, validator and inspector.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any
from unittest import mock

from coreml_runtime.execution.model import Model, State, load
from coreml_runtime.format.package import SPECIFICATION_VERSIONS
from coreml_runtime.format.specification import model_module


class ReferenceProxy:
    """The methods that coremltools calls on a loaded Core ML model, computed by this runtime."""

    def __init__(self, *arguments: Any, precision: str = "strict"):
        path, _compute_units, function, _optimization_hints, _asset = arguments
        self.load = partial(load, path, function or "main", precision)

    @cached_property
    def model(self) -> Model:
        """The model, prepared at the first prediction, because coremltools loads many that never predict."""
        return self.load()

    @staticmethod
    def maximum_supported_specification_version() -> int:
        """The newest specification the runtime reads."""
        return SPECIFICATION_VERSIONS[-1]

    def predict(self, data: dict, state: State | None) -> dict:
        """One prediction; a failing operation raises the same error as Core ML."""
        try:
            return self.model.predict(data, state)
        except RuntimeError as error:
            raise RuntimeError(f"Unable to compute the prediction using ML Program. {error}") from error

    def batchPredict(self, data: list[dict]) -> list[dict]:
        """One prediction per dictionary."""
        return [self.predict(inputs, None) for inputs in data]

    def newState(self) -> State:
        """An empty state."""
        return self.model.make_state()


@contextmanager
def reference_predictions(precision: str = "strict") -> Iterator[None]:
    """Make `MLModel.predict`, `make_state` and what is built on them work inside the block.

    Models loaded before the block work in it, too; models loaded inside keep this runtime afterwards. Only
    ML Programs can predict; other types of model raise the errors of `load`. On macOS the block replaces
    Core ML.
    """
    seam = model_module()
    predict, make_state = seam.MLModel.predict, seam.MLModel.make_state
    proxy: Any = partial(ReferenceProxy, precision=precision)
    proxy.maximum_supported_specification_version = ReferenceProxy.maximum_supported_specification_version

    def attached(model: Any) -> Any:
        if model.__proxy__ is None:
            model.__proxy__ = proxy(model.package_path, "ALL", model.function_name, {}, None)
        return model

    with (
        mock.patch.object(seam, "_MLModelProxy", proxy),
        mock.patch.object(seam, "_is_macos", lambda: True),
        mock.patch.object(seam, "_macos_version", lambda: (26, 0)),
        mock.patch.object(
            seam.MLModel, "predict", lambda m, data, state=None: predict(attached(m), data, state)
        ),
        mock.patch.object(seam.MLModel, "make_state", lambda m: make_state(attached(m))),
    ):
        yield
