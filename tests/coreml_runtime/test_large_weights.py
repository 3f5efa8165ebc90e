"""Large compressed and fp16 weights are converted when they are read; the results are those of small ones."""

import coremltools as ct
import coremltools.optimize.coreml as cto
import numpy as np
import pytest
from cases import floats
from coremltools.converters.mil.mil import Builder as mb
from packages import OPSETS

from coreml_runtime import load
from coreml_runtime.format import memory
from coreml_runtime.format.memory import Buffers, Weights
from coreml_runtime.format.package import open_package, unpack_bits

WEIGHTS = [floats(64, 96, seed=i) for i in range(3)]
OP = {
    "fp16": None,
    "int8": cto.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=0),
    "int4": cto.OpLinearQuantizerConfig(
        mode="linear", dtype="int4", granularity="per_block", block_size=32, weight_threshold=0
    ),
    "lut": cto.OpPalettizerConfig(mode="uniform", nbits=4, weight_threshold=0),
    "lut3": cto.OpPalettizerConfig(
        mode="uniform", nbits=3, granularity="per_grouped_channel", group_size=32, weight_threshold=0
    ),
    "sparse": cto.OpThresholdPrunerConfig(threshold=0.5, minimum_sparsity_percentile=0.1, weight_threshold=0),
}


@mb.program(input_specs=[mb.TensorSpec(shape=(2, 96))], opset_version=OPSETS[18])
def program(x):
    made = [mb.linear(x=x, weight=weight) for weight in WEIGHTS]
    return mb.concat(values=made, axis=1, name="y")


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """The program in fp16 with its weights stored in each way."""
    folder = tmp_path_factory.mktemp("weights")
    whole = ct.convert(
        program, minimum_deployment_target=ct.target.iOS18, compute_units=ct.ComputeUnit.CPU_ONLY
    )
    apply = {"int8": cto.linear_quantize_weights, "int4": cto.linear_quantize_weights}
    apply |= {"lut": cto.palettize_weights, "lut3": cto.palettize_weights, "sparse": cto.prune_weights}
    for name, config in OP.items():
        made = apply[name](whole, cto.OptimizationConfig(global_config=config)) if config else whole
        made.save(str(folder / f"{name}.mlpackage"))
    return folder


@pytest.fixture
def all_large(monkeypatch):
    """Every weight is large, and there is room for one of them."""
    for module in ("values", "memory"):
        monkeypatch.setattr(f"coreml_runtime.format.{module}.LARGE", 100)
    monkeypatch.setattr("coreml_runtime.execution.program.LARGE", 100)
    monkeypatch.setattr(memory, "KEPT", 64 * 96 * 4)


@pytest.mark.parametrize("precision", ["strict", "exact"])
@pytest.mark.parametrize("stored", OP)
def test_weights_read_anew_give_the_same_numbers(packages, request, stored, precision):
    path, x = packages / f"{stored}.mlpackage", {"x": floats(2, 96, seed=7)}
    wanted = load(path, precision=precision).predict(x)["y"]
    request.getfixturevalue("all_large")
    model = load(path, precision=precision)
    for _ in range(2):
        np.testing.assert_array_equal(model.predict(x)["y"], wanted)
    several = model.predict_each([x, {"x": 2 * x["x"]}, x], [None] * 3)
    for i in (0, 2):
        np.testing.assert_array_equal(several[i]["y"], wanted)


def test_what_is_kept_has_a_limit(packages, all_large):
    model = load(packages / "int4.mlpackage")
    model.predict({"x": floats(2, 96)})
    kept = [each for made in model._weights._kept.values() for each in made]
    assert 0 < sum(each.nbytes for each in kept) <= memory.KEPT


def test_a_weight_is_converted_once_for_all_calls_of_a_comparison(monkeypatch):
    monkeypatch.setattr(memory, "KEPT", 0)
    weights, read = Weights(), []
    for key in ("a", "a", "b", "b", "a"):
        weights.get(key, lambda key=key: read.append(key) or np.zeros(4))
    assert read == ["a", "b", "a"]


def test_buffers_are_given_out_again_only_when_nothing_refers_to_them(monkeypatch):
    monkeypatch.setattr(memory, "LARGE", 10)
    buffers = Buffers()
    first = buffers.take(100, np.float32)
    place = first.ctypes.data
    view = first.reshape(10, 10)[2:]
    del first
    assert buffers.take(50, np.float32).ctypes.data != place
    del view
    assert buffers.take(100, np.float32).ctypes.data == place


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("signed", [False, True])
def test_bits_are_unpacked(bits, signed):
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    values = np.random.default_rng(bits).integers(low, high, 37, endpoint=True)
    digits = (values[:, None] >> np.arange(bits)) & 1
    packed = np.packbits(digits.astype(np.uint8).reshape(-1), bitorder="little")
    np.testing.assert_array_equal(unpack_bits(packed, 37, bits, signed), values)


def test_the_readings_of_a_package_share_its_plain_weights(packages, all_large):
    from coreml_runtime.execution.model import Model

    opened = open_package(packages / "fp16.mlpackage")
    for precision in ("strict", "exact"):
        Model(opened, "main", precision).predict({"x": floats(2, 96)})
    assert len(opened.weights._kept) == 1
