"""The check of a conversion: its levels, its truth for half types, probes, what it says of them, its cost."""

import warnings

import mlx.nn as nn
import numpy as np
import pytest
from coremltools.converters.mil.mil import Builder as mb
from mlx_lm.models import llama

from mlx_coreml import ConversionError, WrongModelError, convert
from mlx_coreml.backends.mil.lowering.registry import RULES
from mlx_coreml.conversion import budget, tolerance
from mlx_coreml.conversion.source import Source
from twins.frameworks import mx

X = mx.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]])


def metadata(model) -> dict[str, str]:
    return dict(model.user_defined_metadata)


def decoder(layers: int, dtype: mx.Dtype = mx.bfloat16) -> nn.Module:
    """A small Llama of mlx-lm in a half type."""
    mx.random.seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2}
    made = llama.Model(
        llama.ModelArgs("llama", num_hidden_layers=layers, rms_norm_eps=1e-5, vocab_size=64, **sizes)
    )
    made.set_dtype(dtype)
    return made


LEVELS = {True: "full", "full": "full", "quick": "quick", False: "off", "off": "off"}


@pytest.mark.parametrize("given", LEVELS)
def test_the_metadata_says_how_it_was_checked(given):
    found = metadata(convert(lambda x: x * 2, X, check=given))
    assert found["check"] == LEVELS[given] and ("verified" in found) == (LEVELS[given] != "off")
    calls = {"full": "the example, other numbers, zeros, ones", "quick": "the example", "off": ""}
    assert found.get("check_calls", "").startswith(calls[LEVELS[given]])
    assert ("," in found.get("check_calls", "")) == (LEVELS[given] == "full")


@pytest.mark.parametrize("given", ["fast", "ful", 2, None, 1.5])
def test_another_level_is_refused_in_one_sentence(given):
    with pytest.raises(
        ConversionError, match=r"check=.*; allowed are True or 'full', 'quick', and False"
    ) as found:
        convert(lambda x: x * 2, X, check=given)
    assert (given == "ful") == ("did you mean 'full'?" in str(found.value))


@pytest.mark.parametrize("precision", ["float32", "mixed", "float16"])
@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16])
def test_a_half_checkpoint_passes_in_every_precision_and_both_errors_are_told(dtype, precision):
    name = str(dtype).rpartition(".")[2]
    verified = metadata(convert(decoder(2, dtype), mx.arange(6)[None], precision=precision))["verified"]
    assert verified.startswith("Model passes: worst rms-relative error ")
    assert f"compared with the same network in float32; MLX's own {name} " in verified
    assert verified.endswith(" from it")


def test_a_source_in_float32_is_its_own_truth():
    assert "MLX's own" not in metadata(convert(lambda x: x * 2, X))["verified"]


def test_a_model_is_allowed_what_mlx_takes_itself_and_no_more(monkeypatch):
    """At 4e-4 from the truth a float32 model of bfloat16 is nearer than MLX; of float32 it is wrong."""
    monkeypatch.setitem(RULES, "Sin", lambda node, x: mb.mul(x=mb.sin(x=x), y=np.float32(1.0004)))
    model = convert(lambda x: mx.sin(x) * x, X.astype(mx.bfloat16), precision="float32")
    assert "rms-relative error 4.0e-04" in metadata(model)["verified"]
    with pytest.raises(WrongModelError, match="tolerance 1e-04"):
        convert(lambda x: mx.sin(x) * x, X, precision="float32")
    monkeypatch.setitem(RULES, "Sin", lambda node, x: mb.mul(x=mb.sin(x=x), y=np.float32(1.1)))
    with pytest.raises(WrongModelError, match="MLX's own bfloat16"):
        convert(lambda x: mx.sin(x) * x, X.astype(mx.bfloat16), precision="float32")


def test_mlx_is_not_waited_for_where_its_half_types_would_take_long(monkeypatch):
    monkeypatch.setattr(tolerance, "PATIENCE", -1.0)
    found, note = tolerance.tolerance(
        Source("fn", lambda x: [x], [], half=["bfloat16"], half_seconds=90.0), {}, "float32", 0.0
    )
    assert found == 4 * 2**-8 and note.endswith("not measured, for it would take about 90 s on a CPU")


def test_what_is_not_finite_beyond_the_example_is_refused_with_the_probe(monkeypatch):
    monkeypatch.setitem(RULES, "Sin", lambda node, x: mb.real_div(x=mb.mul(x=x, y=mb.sin(x=x)), y=x))
    place = r"on zeros, output 'output' is nan at \[0, 0\], where MLX gives 0"
    with pytest.raises(WrongModelError, match=rf"mx_sin is not finite where MLX is: {place}$"):
        convert(mx_sin, X, precision="float32")
    with pytest.raises(WrongModelError, match=f"{place}; precision='float32' shows"):
        convert(mx_sin, X)
    assert metadata(convert(mx_sin, X, check="quick"))["check_calls"] == "the example"


def mx_sin(x):
    return mx.sin(x)


def test_what_is_wrong_beyond_the_example_is_said_once(monkeypatch):
    def wrong_at_one(node, x):
        return mb.add(x=mb.sin(x=x), y=mb.cast(x=mb.equal(x=x, y=np.float32(1)), dtype="fp32"))

    monkeypatch.setitem(RULES, "Sin", wrong_at_one)
    with pytest.warns(UserWarning) as said:
        model = convert(mx_sin, X + 0.125, precision="float32")
    told = metadata(model)["not_vouched_for"]
    assert told == "ones (output 'output' is 1.2e+00 from MLX)"
    ours = [w for w in said if w.category is UserWarning]
    assert [str(w.message) for w in ours] == [f"mx_sin: the check does not vouch for {told}"]
    assert ours[0].filename == __file__
    assert metadata(model)["verified"].startswith("mx_sin passes: ")


def test_the_ends_of_a_table_are_checked_without_a_word():
    table = nn.Embedding(8, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        found = metadata(convert(table, mx.array([[1, 2, 3]])))
    assert "not_vouched_for" not in found and "ids at both ends of the table" in found["check_calls"]


def test_where_mlx_itself_is_not_finite_nothing_is_compared():
    found = metadata(convert(lambda x: x / x, X))
    assert "zeros" in found["check_calls"] and "not_vouched_for" not in found


def test_a_large_model_is_called_as_often_as_the_conversion_lasts(monkeypatch):
    monkeypatch.setattr(budget, "LARGE", 1)
    monkeypatch.setattr(budget, "LEAST", 0.0)
    monkeypatch.setattr(budget.Budget, "allows_another", lambda self: False)
    layer = nn.Linear(64, 64)
    found = metadata(convert(layer, mx.zeros((1, 64)) + 1))
    assert found["check"] == "full" and found["check_calls"] == "the example"
    assert "reference strict" in found["verified"]
