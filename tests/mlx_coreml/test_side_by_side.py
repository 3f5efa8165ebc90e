"""One model in MLX, Core ML's reference runtime and Core AI's interpreter: who agrees, and who is alone."""

import numpy as np
import pytest

from mlx_coreml import ConversionError, convert, side_by_side
from mlx_coreml.backends.coreai import installed
from mlx_coreml.verification.side_by_side import CORE_AI, EXACT, PAIRS, REFERENCE, SOURCE, SideBySide
from twins.frameworks import mx

import mlx.nn as nn  # isort: skip

extra = pytest.mark.skipif(bool(installed.missing()), reason="needs the extra coreai")
X = mx.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]])


def network(seed: int = 0) -> nn.Module:
    mx.random.seed(seed)
    return nn.Sequential(nn.Linear(3, 8), nn.GELU(), nn.Linear(8, 2))


def files(folder, package, asset, *example, precision="float32"):
    """A package of one source and an asset of another."""
    places = folder / "Network.mlpackage", folder / "Network.aimodel"
    convert(package, *example, precision=precision, check=False).save(str(places[0]))
    convert(asset, *example, precision=precision, check=False, to="coreai").save(places[1])
    return places


@extra
@pytest.mark.parametrize(
    ("precision", "computes", "limit"), [("float32", "fp32", 1e-6), ("float16", "fp16", 5e-3)]
)
def test_three_runtimes_agree_on_a_network(tmp_path, precision, computes, limit):
    made = network()
    found = side_by_side(made, *files(tmp_path, made, made, X, precision=precision), X)
    assert found.agree and found.cause == "" and found.computes == computes
    assert all(error < limit for error in found.errors.values())
    assert str(found).startswith(f"three runtimes agree in {computes}: Core ML reference against MLX ")
    assert len(found.table()) == len(PAIRS) + 1 and found.table()["agrees"].all()
    again = side_by_side(made, *files(tmp_path, made, made, X, precision=precision), np.array(X))
    assert again.errors == found.errors


@extra
@pytest.mark.parametrize(
    ("package", "asset", "cause"),
    [
        (0, 1, "Core AI's interpreter is alone: MLX and the reference runtime agree"),
        (1, 0, "the reference runtime is alone: also when it computes exactly"),
        (1, 1, "both runtimes agree with each other, not with MLX"),
        (1, 2, "all three differ"),
    ],
)
def test_the_runtime_that_computes_something_else_is_named(tmp_path, package, asset, cause):
    found = side_by_side(network(), *files(tmp_path, network(package), network(asset), X), X)
    assert not found.agree and found.cause == cause
    assert f"DISAGREE ({cause})" in str(found)


@extra
def test_a_source_that_computes_in_a_half_type_is_named_as_the_cause(tmp_path):
    x = mx.random.normal((64, 64)).astype(mx.float16)
    found = side_by_side(mx.exp, *files(tmp_path, mx.exp, mx.exp, x), x)
    assert found.half_source and found.errors[CORE_AI, REFERENCE] < 1e-6
    assert found.cause == "MLX itself rounds to a half type here, both files compute in float32"


@extra
def test_inputs_and_outputs_must_be_those_of_the_files(tmp_path):
    made = network()
    places = files(tmp_path, made, made, X)
    with pytest.raises(ConversionError, match=r"2 inputs are given; Network.aimodel takes 1: x"):
        side_by_side(lambda x, y: made(x), *places, X, X)
    with pytest.raises(ConversionError, match=r"the numbers of outputs differ: MLX 2, Core AI interpreter 1"):
        side_by_side(lambda x: (made(x), x), *places, X)


def test_rounding_is_the_cause_when_the_package_agrees_once_computed_exactly():
    def errors(ours, theirs, both, exact):
        return dict(zip((*PAIRS, (EXACT, SOURCE)), (ours, theirs, both, exact), strict=True))

    def cause(*given):
        return SideBySide("fp16", 0.005, errors(*given)).cause

    alone = (
        "the reference runtime is alone: it rounds every value to fp16: computed exactly, the same package"
    )
    assert cause(0.01, 0.001, 0.01, 0.001) == f"{alone} agrees"
    assert cause(0.01, 0.01, 0.001, 0.001).startswith("the rounding to fp16: computed exactly, the package")
    assert cause(0.01, 0.01, 0.01, 0.001).endswith("the runtimes round different values")
    assert cause(0.004, 0.004, 0.006, 0.001) == "both are within the tolerance of MLX, on opposite sides"
    assert cause(0.001, np.inf, np.inf, 0.001).startswith("Core AI's interpreter is alone")


def test_without_the_extra_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(installed, "missing", lambda: "to='coreai' needs the extra coreai; `pip install it`")
    with pytest.raises(ConversionError, match=r"needs the extra coreai.*pip install"):
        side_by_side(network(), "a.mlpackage", "a.aimodel", X)
