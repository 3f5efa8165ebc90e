"""Reading packages: what is refused, in one sentence that says what was found."""

import json
import shutil

import coremltools as ct
import numpy as np
import pytest
from coremltools.converters.mil.mil import Builder as mb
from packages import OPSETS, save

from coreml_runtime import load
from coreml_runtime.format.package import WeightFile, unpack_bits

WEIGHT = np.random.default_rng(0).standard_normal((32, 32)).astype(np.float32)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    @mb.program(input_specs=[mb.TensorSpec(shape=(2, 32))], opset_version=OPSETS[17])
    def program(x):
        return mb.relu(x=mb.relu(x=mb.linear(x=x, weight=WEIGHT)), name="y")

    return save(program, 17, tmp_path_factory.mktemp("package") / "original.mlpackage")


@pytest.fixture
def package(original, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(original, tmp_path / "model.mlpackage")


def edited(package, change):
    """Apply `change` to the specification of a package."""
    file = next(package.rglob("*.mlmodel"))
    specification = ct.proto.Model_pb2.Model.FromString(file.read_bytes())
    change(specification)
    file.write_bytes(specification.SerializeToString())
    return package


def block_of(specification):
    function = specification.mlProgram.functions["main"]
    return function.block_specializations[function.opset]


def operations(specification, kind):
    return [operation for operation in block_of(specification).operations if operation.type == kind]


def test_the_undamaged_package_runs(package):
    x = np.ones((2, 32), np.float32)
    np.testing.assert_allclose(
        load(package).predict({"x": x})["y"], np.maximum(x @ WEIGHT.T, 0), rtol=1e-5, atol=1e-5
    )


def test_weights_are_not_copied_before_use(package):
    file = WeightFile(next(package.rglob("*.bin")))
    assert file.record(64).base is not None and isinstance(file.bytes, np.memmap)


def test_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="no package at"):
        load(tmp_path / "nothing.mlpackage")


def test_a_folder_is_not_a_package(tmp_path):
    with pytest.raises(ValueError, match=r"is not a package: it has no Manifest\.json"):
        load(tmp_path)


def test_broken_manifest(package):
    (package / "Manifest.json").write_text("{")
    with pytest.raises(ValueError, match="is not the manifest of a package"):
        load(package)


def test_missing_specification(package):
    next(package.rglob("*.mlmodel")).unlink()
    with pytest.raises(FileNotFoundError, match=r"names the specification .*, which is missing"):
        load(package)


def test_a_text_file_is_not_a_model(tmp_path):
    (tmp_path / "x.mlmodel").write_text("hello")
    with pytest.raises(ValueError, match="is not a Core ML model"):
        load(tmp_path / "x.mlmodel")


def test_missing_weight_file(package):
    next(package.rglob("*.bin")).unlink()
    with pytest.raises(FileNotFoundError, match=r"weight file .*weight\.bin is missing"):
        load(package)


@pytest.mark.parametrize("kept", [0, 70, 1000])
def test_truncated_weight_file(package, kept):
    file = next(package.rglob("*.bin"))
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(ValueError, match=rf"is truncated: .*the file has {kept}"):
        load(package)


def test_overwritten_weight_file(package):
    file = next(package.rglob("*.bin"))
    file.write_bytes(bytes(file.stat().st_size))
    with pytest.raises(ValueError, match="has no record at byte 64: found 0x0"):
        load(package)


@pytest.mark.parametrize("version", [5, 11])
def test_unsupported_specification_version(package, version):
    def change(specification):
        specification.specificationVersion = version

    with pytest.raises(ValueError, match=f"specification version {version}; supported are 6 to 10"):
        load(edited(package, change))


def test_unknown_opset(package):
    def change(specification):
        function = specification.mlProgram.functions["main"]
        function.block_specializations["CoreML99"].CopyFrom(block_of(specification))
        function.opset = "CoreML99"

    with pytest.raises(ValueError, match=r"opset CoreML99 .* is not known; known: CoreML5"):
        load(edited(package, change))


def test_neural_network(tmp_path):
    @mb.program(input_specs=[mb.TensorSpec(shape=(2, 3))])
    def program(x):
        return mb.relu(x=x)

    model = ct.convert(program, convert_to="neuralnetwork")
    model.save(str(tmp_path / "old.mlmodel"))
    with pytest.raises(ValueError, match=r"is a neural network model .*convert_to='mlprogram'"):
        load(tmp_path / "old.mlmodel")


def test_other_model_types(package):
    with pytest.raises(ValueError, match="holds a model of type pipeline; only an mlProgram can be run"):
        load(edited(package, lambda specification: specification.pipeline.SetInParent()))


def test_compiled_model(tmp_path):
    (tmp_path / "x.mlmodelc").mkdir()
    with pytest.raises(ValueError, match=r"is a compiled model; give the \.mlpackage"):
        load(tmp_path / "x.mlmodelc")


