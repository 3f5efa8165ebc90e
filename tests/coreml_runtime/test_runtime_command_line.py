"""The command line `coreml-runtime`: what it prints and writes, its exit status and its errors."""

import json

import coremltools as ct
import numpy as np
import pytest
import torch
from coremltools.converters.mil.mil import Builder as mb
from packages import OPSETS, save
from PIL import Image

from coreml_runtime import load
from coreml_runtime.__main__ import main

WEIGHT = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
X = np.random.default_rng(1).standard_normal((2, 4)).astype(np.float32)
PIXELS = np.random.default_rng(2).integers(0, 256, (2, 4, 3), np.uint8)
SOURCES = f"""
import torch
from torch import nn

class Linear(nn.Module):
    def forward(self, x):
        return x @ torch.tensor({WEIGHT.tolist()}).T

model = Linear()
def function(x):
    return model(x)
def wrong(x):
    return x @ torch.ones(4, 3)
def narrow(x):
    return x[:, :2] @ torch.ones(3, 4)
number = 3
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with packages, inputs and sources."""
    folder = tmp_path_factory.mktemp("command_line")

    @mb.program(input_specs=[mb.TensorSpec(shape=(2, 4))], opset_version=OPSETS[16])
    def linear(x):
        return mb.linear(x=x, weight=WEIGHT, name="y")

    save(linear, 16, folder / "linear.mlpackage")
    traced = torch.jit.trace(torch.nn.Sequential(torch.nn.Hardtanh(0.0, 100.0)), torch.zeros(1, 3, 2, 4))
    image = ct.ImageType(name="image", shape=(1, 3, 2, 4))
    out = ct.ImageType(name="out")
    darker = ct.convert(traced, inputs=[image], outputs=[out], minimum_deployment_target=OPSETS[16])
    darker.save(str(folder / "darker.mlpackage"))
    np.save(folder / "x.npy", X)
    np.savez(folder / "all.npz", x=X)
    np.save(folder / "objects.npy", np.array([{}], object), allow_pickle=True)
    Image.fromarray(PIXELS).save(folder / "picture.png")
    (folder / "sources_for_tests.py").write_text(SOURCES)
    return folder


@pytest.fixture
def run(made, monkeypatch, capsys):
    """Runs a command in the folder: exit status, stdout and stderr."""
    monkeypatch.chdir(made)
    monkeypatch.syspath_prepend(made)  # restores sys.path afterwards

    def command(*arguments):
        capsys.readouterr()
        return main(list(arguments)), *capsys.readouterr()

    return command


def test_inspect(run):
    status, out, _ = run("inspect", "linear.mlpackage")
    assert status == 0 and "1 operations: linear (1)" in out and "computes in fp32" in out
    found = json.loads(run("inspect", "linear.mlpackage", "--json")[1])
    assert found["operations"] == {"linear": 1} and found["functions"] == ["main"]
    assert found["specification_version"] == 7 and found["uses_fp16"] is False
    assert found["inputs"][0]["name"] == "x" and found["inputs"][0]["shapes"] == [[2, 4]]


@pytest.mark.parametrize("given", [["--input", "x=x.npy"], ["--inputs", "all.npz"], ["--input", "x=all.npz"]])
def test_predict_prints_what_the_model_computes(run, given):
    status, out, _ = run("predict", "linear.mlpackage", "--json", *given)
    assert status == 0
    np.testing.assert_allclose(json.loads(out)["y"], X @ WEIGHT.T, rtol=1e-5, atol=1e-6)
    assert run("predict", "linear.mlpackage", *given)[1].startswith("y (2, 3) float32 [[")


def test_outputs_are_written_and_serve_as_expected_outputs(run, made, tmp_path):
    place = tmp_path / "new" / "outputs.npz"
    status, out, _ = run("predict", "linear.mlpackage", "--input", "x=x.npy", "--output", str(place))
    assert (status, out) == (0, f"{place}\n")
    given = ["verify", "linear.mlpackage", "--input", "x=x.npy", "--expected"]
    assert run(*given, str(place))[0] == 0
    np.savez(tmp_path / "other.npz", y=X @ WEIGHT.T + 0.1)
    status, out, _ = run(*given, str(tmp_path / "other.npz"))
    assert status == 1 and "FAILS" in out and "diverges" not in out  # there is no source to look into
    np.savez(tmp_path / "named.npz", z=X)
    status, _, err = run(*given, str(tmp_path / "named.npz"))
    assert status == 2 and "the outputs to compare are y, for one call; given are z" in err


def test_images_go_in_and_out(run, tmp_path):
    given = ["predict", "darker.mlpackage", "--input", "image=picture.png"]
    assert run(*given, "--output", str(tmp_path))[0] == 0
    with Image.open(tmp_path / "out.png") as image:
        np.testing.assert_array_equal(np.asarray(image), np.minimum(PIXELS, 100))
    assert np.array(json.loads(run(*given, "--json")[1])["out"]).shape == (1, 3, 2, 4)


