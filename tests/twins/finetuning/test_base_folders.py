"""Folders of both formats as a base: sharded, tied, of another architecture; and wrong ones."""

import json
import shutil

import pytest
import torch
import transformers

from twins.finetuning import tuning, tuning_gate
from twins.finetuning.adapters import ATTENTION

import mlx.core as mx  # isort: skip  (after twins: the BLAS)
from mlx.utils import tree_flatten  # isort: skip
from mlx_lm.utils import load_model  # isort: skip

SIZES = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
SIZES |= {"intermediate_size": 128, "vocab_size": 96, "max_position_embeddings": 64}


def hugging_face(folder, kind=transformers.Qwen2Config, model=transformers.Qwen2ForCausalLM, **more):
    """A folder as transformers writes it: tied embeddings, biases, several shards."""
    torch.manual_seed(0)
    made = model(kind(**SIZES, tie_word_embeddings=True, **more))
    made.save_pretrained(folder, max_shard_size="60KB")
    assert (folder / "model.safetensors.index.json").is_file()
    return folder


def mlx_lm(folder, source):
    """The same model as mlx-lm writes it."""
    folder.mkdir()
    model, _ = load_model(source)
    flat = dict(tree_flatten(model.parameters()))
    names = sorted(flat)
    parts = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for name, held in parts.items():
        mx.save_safetensors(
            str(folder / name), {each: flat[each] for each in held}, metadata={"format": "mlx"}
        )
    index = {"weight_map": {each: name for name, held in parts.items() for each in held}}
    index |= {"metadata": {"total_size": sum(array.nbytes for array in flat.values())}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    shutil.copy(source / "config.json", folder)
    return folder


@pytest.mark.parametrize("written_by", ["transformers", "mlx-lm"])
def test_a_sharded_folder_with_tied_embeddings_is_a_base(tmp_path, written_by):
    folder = hugging_face(tmp_path / "qwen")
    folder = folder if written_by == "transformers" else mlx_lm(tmp_path / "written", folder)
    for method in ("lora", "full"):
        made = tuning.of(str(folder), method, 4, 8.0, ATTENTION, 1e-3)
        verdict = tuning_gate.gate(made, made.examples(2, 5, 16))
        assert [check for check in verdict.checks if not check["passed"]] == []


def no_config(folder):
    (folder / "config.json").unlink()


def no_shard(folder):
    next(folder.glob("model-00002*")).unlink()


def no_index(folder):
    (folder / "model.safetensors.index.json").unlink()


def cut_off(folder):
    path = next(folder.glob("model-00001*"))
    path.write_bytes(path.read_bytes()[:40])


def outside(folder):
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "../a.safetensors"}})
    )


def unknown(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "gpt9"}))


def quantized(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization": {"bits": 4}}))


WRONG = {
    no_config: r"^checkpoint qwen holds no config\.json",
    no_shard: r"^checkpoint qwen lacks model-00002-of-\d+\.safetensors of model\.safetensors\.index\.json",
    no_index: r"^checkpoint qwen holds no model\.safetensors .* model\.safetensors\.index\.json names",
    cut_off: r"^model-00001-of-\d+\.safetensors of checkpoint qwen is broken or cut off",
    outside: r"^checkpoint qwen lacks \.\./a\.safetensors",
    unknown: r"^checkpoint qwen: (mlx-lm|transformers) says",
    quantized: r"^checkpoint qwen is quantized already",
}


@pytest.mark.parametrize("spoil", WRONG, ids=lambda each: each.__name__)
def test_a_wrong_folder_is_one_sentence(tmp_path, spoil):
    folder = hugging_face(tmp_path / "qwen")
    spoil(folder)
    with pytest.raises(ValueError, match=WRONG[spoil]) as raised:
        tuning.of(str(folder), "lora", 4, 8.0, ATTENTION, 1e-3).halves()
    assert "\n" not in str(raised.value)


def test_layers_that_the_base_lacks_are_refused(tmp_path):
    folder = hugging_face(tmp_path / "qwen")
    gpt = tmp_path / "gpt"
    torch.manual_seed(0)
    config = transformers.GPT2Config(n_embd=32, n_layer=1, n_head=2, vocab_size=64, n_positions=32)
    transformers.GPT2LMHeadModel(config).save_pretrained(gpt)
    with pytest.raises(ValueError, match="checkpoint gpt"):
        tuning.of(str(gpt), "lora", 4, 8.0, ATTENTION, 1e-3)
    made = tuning.of(str(folder), "lora", 4, 8.0, ["mlp.gate_proj"], 1e-3)
    assert tuning_gate.gate(made, made.examples(2, 3, 16)).passed