def test_operations_without_a_rule_are_listed_with_counts(package):
    def change(specification):
        for operation in operations(specification, "relu"):
            operation.type = "teleport"
        operations(specification, "linear")[0].type = "levitate"

    with pytest.raises(NotImplementedError, match=r"levitate \(1\), teleport \(2\)$"):
        load(edited(package, change))


def test_unknown_parameter(package):
    def change(specification):
        relu = operations(specification, "relu")[0]
        relu.inputs["gamma"].CopyFrom(relu.inputs["x"])

    with pytest.raises(NotImplementedError, match=r"relu\(gamma=\) \(1\)$"):
        load(edited(package, change))


def test_custom_layer(package):
    def change(specification):
        relu = operations(specification, "relu")[0]
        relu.type = "custom_layer"
        relu.attributes["class_name"].type.tensorType.dataType = ct.proto.MIL_pb2.STRING
        relu.attributes["class_name"].immediateValue.tensor.strings.values.append("Swish")

    with pytest.raises(NotImplementedError, match=r"custom layer Swish \(1\)$"):
        load(edited(package, change))


def test_wrong_declared_shape_is_an_error(package):
    def change(specification):
        result = operations(specification, "linear")[0].outputs[0]
        result.type.tensorType.dimensions[1].constant.size = 31

    with pytest.raises(RuntimeError, match=r"linear .*has shape \(2, 32\), the program declares \(2, 31\)"):
        load(edited(package, change)).predict({"x": np.ones((2, 32), np.float32)})


def test_undefined_value(package):
    def change(specification):
        operations(specification, "relu")[0].inputs["x"].arguments[0].name = "nowhere"

    with pytest.raises(ValueError, match="reads the value 'nowhere', which nothing before it defines"):
        load(edited(package, change))


def test_unknown_function_and_precision(package):
    with pytest.raises(ValueError, match="has no function 'other'; it has main"):
        load(package, function="other")
    with pytest.raises(ValueError, match="precision 'half' is not known; known are strict, exact"):
        load(package, precision="half")


def test_manifest_may_name_another_file(package):
    manifest = json.loads((package / "Manifest.json").read_text())
    entry = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]
    file = package / "Data" / entry["path"]
    entry["path"] = str(file.relative_to(package / "Data").with_name("renamed.mlmodel"))
    file.rename(file.with_name("renamed.mlmodel"))
    (package / "Manifest.json").write_text(json.dumps(manifest))
    assert list(load(package).inputs) == ["x"]


OUTSIDE = ["../secret", "/etc/passwd", "a/../../../secret", "..\\\\secret", "", "x\0y"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_manifest_names_nothing_outside_the_package(package, name):
    (package.parent / "secret").write_bytes(next(package.rglob("*.mlmodel")).read_bytes())
    manifest = json.loads((package / "Manifest.json").read_text())
    manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"] = name
    (package / "Manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="which is not a path inside the package"):
        load(package)


@pytest.mark.parametrize("name", ["@model_path/../../../secret", "/etc/passwd"])
def test_a_constant_names_no_file_outside_the_package(package, name):
    def elsewhere(specification):
        for operation in block_of(specification).operations:
            for value in operation.attributes.values():
                if value.WhichOneof("value") == "blobFileValue":
                    value.blobFileValue.fileName = name

    with pytest.raises(ValueError, match="which is not a path inside the package"):
        load(edited(package, elsewhere))


def test_a_constant_without_data_takes_no_memory(package):
    def vast(specification):
        for operation in block_of(specification).operations:
            for value in operation.attributes.values():
                if value.WhichOneof("value") == "blobFileValue":
                    value.ClearField("blobFileValue")
                    value.immediateValue.tensor.SetInParent()
                    value.type.tensorType.dimensions[0].constant.size = 2**40

    with pytest.raises(ValueError, match="in the program has no data"):
        load(edited(package, vast)).predict({"x": np.zeros((2, 32), np.float32)})


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"itemInfoEntries": 5}', '{"rootModelIdentifier": []}', "\0"]
)
def test_a_hostile_manifest_is_one_sentence(package, text):
    (package / "Manifest.json").write_text(text)
    with pytest.raises(ValueError, match="is not the manifest of a package") as raised:
        load(package)
    assert len(str(raised.value)) < 700


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6])
def test_bits_are_unpacked_lowest_first(bits):
    values = np.random.default_rng(bits).integers(0, 2**bits, 13)
    stream = "".join(format(value, f"0{bits}b")[::-1] for value in values)
    stream += "0" * (-len(stream) % 8)
    packed = np.array([int(stream[i : i + 8][::-1], 2) for i in range(0, len(stream), 8)], np.uint8)
    np.testing.assert_array_equal(unpack_bits(packed, 13, bits, signed=False), values)
    signed = np.where(values >= 2 ** (bits - 1), values - 2**bits, values)
    np.testing.assert_array_equal(unpack_bits(packed, 13, bits, signed=True), signed)
