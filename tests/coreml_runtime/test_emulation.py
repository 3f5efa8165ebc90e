"""coremltools' own features that need a prediction, on any machine inside `reference_predictions`."""

import asyncio

import coremltools as ct
import numpy as np
import pytest
import torch
from cases import floats
from coremltools.converters.mil.mil import Builder as mb
from coremltools.models import MLModel
from coremltools.models import model as seam
from coremltools.models.ml_program.experimental.debugging_utils import (
    MLModelComparator,
    MLModelInspector,
    MLModelValidator,
)
from coremltools.optimize import coreml as optimize
from packages import OPSETS, save
from torch import nn

from coreml_runtime import load
from coreml_runtime.execution.emulation import reference_predictions

pytestmark = pytest.mark.skipif(seam._MLModelProxy is not None, reason="Core ML itself predicts here")


def program(x):
    return mb.relu(x=mb.log(x=mb.sub(x=x, y=1.0, name="shifted"), name="logarithm"), name="y")


@pytest.fixture
def package(tmp_path):
    built = mb.program(input_specs=[mb.TensorSpec(shape=(3,))], opset_version=OPSETS[17])(program)
    return save(built, 17, tmp_path / "model.mlpackage")


X = np.array([0.5, 2.0, 3.0], np.float32)


def test_predict_works_inside_and_only_there(package):
    outside = MLModel(str(package))
    with pytest.raises(Exception, match="only supported on macOS"):
        outside.predict({"x": X})
    with reference_predictions():
        inside = MLModel(str(package))
        wanted = np.array([np.nan, 0, np.log(2)], np.float32)
        for model in (inside, outside):
            np.testing.assert_allclose(model.predict({"x": X})["y"], wanted, rtol=1e-6)
        assert [list(found) for found in inside.predict([{"x": X}, {"x": X}])] == [["y"], ["y"]]
    assert seam._MLModelProxy is None and "reference" not in MLModel.predict.__qualname__
    with pytest.raises(Exception, match="only supported on macOS"):
        MLModel(str(package)).predict({"x": X})


def test_state_through_coremltools(tmp_path):
    spec = [
        mb.TensorSpec(shape=(3,), dtype=ct.converters.mil.mil.types.fp16),
        mb.StateTensorSpec((3,), dtype=ct.converters.mil.mil.types.fp16),
    ]

    @mb.program(input_specs=spec, opset_version=OPSETS[18])
    def counting(x, memory):
        return mb.coreml_update_state(state=memory, value=mb.add(x=mb.read_state(input=memory), y=x))

    package = save(counting, 18, tmp_path / "state.mlpackage", passes=ct.PassPipeline.DEFAULT)
    with reference_predictions():
        model = MLModel(str(package))
        state = model.make_state()
        for _ in range(2):
            found = model.predict({"x": np.ones(3, np.float16)}, state)
        (name,) = load(package).states
        assert (state.read_state(name) == 2).all() and all((value == 2).all() for value in found.values())


def test_inspector_validator_and_comparator_find_operations(package):
    async def inspect():
        model = MLModel(str(package))
        found = await MLModelInspector(model).retrieve_outputs(inputs={"x": X}, output_names=["shifted"])
        nans = await MLModelValidator(model).find_failing_ops_with_nan_output(inputs={"x": X})

        def never(operation, reference, target):
            return False

        differing = await MLModelComparator(model, MLModel(str(package))).find_failing_ops(
            {"x": X + 1}, compare_outputs=never
        )
        return found, nans, differing

    with reference_predictions():
        found, nans, differing = asyncio.run(inspect())
    np.testing.assert_allclose(found["shifted"], X - 1)
    assert [operation.type for operation in nans] == ["log"]
    assert "sub" in [operation.type for operation in differing]


def test_activations_are_quantized(tmp_path):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3)).eval()
    x = torch.from_numpy(floats(1, 3, 12, 12))
    model = ct.convert(
        torch.jit.trace(network, x),
        inputs=[ct.TensorType(name="x", shape=x.shape, dtype=np.float32)],
        outputs=[ct.TensorType(name="y", dtype=np.float32)],
        minimum_deployment_target=ct.target.iOS17,
    )
    config = optimize.OptimizationConfig(
        global_config=optimize.experimental.OpActivationLinearQuantizerConfig()
    )
    samples = [
        {"x": floats(1, 3, 12, 12, seed=i)} for i in (2, 1, 0)
    ]  # coremltools 9.0 keeps the range of the last
    with reference_predictions():
        quantized = optimize.experimental.linear_quantize_activations(model, config, samples)
    quantized.save(str(tmp_path / "quantized.mlpackage"))
    kinds = []
    hooked = load(tmp_path / "quantized.mlpackage")
    found = hooked.predict(
        {"x": x.numpy()}, hook=lambda operation, name, value: kinds.append(operation.type)
    )["y"]
    assert kinds.count("quantize") >= 2 and kinds.count("quantize") == kinds.count("dequantize")
    wanted = network(x).detach().numpy()
    assert np.sqrt(np.mean((found - wanted) ** 2) / np.mean(wanted**2)) < 0.03


def test_bisected_model_is_checked(tmp_path):
    torch.manual_seed(0)
    network = nn.Sequential(*[layer for _ in range(4) for layer in (nn.Linear(16, 16), nn.ReLU())]).eval()
    x = torch.from_numpy(floats(2, 16))
    model = ct.convert(
        torch.jit.trace(network, x),
        inputs=[ct.TensorType(name="x", shape=x.shape, dtype=np.float32)],
        outputs=[ct.TensorType(name="y", dtype=np.float32)],
        minimum_deployment_target=ct.target.iOS17,
    )
    model.save(str(tmp_path / "whole.mlpackage"))
    with reference_predictions():
        ct.models.utils.bisect_model(
            str(tmp_path / "whole.mlpackage"), str(tmp_path), check_output_correctness=True
        )
    first, second = (load(tmp_path / f"whole_chunk{i}.mlpackage") for i in (1, 2))
    middle = first.predict({"x": x.numpy()})
    found = second.predict(middle)["y"]
    np.testing.assert_allclose(found, network(x).detach().numpy(), atol=5e-3)


def test_neural_networks_still_load(tmp_path):
    built = mb.program(input_specs=[mb.TensorSpec(shape=(2, 3))])(lambda x: mb.relu(x=x))
    with reference_predictions():
        model = ct.convert(built, convert_to="neuralnetwork")
        model.save(str(tmp_path / "old.mlmodel"))
        with pytest.raises(ValueError, match="is a neural network model"):
            MLModel(str(tmp_path / "old.mlmodel")).predict({"x": np.ones((2, 3), np.float32)})
