"""What a folder, or the sizes asked for, cannot be is told in one sentence."""

import json

import pytest

from mlx_coreml import ConversionError
from mlx_coreml.__main__ import main
from mlx_coreml.language_models.folder import load
from mlx_coreml.language_models.generation import facts
from mlx_coreml.language_models.stateful_package import export
from twins.frameworks import mx

CONFIG = {
    "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 1, "intermediate_size": 64,
    "num_attention_heads": 4, "rms_norm_eps": 1e-5, "vocab_size": 64, "max_position_embeddings": 64,
}  # fmt: skip


def folder(path, config=CONFIG, weights=None):
    if config is not None:
        (path / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    if weights is not None:
        mx.save_safetensors(str(path / "model.safetensors"), weights)
    return path


ONE = {"model.norm.weight": mx.ones((64,))}
REFUSED = {
    "has no config.json": (None, ONE),
    "config.json is not valid JSON": ("{", ONE),
    "names no model_type": ({"hidden_size": 4}, ONE),
    "describes 'bert', an encoder": ({"model_type": "bert"}, ONE),
    "describes 't5', an encoder": ({"model_type": "t5", "is_encoder_decoder": True}, ONE),
    "describes 'unheard_of', which mlx-lm [0-9.]+ does not know": ({"model_type": "unheard_of"}, ONE),
    "asks for the folder's own code 'own.py', which is not run": (CONFIG | {"model_file": "own.py"}, ONE),
    "holds no weights": (CONFIG, None),
    "cannot be loaded by mlx-lm: ValueError: Missing": (CONFIG, ONE),
}  # fmt: skip


@pytest.mark.parametrize("told", REFUSED)
def test_a_folder_that_does_not_fit(told, tmp_path):
    with pytest.raises(ConversionError, match=told) as error:
        load(folder(tmp_path, *REFUSED[told]))
    assert "\n" not in str(error.value)


def test_a_folder_that_is_not_there(tmp_path, capsys):
    assert main(["llm", str(tmp_path / "none"), "-o", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.endswith(
        "none is no folder; give one that holds config.json and model*.safetensors\n"
    )


SIZES = {
    "prefill=64 tokens at once do not fit in context=32": {"context": 32, "prefill": 64},
    "context=0, prefill=1; both must be 1 or more": {"context": 0},
    "output='text'; allowed are logits, token": {"output": "text"},
    "precision 'int8' is not known; known are float16, float32, mixed": {"precision": "int8"},
}


@pytest.mark.parametrize("told", SIZES)
def test_sizes_and_words_that_do_not_fit(told, tmp_path):
    with pytest.raises(ConversionError, match=told):
        export(tmp_path, tmp_path / "out", **SIZES[told])


def whole(path):
    from mlx.utils import tree_flatten
    from mlx_lm.models.llama import Model, ModelArgs

    return folder(path, CONFIG, dict(tree_flatten(Model(ModelArgs.from_dict(CONFIG)).parameters())))


def test_a_context_longer_than_the_model_was_made_for(tmp_path):
    with pytest.raises(ConversionError, match=r"context=128, but .*config.json says .* for 64 positions"):
        export(whole(tmp_path), tmp_path / "out", context=128)


def test_sizes_that_are_not_given_fit_the_model(tmp_path):
    made = export(whole(tmp_path), tmp_path / "out", output="token")
    told = facts(made.package)
    assert (told["context"], told["prefill"]) == (64, 64) and made.checked.startswith("8 of 8")


def test_bits_and_groups_that_do_not_fit(tmp_path):
    source = whole(tmp_path)
    with pytest.raises(ConversionError, match="bits=3; Core ML keeps blocks of 4 or 8 bits"):
        export(source, tmp_path / "out", context=64, bits=3)
    with pytest.raises(ConversionError, match="no layer has rows of whole groups of 128"):
        export(source, tmp_path / "out", context=64, bits=4, group_size=128)
