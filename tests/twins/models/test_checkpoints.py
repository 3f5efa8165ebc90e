"""A Hugging Face BERT folder goes into either half and computes the same; any other is refused."""

import json
import re
from copy import deepcopy

import numpy as np
import pytest
import safetensors.numpy
import torch
from transformers import BertConfig, BertForPreTraining, BertModel

from twins.models import bert, checkpoints
from twins.training import train

SIZES = {
    "vocab_size": 90,
    "max_position_embeddings": 24,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 192,
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """transformers' model with random weights, and the folder it saved itself to."""
    torch.manual_seed(0)
    model = BertForPreTraining(BertConfig(**SIZES)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    folder = tmp_path_factory.mktemp("checkpoint")
    model.save_pretrained(folder)
    return model.bert, folder


@pytest.fixture
def folder(saved, tmp_path):
    """A copy of the folder, to change."""
    for file in saved[1].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def change(folder, **values):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def rename(folder, new_name):
    """Every weight under the name that `new_name` gives it; None leaves it out."""
    file = folder / "model.safetensors"
    found = {new_name(name): value for name, value in safetensors.numpy.load_file(file).items()}
    safetensors.numpy.save_file({name: value for name, value in found.items() if name}, file)


def halves(folder):
    return train.halves(bert, checkpoints.config(folder), train.Recipe())


def check_equal(model: BertModel, folder):
    """Both halves against transformers, with padding and both token types, to 1e-5."""
    rng = np.random.default_rng(0)
    ids, types = rng.integers(0, 90, (4, 20), dtype=np.int32), rng.integers(0, 2, (4, 20), dtype=np.int32)
    mask = np.arange(20) < np.array([20, 7, 1, 13])[:, None]
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    with torch.no_grad():
        known = model(**{name: torch.tensor(array).long() for name, array in inputs.items()})
    assert known.last_hidden_state.std() > 0.1
    for half in halves(folder):
        checkpoints.load(half.model.encoder, folder)
        states, pooled = map(half.framework.numpy, half.model.encoder(*half.batch([ids, types, mask])))
        assert np.abs(states - known.last_hidden_state.numpy())[mask].max() < 1e-5
        assert np.abs(pooled - known.pooler_output.numpy()).max() < 1e-5


def test_both_halves_compute_what_transformers_computes(saved):
    check_equal(*saved)


def test_first_checkpoints_names_and_a_bare_model_are_read(saved, folder):
    rename(folder, lambda name: name.removeprefix("bert.") if name.startswith("bert.") else None)
    check_equal(saved[0], folder)
    rename(folder, lambda n: f"bert.{re.sub('LayerNorm.weight', 'LayerNorm.gamma', n)}")
    rename(folder, lambda n: re.sub("LayerNorm.bias", "LayerNorm.beta", n))
    names = safetensors.numpy.load_file(folder / "model.safetensors")
    assert "bert.embeddings.LayerNorm.gamma" in names
    assert "bert.embeddings.LayerNorm.beta" in names
    config = {n: v for n, v in json.loads((folder / "config.json").read_text()).items() if n in SIZES}
    (folder / "config.json").write_text(json.dumps(config))  # no model_type, as the first ones had it
    check_equal(saved[0], folder)


def test_sizes_are_those_of_the_folder(saved):
    config = checkpoints.config(saved[1], classes=5)
    assert config == bert.Config(vocabulary=90, context=24, width=48, layers=3, heads=4, classes=5)


def refused(call, *sentences):
    with pytest.raises(ValueError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for sentence in sentences:
        assert sentence in message


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"model_type": "roberta"}, "model_type is 'roberta', bert.py computes with 'bert' only"),
        ({"hidden_act": "gelu_new"}, "hidden_act is 'gelu_new', bert.py computes with 'gelu' only"),
        ({"layer_norm_eps": 1e-5}, "layer_norm_eps is 1e-05, bert.py computes with 1e-12 only"),
        ({"intermediate_size": 96}, "intermediate_size is 96, bert.py computes with 192 only"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0; allowed is a whole number above 0"),
        ({"hidden_size": None}, "hidden_size is None; allowed is a whole number above 0"),
        ({"num_attention_heads": 5}, "width 48 is not divisible by heads 5"),
    ],
)
def test_another_architecture_is_refused(folder, values, sentence):
    change(folder, **values)
    refused(lambda: checkpoints.config(folder), sentence)


def test_a_missing_or_broken_file_is_named(folder):
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    refused(lambda: checkpoints.encoder_weights(folder), "model.safetensors is not a safetensors file")
    (folder / "model.safetensors").unlink()
    refused(lambda: checkpoints.encoder_weights(folder), f"{folder} holds no model.safetensors")
    (folder / "pytorch_model.bin").write_bytes(b"")
    refused(lambda: checkpoints.encoder_weights(folder), "only pytorch_model.bin, a pickle")
    for text in (b"{", b"[]", b"\xff{}"):
        (folder / "config.json").write_bytes(text)
        refused(lambda: checkpoints.config(folder), "config.json is not a JSON object")
    (folder / "config.json").unlink()
    refused(lambda: checkpoints.config(folder), f"{folder} holds no config.json")


@pytest.mark.parametrize("number", [0, 1])
def test_what_does_not_fit_is_refused_by_name(folder, number):
    half = halves(folder)[number]
    before = half.framework.numpy(half.model.encoder.pooler.weight)
    change(folder, hidden_size=24, intermediate_size=96, num_attention_heads=2)
    small = halves(folder)[number]
    refused(lambda: checkpoints.load(small.model.encoder, folder), "has shape", "it takes")
    rename(folder, lambda name: None if "1.attention.self.key.bias" in name else name)
    refused(
        lambda: checkpoints.load(half.model.encoder, folder),
        "missing ['blocks.1.qkv.bias']",
        "superfluous ['blocks.1.query.bias', 'blocks.1.value.bias']",
    )
    rename(folder, lambda name: "bert.extra" if name == "bert.pooler.dense.weight" else name)
    refused(lambda: checkpoints.load(half.model.encoder, folder), "'pooler.weight'", "'extra'")
    assert np.array_equal(before, half.framework.numpy(half.model.encoder.pooler.weight))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_types_are_read_as_float32(folder, saved, dtype):
    half = deepcopy(saved[0]).to(dtype)
    half.save_pretrained(folder)
    found = checkpoints.encoder_weights(folder)
    assert {weight.dtype for weight in found.values()} == {np.dtype(np.float32)}
    theirs = half.pooler.dense.weight.float().detach().numpy()
    assert np.array_equal(found["pooler.weight"], theirs)
