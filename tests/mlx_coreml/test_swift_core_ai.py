"""The Swift package around a Core AI asset: what it declares, the values it stores, what a parser says."""

import json
import re
import subprocess

import mlx.core as mx
import numpy as np
import pytest

pytest.importorskip("coreai", reason="the extra coreai is not installed")

from mlx_coreml import ConversionError, convert
from mlx_coreml.__main__ import main
from mlx_coreml.backends.coreai import installed
from mlx_coreml.backends.coreai.interpreter import Interpreter
from mlx_coreml.swift import asset_package, swift_package

TESTS = "Tests/NetTests"


def both(x, ids):
    return x @ x.T, ids + 1


@pytest.fixture(scope="module")
def asset(tmp_path_factory):
    path = tmp_path_factory.mktemp("asset") / "net.aimodel"
    convert(both, mx.zeros((3, 4)), mx.zeros((2,), mx.int32), to="coreai", precision="float32").save(path)
    return path


def stored(folder):
    return json.loads((folder / TESTS / "Resources/example.json").read_text())


def arrays(step, side):
    return {name: np.array(e["values"]).reshape(e["shape"]) for name, e in step[side].items()}


def test_what_is_written_parses_and_declares_every_end(asset, tmp_path):
    folder = asset_package.write(asset, tmp_path / "ios", source=both)
    assert swift_package.check(folder).startswith(("parsed by", "compiled by", "not compiled by"))
    texts = [path.read_text() for path in folder.rglob("*.swift")]
    assert len(texts) == 5 and not any(re.search("__[A-Z_]+__", text) for text in texts)
    wrapper = (folder / "Sources/Net/Net.swift").read_text()
    for line in ("x: [Float]", "ids: [Int32]", "output_0: [Float]", "output_1: [Int32]"):
        assert f"public var {line}" in wrapper
    assert '"x": NDArray(scalars: x, shape: [3, 4])' in wrapper
    assert (folder / "Sources/Net/Resources/Model.aimodel/metadata.json").is_file()
    assert '.macOS("27.0")' in (folder / "Package.swift").read_text()
    test = (folder / TESTS / "ParityTests.swift").read_text()
    assert "ComputeUnitKind.availableKinds" in test and test.count("try compare(") == 2


def test_expected_values_are_those_of_mlx(asset, tmp_path):
    (step,) = stored(asset_package.write(asset, tmp_path, source=both))["steps"]
    given, expected = arrays(step, "inputs"), arrays(step, "outputs")
    found = both(mx.array(given["x"], mx.float32), mx.array(given["ids"], mx.int32))
    for array, name in zip(found, ("output_0", "output_1"), strict=True):
        np.testing.assert_array_equal(np.array(array), expected[name])


def test_without_the_source_they_are_the_interpreters(asset, tmp_path):
    calls = [{"x": np.full((3, 4), n, np.float32), "ids": np.array([n, 2], np.int32)} for n in (1, 2)]
    steps = stored(asset_package.write(asset, tmp_path, examples=calls))["steps"]
    model = Interpreter(asset)
    for call, step in zip(calls, steps, strict=True):
        expected = model.predict(call)
        assert all(np.array_equal(array, expected[name]) for name, array in arrays(step, "outputs").items())
    model.close()


@pytest.mark.parametrize(("precision", "limit"), [("float32", 1e-4), ("float16", 2e-2), ("", 2e-2)])
def test_the_tolerance_is_that_of_the_precision(precision, limit, tmp_path):
    path = tmp_path / "net.aimodel"
    convert(lambda x: x * 2, mx.zeros(3), to="coreai", precision=precision or "float32").save(path)
    if not precision:  # made by another converter
        (path / "metadata.json").write_text(json.dumps({"assetVersion": "2.0"}))
    assert stored(asset_package.write(path, tmp_path / "ios"))["tolerance"] == limit
    assert stored(asset_package.write(path, tmp_path / "ios", tolerance=0.5))["tolerance"] == 0.5


def test_what_lies_in_the_folder_is_replaced_and_nothing_else(asset, tmp_path):
    (tmp_path / "Sources").mkdir()
    for name in ("Sources/old.swift", "NOTES"):
        (tmp_path / name).write_text("")
    asset_package.write(asset, tmp_path)
    assert not (tmp_path / "Sources/old.swift").exists() and (tmp_path / "NOTES").exists()


def test_what_cannot_be_written_is_one_sentence(asset, tmp_path, monkeypatch):
    with pytest.raises(ConversionError, match="the example has no input 'ids'; Swift passes every input"):
        asset_package.write(asset, tmp_path, examples={"x": np.zeros((3, 4))})
    with pytest.raises(ConversionError, match="they must be of one function"):
        asset_package.write(asset, tmp_path, source=lambda x, ids: x)
    with pytest.raises(ConversionError, match="'output_0' holds numbers that are not finite"):
        asset_package.write(asset, tmp_path, source=lambda x, ids: (x @ x.T / 0, ids))
    other = tmp_path / "bool.aimodel"
    convert(lambda x: x > 0, mx.zeros(3), to="coreai").save(other)
    with pytest.raises(ConversionError, match="is bool; Swift is written for float32, float16, int32"):
        asset_package.write(other, tmp_path)
    assert not (tmp_path / "Sources").exists()
    monkeypatch.setattr(installed, "missing", lambda: "the extra is missing")
    with pytest.raises(ConversionError, match="the extra is missing"):
        asset_package.write(asset, tmp_path)


def test_the_command_line_writes_it(asset, tmp_path, capsys):
    assert main(["swift", str(asset), str(tmp_path / "ios")]) == 0
    assert "ios: " in capsys.readouterr().out
    assert (tmp_path / "ios/Sources/Net/Net.swift").is_file()


def test_an_older_sdk_is_no_fault_of_the_package(monkeypatch):
    told = "Net.swift:2:8: error: no such module 'CoreAI'"
    done = subprocess.CompletedProcess([], 1, "", told)
    monkeypatch.setattr(swift_package.subprocess, "run", lambda *_, **__: done)
    assert swift_package._ran(["swift", "build"]) == "its SDK has no Core AI, which comes with macOS 27"
