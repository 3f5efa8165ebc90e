"""`mlx-coreml`: what it writes and prints, its exit codes, and its errors in one sentence."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from coremltools.converters.mil.mil import Builder as mb

from coreml_runtime import load
from mlx_coreml import lowering
from mlx_coreml.__main__ import OPTIONS, main
from mlx_coreml.backends.mil.lowering.registry import RULES
from twins.frameworks import mx

SOURCE = """
import mlx.core as mx
import mlx.nn as nn

class Classifier(nn.Module):
    def __init__(self, classes=3):
        super().__init__()
        self.head = nn.Linear(4, classes)
    def __call__(self, x):
        return self.head(x)

class Sized(nn.Module):
    def __init__(self, width):
        super().__init__()

ready = Classifier(classes=2)
nothing = None

def difference(a, b):
    return a - b

def inverse(a):
    return mx.linalg.inv(a, stream=mx.cpu)

def sine(a):
    return mx.sin(a)

def faulty(a):
    return {}["missing"]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder with a module of networks, which no other test has imported."""
    (tmp_path / "cli_network.py").write_text(SOURCE)
    (tmp_path / "cli_unfinished.py").write_text("def network(:\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("cli_network", "cli_unfinished"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def convert(source: str, *more: str, example: str = "2,4", output: str = "N.mlpackage") -> int:
    return main(["convert", f"cli_network:{source}", "--example", example, "-o", output, *more])


@pytest.mark.parametrize(("source", "width"), [("Classifier", 3), ("ready", 2)])
def test_a_class_and_an_instance_convert_and_are_checked(source, width, capsys):
    assert convert(source, "--outputs", "logits") == 0
    printed = capsys.readouterr().out
    assert "inputs: {'x': 'float32[2, 4]'}" in printed and "passes: worst rms-relative error" in printed
    outputs = load("N.mlpackage").predict({"x": np.zeros((2, 4), np.float32)})
    assert {name: array.shape for name, array in outputs.items()} == {"logits": (2, width)}


def test_json_weights_precision_target_and_sizes(folder, capsys):
    weights = {"head.weight": mx.arange(12.0).reshape(3, 4), "head.bias": mx.array([1.0, 2.0, 3.0])}
    mx.save_safetensors("weights.safetensors", weights)
    options = ["--weights", "weights.safetensors", "--precision", "float32", "--flexible", "x:0=1..8"]
    assert convert("Classifier", "--json", "--target", "iOS18", "--no-check", *options) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["package"] == "N.mlpackage" and told["check"] == "not checked"
    model = load("N.mlpackage")
    assert model.predict({"x": np.ones((5, 4), np.float32)})["output"].tolist() == [[7.0, 24.0, 41.0]] * 5


def test_examples_are_files_and_shapes(folder, capsys):
    a, b = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones((2, 3), np.float32)
    np.savez("both.npz", a=a, b=b)
    np.save("a.npy", a)
    for examples in (["both.npz"], ["a.npy", "2,3:float32"], ["2,3", "2,3"]):
        given = [part for example in examples for part in ("--example", example)]
        assert main(["convert", "cli_network:difference", *given, "-o", "deep/D.mlpackage"]) == 0
    assert load("deep/D.mlpackage").predict({"a": a, "b": b})["output"].tolist() == (a - b).tolist()
    assert "passes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nothing"], "the function to capture is NoneType; allowed are MLX modules and functions"),
        (["Sized"], "'cli_network:Sized' is a class whose instances need arguments: missing"),
        (["Missing"], "'cli_network:Missing' cannot be imported: module 'cli_network' has no attribute"),
        (["faulty"], "KeyError: 'missing' [cli_network.py:"),
        (["ready", "--weights", "w.pkl"], "weights 'w.pkl'; allowed is .safetensors"),
        (["difference", "--weights", "w.safetensors"], "allowed is .safetensors for an MLX module"),
        (["ready", "--flexible", "x:0"], "flexible 'x:0'; allowed is name:axis=low..high"),
        (["ready", "--precision", "int4"], "precision 'int4' is not known; known are float16"),
        (["ready", "--target", "iOS5"], "deployment target 'iOS5' is not known; known are iOS13"),
        (["ready", "--example", "2,4"], "cannot be called with 2 arrays"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_two(arguments, sentence, capsys):
    assert convert(*arguments) == 2
    printed = capsys.readouterr()
    assert sentence in printed.err and printed.err.startswith("error: ") and printed.err.count("\n") == 1
    assert printed.out == ""


@pytest.mark.parametrize(
    ("example", "sentence"),
    [
        ("2,x", "example '2,x'; allowed are .npy, .npz, and a shape: 1,28,28,1:float32"),
        ("2,4:float33", "example '2,4:float33'; allowed are"),
        ("absent.npy", "No such file or directory: 'absent.npy'"),
        ("objects.npy", "example 'objects.npy' cannot be read: Object arrays cannot be loaded"),
        ("broken.npz", "example 'broken.npz' cannot be read: "),
        ("2,5", "ValueError: [addmm]"),
    ],
)
def test_an_example_that_is_none(example, sentence, capsys):
    np.save("objects.npy", np.array([None]), allow_pickle=True)
    Path("broken.npz").write_text("no archive")
    assert convert("ready", example=example) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("callable_", "sentence"),
    [
        ("cli_network", "'cli_network' names no callable; allowed is module:callable"),
        ("cli_absent:network", "'cli_absent:network' cannot be imported: No module named 'cli_absent'"),
        ("cli_unfinished:network", "cannot be imported: invalid syntax (cli_unfinished.py, line 1)"),
    ],
)
def test_a_module_that_cannot_be_imported(callable_, sentence, capsys):
    assert main(["convert", callable_, "--example", "2", "-o", "N.mlpackage"]) == 2
    assert sentence in capsys.readouterr().err


def test_a_package_has_its_suffix(capsys):
    assert convert("ready", output="network.onnx") == 2
    assert "its name must end with .mlpackage" in capsys.readouterr().err


def test_weights_of_another_network_are_refused(folder, capsys):
    mx.save_safetensors("other.safetensors", {"tail.weight": mx.zeros((3, 4))})
    assert convert("Classifier", "--weights", "other.safetensors") == 2
    assert "tail.weight" in capsys.readouterr().err


def test_what_has_no_lowering_is_exit_code_one(capsys):
    assert convert("inverse", example="4,4") == 1
    assert "no lowering for Inverse" in capsys.readouterr().err


def test_a_wrong_model_is_exit_code_one_and_is_not_written(folder, monkeypatch, capsys):
    monkeypatch.setitem(RULES, "Sin", RULES["Sin"])
    lowering("Sin", override=True)(lambda node, x: mb.cos(x=x))
    assert convert("sine") == 1
    assert "is not what MLX computes" in capsys.readouterr().err
    assert not (folder / "N.mlpackage").exists()


def test_a_swift_package_is_written(folder, capsys):
    assert convert("ready", "--no-check") == 0
    assert main(["swift", "N.mlpackage", "ios"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("ios: ")
    assert (folder / "ios" / "Sources" / "N" / "N.swift").exists()
    assert main(["swift", "absent.mlpackage", "ios"]) == 2
    assert "absent.mlpackage" in capsys.readouterr().err


def test_coverage_prints_the_table(folder, capsys):
    assert main(["coverage", "--group", "layer", "--name", "nn.Linear(8, 1)", "--results", "mlx.csv"]) == 0
    printed = capsys.readouterr().out
    assert "1 cases, one row each in mlx.csv" in printed and "100.0" in printed
    assert len((folder / "mlx.csv").read_text().splitlines()) == 2
    assert main(["coverage", "--group", "layers"]) == 2
    assert "group 'layers' is not known; known are layer, loss" in capsys.readouterr().err
    assert main(["coverage", "--name", "no such name"]) == 2
    assert "has 'no such name' in its name" in capsys.readouterr().err


def test_a_case_beyond_the_limit_is_exit_code_one(folder, capsys):
    options = ["--group", "layer", "--name", "nn.Linear(8, 1)", "--results", "mlx.csv"]
    assert main(["coverage", *options, "--limit", "1e-6"]) == 1
    assert "timeout x1" in capsys.readouterr().out


@pytest.mark.parametrize("example", OPTIONS)
def test_help_shows_an_example(example, capsys):
    with pytest.raises(SystemExit) as left:
        main([example.split()[0], "--help"])
    assert left.value.code == 0
    assert f"Example: mlx-coreml {example}" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("arguments", [[], ["compile"], ["convert", "cli_network:ready"]])
def test_an_unknown_or_incomplete_command_is_exit_code_two(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert "usage: mlx-coreml" in capsys.readouterr().err
