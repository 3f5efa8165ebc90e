"""The Swift package around a Core ML package: names, what is declared, values stored, what a parser says."""

import json
import keyword
import re
from types import SimpleNamespace

import coremltools as ct
import hypothesis.strategies as st
import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil import types
from hypothesis import given, settings
from PIL import Image

import coreml_runtime
from mlx_coreml import ConversionError, convert
from mlx_coreml.swift import swift_package, swift_ports
from twins.frameworks import mx

WORDS = st.sampled_from(["class", "in", "x", "x_1", "state", "Input"])
NAMES = st.lists(st.one_of(st.text(max_size=6), WORDS), max_size=6)


def saved(model, folder, name="my-model 2"):
    path = folder / f"{name}.mlpackage"
    model.save(str(path))
    return path


def text(folder, name="Wrapper"):
    place = {"Wrapper": "Sources/{0}/{0}.swift", "Tests": "Tests/{0}Tests/ParityTests.swift"}[name]
    return (folder / place.format("My_model_2")).read_text()


def stored(folder):
    return json.loads((folder / "Tests/My_model_2Tests/Resources/example.json").read_text())


def no_mistake(folder):
    assert swift_package.check(folder).startswith(("parsed by", "compiled by", "unchecked:"))
    for path in folder.rglob("*.swift"):
        assert not re.search(r"__[A-Z_]+__", path.read_text())
        assert str(folder) not in path.read_text()


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    """A package of two array inputs and the Swift made of it."""
    folder = tmp_path_factory.mktemp("arrays")
    model = convert(lambda x, rows: x @ x.T + rows, mx.zeros((3, 4)), mx.zeros((3,), mx.int32))
    package = saved(model, folder)
    return package, swift_package.write(package, folder / "ios")


@given(NAMES)
@settings(max_examples=200, deadline=None)
def test_names_are_different_identifiers(wanted):
    made = swift_ports.swift_names(wanted)
    assert len(set(made)) == len(wanted)
    for name in made:
        assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and name.strip("_")
        assert name not in swift_ports.KEYWORDS | swift_ports.OWN | swift_ports.TYPES


@given(st.one_of(st.text(max_size=8), st.sampled_from([*swift_ports.TYPES, *keyword.kwlist])))
@settings(max_examples=200, deadline=None)
def test_type_names_hide_nothing(wanted):
    name = swift_ports.type_name(wanted)
    assert re.fullmatch(r"[A-Z][A-Za-z0-9_]*", name)
    assert name not in swift_ports.TYPES | swift_ports.KEYWORDS


def test_arrays_are_declared_and_their_values_stored(arrays):
    package, folder = arrays
    no_mistake(folder)
    step, model = stored(folder)["steps"][0], coreml_runtime.load(package)
    inputs = {
        name: np.array(step["inputs"][name]["values"], feature.dtype).reshape(step["inputs"][name]["shape"])
        for name, feature in model.inputs.items()
    }
    for name, value in model.predict(inputs).items():
        entry = step["outputs"][name]
        np.testing.assert_array_equal(np.array(entry["values"]).reshape(entry["shape"]), value)
    assert "public var x: MLShapedArray<Float>" in text(folder)
    assert "public var rows: MLShapedArray<Int32>" in text(folder)
    assert (folder / "Sources/My_model_2/Resources/Model.mlpackage/Manifest.json").exists()


def test_writing_again_replaces_what_was_there(arrays):
    package, folder = arrays
    (folder / "Sources" / "Old.swift").write_text("let x = ")
    swift_package.write(package, folder)
    assert not (folder / "Sources" / "Old.swift").exists()


def test_a_broken_file_is_named(arrays, tmp_path, monkeypatch):
    monkeypatch.setattr(swift_package.shutil, "which", lambda name: None)  # by the parser, on every machine
    folder = swift_package.write(arrays[0], tmp_path / "ios")
    (folder / "Sources/My_model_2/Broken.swift").write_text("struct A {\n    let x: Int = = 1\n}\n")
    with pytest.raises(ConversionError, match=r"Broken\.swift is not valid Swift at line 2"):
        swift_package.check(folder)


def test_without_compiler_and_parser_it_says_so(arrays, monkeypatch):
    monkeypatch.setattr(swift_package.shutil, "which", lambda name: None)
    monkeypatch.setattr(swift_package.importlib.util, "find_spec", lambda name: None)
    assert swift_package.check(arrays[1]) == "unchecked: no Swift compiler here"


BUILT = "Swift version 6.2 (swiftlang-6.2.0.19.9)"


