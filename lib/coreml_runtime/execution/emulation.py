"""Lets coremltools predict where Core ML is missing, through the reference runtime, inside a `with` block.

    with reference_predictions():
        model.predict({"x": x})

coremltools reaches Core ML through one class, `coremltools.models.model._MLModelProxy`, which only macOS has.
The block puts a class with the same methods in its place, so what is built on `predict` works: activation
quantization (`linear_quantize_activations`), `bisect_model`, and the comparator, validator and inspector.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from unittest import mock

from coreml_runtime.execution.model import Model, State, load
from coreml_runtime.format.package import SPECIFICATION_VERSIONS
from coreml_runtime.format.specification import model_module


class ReferenceProxy:
    """What coremltools expects of a loaded Core ML model, answered by the reference runtime."""

    def __init__(self, path, compute_units, function_name, optimization_hints, asset, precision="strict"):
        self.load = partial(load, path, function_name or "main", precision)

    @cached_property
    def model(self) -> Model:
        """The model, prepared at the first prediction: coremltools loads many that never predict."""
        return self.load()

    @staticmethod
    def maximum_supported_specification_version() -> int:
        """The newest specification the runtime reads."""
        return SPECIFICATION_VERSIONS[-1]

    def predict(self, data: dict, state: State | None) -> dict:
        """One prediction; a failing operation raises what Core ML raises."""
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

    Models loaded before the block work in it, too; models loaded inside keep the runtime afterwards. ML
    Programs only: predicting with another type of model raises what `load` raises. On macOS the block takes
    Core ML's place.
    """
    seam = model_module()
    predict, make_state = seam.MLModel.predict, seam.MLModel.make_state
    proxy = partial(ReferenceProxy, precision=precision)
    proxy.maximum_supported_specification_version = ReferenceProxy.maximum_supported_specification_version

    def attached(model):
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