def test_verify_says_pass_and_fail_by_its_status(run):
    given = ["verify", "linear.mlpackage", "--input", "x=x.npy", "--source"]
    status, out, _ = run(*given, "sources_for_tests:model")
    assert status == 0 and "linear.mlpackage passes" in out and "reference strict" in out
    assert run(*given, "sources_for_tests:function", "--framework", "torch")[0] == 0
    status, out, _ = run(*given, "sources_for_tests:wrong", "--framework", "torch", "--json")
    found = json.loads(out)
    assert status == 1 and found["passed"] is False and found["divergence"]["type"] == "linear"
    loose = [*given, "sources_for_tests:wrong", "--framework", "torch", "--tolerance", "10"]
    assert run(*loose)[0] == 0


def test_infinities_are_valid_json(run, tmp_path):
    np.savez(tmp_path / "infinite.npz", y=np.full((2, 3), np.inf, np.float32))
    given = ["verify", "linear.mlpackage", "--input", "x=x.npy", "--json"]
    status, out, _ = run(*given, "--expected", str(tmp_path / "infinite.npz"))
    found = json.loads(out, parse_constant=lambda name: pytest.fail(name))
    assert status == 1 and found["rows"][0]["rms_relative"] == "inf"


LINEAR = ["predict", "linear.mlpackage", "--input"]
VERIFY = ["verify", "linear.mlpackage", "--input", "x=x.npy", "--source"]
ERRORS = {
    ("inspect", "nowhere.mlpackage"): "no package at nowhere.mlpackage",
    ("inspect", "linear.mlpackage", "--function", "f"): "has no function 'f'; it has main",
    (*LINEAR, "x"): "--input x is not of the form name=file, such as x=x.npy",
    (*LINEAR, "x=x.npy", "x=x.npy"): "input 'x' is given twice",
    (*LINEAR, "x=x.txt"): "x.txt is not a kind of file read here: .npy, .npz, .png",
    (*LINEAR, "x=none.npy"): "none.npy cannot be read as an array (.npy): [Errno 2] No such file",
    (
        *LINEAR,
        "x=objects.npy",
    ): "objects.npy cannot be read as an array (.npy): Object arrays cannot be loaded",
    (*LINEAR, "y=all.npz"): "all.npz holds no array 'y'; it holds x",
    (*LINEAR, "z=x.npy"): "the model has no input 'z'; it takes x (float32 (2, 4))",
    ("predict", "linear.mlpackage", "--inputs", "x.npy"): "x.npy is not an archive of arrays by name (.npz)",
    ("predict", "darker.mlpackage", "--input", "image=x.npy"): "expected a PIL image of mode RGB",
    (*VERIFY, "model"): "--source model is not of the form module:name, such as network:model",
    (*VERIFY, "no_such_module:f"): "module no_such_module fails to import: ModuleNotFoundError",
    (
        *VERIFY,
        "sources_for_tests:Linear",
    ): "is a class; a source is a function or an instance, such as: model, ",
    (*VERIFY, "sources_for_tests:number"): "sources_for_tests:number is missing or cannot be called",
    (*VERIFY, "sources_for_tests:function"): "state the framework, one of torch, mlx",
    (*VERIFY, "sources_for_tests:narrow", "--framework", "torch"): (
        "the source raised this RuntimeError for the inputs x (2, 4)"
    ),
}


@pytest.mark.parametrize("arguments", ERRORS, ids=" ".join)
def test_an_error_is_one_sentence_and_status_2(run, arguments):
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith(f"coreml-runtime {arguments[0]}: ") and ERRORS[arguments] in err
    assert err.count("\n") == 1 and "Traceback" not in err


def test_a_name_that_leaves_the_folder_is_not_written(tmp_path, monkeypatch, run):
    from coreml_runtime.execution.model import Model

    monkeypatch.setattr(Model, "predict", lambda self, inputs, state=None: {"../y": X})
    status, _, err = run(
        "predict", "linear.mlpackage", "--input", "x=x.npy", "--output", str(tmp_path / "in")
    )
    assert status == 2 and "output '../y' cannot name a file" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["inspect", "predict", "verify", "limits", "coverage"])
def test_help_has_an_example(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0 and f"  coreml-runtime {command} " in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["teleport"], ["verify", "x.mlpackage"], ["predict"]])
def test_a_wrong_command_is_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2 and "usage: coreml-runtime" in capsys.readouterr().err


def test_precision_is_that_of_load(run, made):
    exact = json.loads(run(*LINEAR, "x=x.npy", "--precision", "exact", "--json")[1])["y"]
    np.testing.assert_array_equal(
        exact, load(made / "linear.mlpackage", precision="exact").predict({"x": X})["y"]
    )


def test_coverage_counts_every_operation(run):
    status, out, _ = run("coverage", "--json")
    records = json.loads(out)
    assert status == 0 and len(records) == 168 and all(record["implemented"] for record in records)