@pytest.mark.parametrize(
    ("version", "xctest", "built", "told"),
    [
        (BUILT, "/x/usr/bin/xctest", ["build", "--build-tests"], "compiled by Swift 6.2"),
        (
            BUILT,
            "",
            ["build"],
            "compiled by Swift 6.2; its test was not built: XCTest comes with Xcode alone",
        ),
        ("", "", None, "tree-sitter"),  # the stub of a Mac without any tools
    ],
)
def test_what_a_mac_lacks_is_a_note(arrays, monkeypatch, version, xctest, built, told):
    """Only the choice of commands is tested here, with the tools' answers given."""
    answers, ran = {"--version": version, "--find": xctest}, []
    monkeypatch.setattr(swift_package.native_core_ml, "here", lambda: True)
    monkeypatch.setattr(swift_package.shutil, "which", lambda name: name)
    monkeypatch.setattr(
        swift_package.native_core_ml, "command_output", lambda *command, seconds: answers[command[1]]
    )
    done = SimpleNamespace(returncode=0, stdout="", stderr="")
    monkeypatch.setattr(swift_package.subprocess, "run", lambda command, **_: ran.append(command) or done)
    assert told in swift_package.check(arrays[1])
    assert [command[1 : 1 + len(built)] for command in ran] == [built] if built else ran == []


TOLD = {
    "/a b/My_model_2.swift:3:9: error: cannot find type 'MLSomething' in scope": True,
    "error: 'ios': Invalid Resource 'Resources/Model.mlpackage': File not found.": True,
    "error: 'ios': Invalid manifest (compiled with: ...)": True,
    "error: unable to find sdk 'macosx'": False,
    "xcrun: error: invalid active developer path (/Library/Developer/CommandLineTools)": False,
    "": False,
}


@pytest.mark.parametrize("told", TOLD)
def test_a_fault_of_the_files_is_an_error_and_one_of_the_tools_a_note(arrays, monkeypatch, told):
    """The lines are those of Swift 6 and xcrun."""
    monkeypatch.setattr(swift_package.native_core_ml, "here", lambda: True)
    monkeypatch.setattr(swift_package.shutil, "which", lambda name: name)
    monkeypatch.setattr(swift_package.native_core_ml, "command_output", lambda *command, seconds: BUILT)
    done = SimpleNamespace(returncode=1, stdout=f"Building for debugging...\n{told}\n", stderr="")
    monkeypatch.setattr(swift_package.subprocess, "run", lambda command, **_: done)
    if TOLD[told]:
        with pytest.raises(ConversionError, match="Swift refuses it") as caught:
            swift_package.check(arrays[1])
        assert "/a b/" not in str(caught.value)
    else:
        assert swift_package.check(arrays[1]).startswith(
            "not compiled by Swift 6.2, which could not build here: "
        )


def test_a_build_that_does_not_end_is_a_note(arrays, monkeypatch):
    def endless(command, timeout, **_):
        raise swift_package.subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(swift_package.native_core_ml, "here", lambda: True)
    monkeypatch.setattr(swift_package.shutil, "which", lambda name: name)
    monkeypatch.setattr(swift_package.native_core_ml, "command_output", lambda *command, seconds: BUILT)
    monkeypatch.setattr(swift_package.subprocess, "run", endless)
    assert swift_package.check(arrays[1]).endswith("it took more than 600 seconds")


def test_what_a_build_left_is_not_read(arrays):
    left = arrays[1] / ".build" / "derived.swift"
    left.parent.mkdir()
    left.write_text("let x = = 1")
    assert "refuses" not in swift_package.check(arrays[1])


def test_resources_are_named_one_by_one(arrays):
    """A folder called Resources in a bundle is refused when an app for iOS is signed (FluidAudio#806)."""
    manifest = (arrays[1] / "Package.swift").read_text()
    assert '.copy("Resources/Model.mlpackage")' in manifest and '.copy("Resources/example.json")' in manifest
    assert "subdirectory" not in text(arrays[1]) + text(arrays[1], "Tests")


@pytest.mark.parametrize(("target", "system"), [("iOS15", "16.0"), ("iOS17", "17.0"), ("iOS18", "18.0")])
def test_the_platform_follows_the_target(tmp_path, target, system):
    model = convert(lambda x: x * 2, mx.zeros((2,)), deployment_target=target)
    folder = swift_package.write(saved(model, tmp_path), tmp_path / "ios")
    assert f'.iOS("{system}")' in (folder / "Package.swift").read_text()
    assert ("MLTensor" in text(folder)) == (target == "iOS18")
    no_mistake(folder)


