"""The second format: Core AI assets of the same graph, their check, what is refused, and the absent extra."""

import subprocess
import sys
from importlib import metadata

import numpy as np
import pytest

from mlx_coreml import ConversionError, UnsupportedError, WrongModelError, convert
from mlx_coreml.__main__ import main
from mlx_coreml.backends.coreai import installed
from mlx_coreml.backends.mil.lowering.registry import RULES as MIL_RULES
from mlx_coreml.coverage import find
from mlx_coreml.coverage.judge import judge
from twins.frameworks import mx

import mlx.nn as nn  # isort: skip

extra = pytest.mark.skipif(bool(installed.missing()), reason="needs the extra coreai")
X = mx.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]])
# One case per family of rules; coverage measures all of them.
SAMPLE = [
    ("model", "lenet"),
    ("model", "lstm"),
    ("model", "resnet"),
    ("layer", "nn.ConvTranspose2d"),
    ("layer", "nn.GroupNorm"),
    ("layer", "nn.QuantizedLinear"),
    ("operation", "mx.remainder"),
    ("operation", "mx.argmin"),
    ("operation", "mx.sort"),
    ("operation", "mx.cumsum"),
    ("operation", "::-1"),
    ("operation", "mx.pad"),
    ("architecture", "llama"),
]


def network() -> nn.Module:
    mx.random.seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 2), nn.Softmax())


@extra
@pytest.mark.parametrize(("group", "part"), SAMPLE)
def test_a_case_of_each_family_is_right(group, part):
    case = next(find([group], part))
    outcome = judge(case, to="coreai")
    assert outcome.verdict == "right", outcome.reason


@extra
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-6), ("float16", 5e-3), ("mixed", 5e-3)])
def test_an_asset_is_checked_saved_and_predicts(tmp_path, precision, tolerance):
    made = network()
    model = convert(made, X, outputs=["probabilities"], precision=precision, to="coreai")
    assert "passes" in model.metadata["verified"] and "Core AI interpreter" in model.metadata["verified"]
    assert "zeros" in model.metadata["check_calls"]
    path = model.save(tmp_path / "Network.aimodel")
    from mlx_coreml.backends.coreai.interpreter import Interpreter

    (name,) = Interpreter(path).input_types
    found = Interpreter(path).predict({name: np.array(X)})["probabilities"]
    assert np.abs(found - np.array(made(X))).max() < tolerance
    assert np.array_equal(model.predict({name: np.array(X)})["probabilities"], found)


@extra
def test_the_check_finds_a_rule_that_is_wrong(monkeypatch):
    from mlx_coreml.backends.coreai.lowering import elementwise
    from mlx_coreml.backends.coreai.lowering.registry import RULES

    monkeypatch.setitem(RULES, "Exp", lambda node, x: elementwise.add(x, 1.0))
    with pytest.raises(WrongModelError, match=r"not what MLX computes: .*FAILS.*Core AI interpreter"):
        convert(mx.exp, X, to="coreai")


@extra
def test_a_rule_of_another_shape_or_type_is_refused_with_its_node(monkeypatch):
    from mlx_coreml.backends.coreai.lowering.registry import RULES
    from mlx_coreml.backends.coreai.lowering.values import reshape

    monkeypatch.setitem(RULES, "Exp", lambda node, x: reshape(x, (6,)))
    with pytest.raises(
        ConversionError, match=r"primitive 'Exp' .* was lowered to float32\[6\], expected is float32\[2, 3\]"
    ):
        convert(lambda x: mx.exp(x) * 2, X, to="coreai", check=False)


REFUSED = [
    ({"states": {"x": 0}}, r"with states: the public interface of coreai-core .* has no state"),
    (
        {"flexible": {"x": {0: (1, 4)}}},
        r"with flexible: Core AI takes .* the rules here write",
    ),
    ({"image_inputs": {"x": {}}}, r"with image_inputs: pictures as inputs"),
    ({"deployment_target": "iOS18"}, r"deployment_target 'iOS18' is of Core ML; allowed with to='coreai'"),
]


@extra
@pytest.mark.parametrize(("options", "sentence"), REFUSED)
def test_what_does_not_move_over_is_refused_with_the_reason(options, sentence):
    with pytest.raises(ConversionError, match=sentence):
        convert(lambda x: x * 2, X, to="coreai", **options)


@extra
def test_an_operation_that_the_public_interface_lacks_is_named_with_the_reason():
    with pytest.raises(UnsupportedError, match=r"Inverse .*coreai-core 1.0.0b3 has no matrix inverse"):
        convert(lambda x: mx.linalg.inv(x, stream=mx.cpu), mx.eye(3), to="coreai")


@extra
def test_every_kind_that_core_ml_has_a_rule_for_has_one_or_a_reason():
    from mlx_coreml.backends.coreai import program  # noqa: F401 - files the rules
    from mlx_coreml.backends.coreai.lowering.registry import RULES
    from mlx_coreml.backends.coreai.refused import REASONS

    assert set(MIL_RULES) - set(RULES) <= set(REASONS)
    assert set(RULES) & set(REASONS) == set()


@extra
def test_the_command_line_writes_an_asset(tmp_path, monkeypatch, capsys):
    (tmp_path / "network.py").write_text("def double(x):\n    return x * 2\n")
    monkeypatch.chdir(tmp_path)
    given = ["convert", "network:double", "--example", "2,3", "--to", "coreai"]
    assert main([*given, "-o", "Double.aimodel"]) == 0
    assert (tmp_path / "Double.aimodel" / "main.mlirb").exists() and "passes" in capsys.readouterr().out
    assert main([*given, "-o", "Double.mlpackage"]) == 2
    assert "its name must end with .aimodel" in capsys.readouterr().err


def test_another_format_is_one_sentence():
    with pytest.raises(ConversionError, match=r"to='onnx'; allowed are 'coreml' and 'coreai'"):
        convert(lambda x: x, X, to="onnx")


def test_without_the_extra_or_with_another_release_one_sentence_says_what_to_install(monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(installed, "version", absent)
    with pytest.raises(ConversionError, match=r"needs the extra coreai \(coreai-core 1.0.0b3\).*pip install"):
        convert(lambda x: x, X, to="coreai")
    monkeypatch.setattr(installed, "version", lambda name: "1.0.0b4")
    with pytest.raises(ConversionError, match=r"written for coreai-core 1.0.0b3, found is 1.0.0b4; `pip"):
        convert(lambda x: x, X, to="coreai")
    assert convert(lambda x: x * 2, X, check=False).get_spec()  # Core ML needs neither


def test_converting_to_core_ml_imports_nothing_of_core_ai():
    code = (
        "import sys, mlx.core as mx, mlx_coreml, mlx_coreml.coverage; "
        "mlx_coreml.convert(lambda x: x * 2, mx.zeros(3), check=False); "
        "sys.exit('coreai' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