def test_a_state_is_kept_over_the_stored_steps(tmp_path):
    model = convert(
        lambda x, total: (x + total, x + total),
        mx.zeros((2,)),
        mx.zeros((2,)),
        states={"total": 1},
        deployment_target="iOS18",
    )
    inputs = {"x": np.array([1, 2], np.float32)}
    folder = swift_package.write(saved(model, tmp_path), tmp_path / "ios", examples=[inputs, inputs])
    found = [next(iter(step["outputs"].values()))["values"] for step in stored(folder)["steps"]]
    assert found == [[1, 2], [2, 4]]
    assert "using state: MLState" in text(folder) and "using: state" in text(folder, "Tests")
    no_mistake(folder)


def test_an_image_is_a_pixel_buffer(tmp_path):
    image = {"x": {"scale": 1 / 255, "color": "RGB"}}
    model = convert(lambda x: x.sum(axis=(1, 2)), mx.zeros((1, 2, 3, 3)), image_inputs=image)
    pixels = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    folder = swift_package.write(
        saved(model, tmp_path), tmp_path / "ios", examples={"x": Image.fromarray(pixels)}
    )
    entry = stored(folder)["steps"][0]["inputs"]["x"]
    assert entry["shape"] == [2, 3, 3] and entry["values"] == list(range(18))
    assert "public var x: CVPixelBuffer" in text(folder) and "width: 3, height: 2" in text(folder)
    no_mistake(folder)


def classifier():
    @mb.program(input_specs=[mb.TensorSpec((1, 2), types.fp32)], opset_version=ct.target.iOS16)
    def program(x):
        return mb.softmax(x=x, name="p")

    labels = ct.ClassifierConfig(["cat", "dog"])
    return ct.convert(program, classifier_config=labels, compute_precision=ct.precision.FLOAT32)


def test_a_classifier_has_a_label_and_probabilities(tmp_path):
    folder = swift_package.write(
        saved(classifier(), tmp_path), tmp_path / "ios", examples={"x": np.float32([[0, 2]])}
    )
    outputs = stored(folder)["steps"][0]["outputs"]
    assert outputs["classLabel"]["text"] == "dog"
    probabilities = next(entry for entry in outputs.values() if entry["keys"])
    assert probabilities["keys"] == ["cat", "dog"]
    np.testing.assert_allclose(probabilities["values"], [0.1192, 0.8808], atol=1e-4)
    assert "classLabel: String" in text(folder) and ": [String: Double]" in text(folder)
    no_mistake(folder)


def two_functions(folder):
    """A package of two functions: x * 2, the default, and x * 3."""
    wanted = ct.utils.MultiFunctionDescriptor()
    for name, factor in (("double", 2), ("triple", 3)):
        model = convert(lambda x, factor=factor: x * factor, mx.zeros((2,)), deployment_target="iOS18")
        wanted.add_function(str(saved(model, folder, name)), "main", name)
    wanted.default_function_name = "double"
    path = folder / "my-model 2.mlpackage"
    ct.utils.save_multifunction(wanted, str(path))
    return path


def test_a_function_is_chosen_by_name(tmp_path):
    package = two_functions(tmp_path)
    example = {"x": np.array([1, 2], np.float32)}
    folder = swift_package.write(package, tmp_path / "ios", examples=example, function="triple")
    assert next(iter(stored(folder)["steps"][0]["outputs"].values()))["values"] == [3, 6]
    assert 'configuration.functionName = "triple"' in text(folder)
    no_mistake(folder)


def test_flexible_shapes_are_told_and_taken(tmp_path):
    model = convert(lambda x: x * 2, mx.zeros((2, 3)), flexible={"x": {0: (1, 8)}})
    example = {"x": np.ones((5, 3), np.float32)}
    folder = swift_package.write(saved(model, tmp_path), tmp_path / "ios", examples=example)
    assert stored(folder)["steps"][0]["inputs"]["x"]["shape"] == [5, 3]
    assert "x: float32 (1 to 8, 3)" in text(folder)
    no_mistake(folder)


def test_what_does_not_fit_is_refused(arrays, tmp_path):
    package, _ = arrays
    with pytest.raises(ValueError, match="shape"):
        swift_package.write(
            package, tmp_path, examples={"x": np.zeros((9, 9)), "rows": np.zeros(3, np.int32)}
        )
    endless = {"x": np.full((3, 4), np.inf, np.float32), "rows": np.zeros(3, np.int32)}
    with pytest.raises(ConversionError, match="not finite"):
        swift_package.write(package, tmp_path, examples=endless)
    with pytest.raises(ValueError, match="no function"):
        swift_package.write(package, tmp_path, function="other")
    assert not any(tmp_path.iterdir())
