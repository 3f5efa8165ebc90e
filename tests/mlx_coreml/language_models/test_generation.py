"""A folder of mlx-lm becomes a stateful package that generates the tokens of mlx-lm, one by one."""

import importlib
import json
from itertools import islice

import numpy as np
import pytest
from coremltools.models import MLModel

from mlx_coreml import ConversionError, WrongModelError
from mlx_coreml.__main__ import main
from mlx_coreml.coverage import generation
from mlx_coreml.coverage.cases.architectures import tiny
from mlx_coreml.language_models.check import _error as error_of
from mlx_coreml.language_models.check import compare
from mlx_coreml.language_models.folder import load
from mlx_coreml.language_models.generation import Generator, by_mlx, facts
from mlx_coreml.language_models.stateful_package import export
from mlx_coreml.swift import swift_package
from twins.frameworks import mx

from mlx.utils import tree_flatten  # isort: skip

PROMPT = [7, 31, 2, 58, 14, 14, 3, 40, 9, 22, 51]


def folder_of(name: str, path, **more):
    """A folder as mlx-lm saves one: a tiny model of an architecture with random weights."""
    module = importlib.import_module(f"mlx_lm.models.{name}")
    mx.random.seed(0)
    fields = tiny(module, "ModelArgs", name) | {"model_type": name, "eos_token_id": [2, 3]} | more
    model = module.Model(module.ModelArgs.from_dict(fields))
    path.mkdir(parents=True, exist_ok=True)
    mx.save_safetensors(str(path / "model.safetensors"), dict(tree_flatten(model.parameters())))
    (path / "config.json").write_text(json.dumps(fields))
    (path / "tokenizer.json").write_text("{}")
    return path


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    """A folder, and what `mlx-coreml llm` wrote for it in 4 bits."""
    root = tmp_path_factory.mktemp("llama")
    folder = folder_of("llama", root / "llama", vocab_size=512)
    options = ["--bits=4", "--group-size=32", "--context=32", "--prefill=4", "--name=Tiny"]
    assert main(["llm", str(folder), "-o", str(root / "out"), *options]) == 0
    return folder, root / "out"


def functions(package):
    told = MLModel(str(package), skip_model_load=True, function_name="decode").get_spec()
    return {each.name: each for each in told.description.functions}, told.mlProgram.functions


def test_the_package_has_two_functions_with_the_same_states(llama):
    described, programs = functions(llama[1] / "Tiny.mlpackage")
    shapes = {
        name: {i.name: list(i.type.multiArrayType.shape) for i in each.input}
        for name, each in described.items()
    }
    assert shapes == {
        "decode": {"tokens": [1, 1], "position": [1]},
        "prefill": {"tokens": [1, 4], "position": [1]},
    }
    states = {name: {s.name: str(s.type) for s in each.state} for name, each in described.items()}
    assert states["decode"] == states["prefill"]
    names = [f"cache_layer_{i}_{part}" for i in (0, 1) for part in ("keys", "values")]
    assert sorted(states["decode"]) == names
    kinds = {
        name: [o.type for block in f.block_specializations.values() for o in block.operations]
        for name, f in programs.items()
    }
    for each in kinds.values():
        assert each.count("slice_update") == each.count("write_state") == 4
        assert each.count("constexpr_blockwise_shift_scale") > 14


def test_weights_are_stored_once(llama):
    weights = (llama[1] / "Tiny.mlpackage/Data/com.apple.CoreML/weights/weight.bin").stat().st_size
    _, programs = functions(llama[1] / "Tiny.mlpackage")
    places = [
        {
            each.value.blobFileValue.offset
            for block in f.block_specializations.values()
            for operation in block.operations
            for argument in operation.inputs.values()
            for each in argument.arguments
            if each.HasField("value") and each.value.HasField("blobFileValue")
        }
        for f in programs.values()
    ]
    assert places[0] == places[1] and len(places[0]) > 30
    model = load(llama[0]).model
    packed = sum(a.size for _, a in tree_flatten(model.parameters()) if a.ndim == 2) * (4 + 32 / 32) / 8
    assert weights < 1.1 * packed, (weights, packed)


def test_what_lies_beside_it(llama):
    out = llama[1]
    assert {path.name for path in out.iterdir()} == {
        "Tiny.mlpackage", "config.json", "tokenizer.json", "Swift",
    }  # fmt: skip
    told = facts(out / "Tiny.mlpackage")
    wanted = {"context": 32, "prefill": 4, "output": "logits", "stop_tokens": [2, 3], "architecture": "llama"}
    assert wanted.items() <= told.items()
    assert swift_package.check(out / "Swift").startswith(
        ("parsed by", "unchecked", "not compiled", "compiled")
    )
    example = json.loads((out / "Swift/Tests/TinyTextTests/Resources/example.json").read_text())
    found = Generator(out / "Tiny.mlpackage").generate(example["prompt"], len(example["tokens"]))
    assert found == example["tokens"] and len(found) == 8
    for path in out.rglob("*.swift"):
        assert "__NAME__" not in path.read_text() and "__PACKAGE__" not in path.read_text()


def test_generation_ends_at_a_stop_token_and_with_the_context(llama):
    generator = Generator(llama[1] / "Tiny.mlpackage")
    whole = generator.generate(PROMPT, 100)
    assert len(whole) == 32 - len(PROMPT) + 1
    assert generator.generate(PROMPT, 100, stop=[whole[3]]) == whole[: whole.index(whole[3]) + 1]
    with pytest.raises(ConversionError, match=r"the prompt has 33 tokens; .* takes 1 to 32"):
        generator.generate([1] * 33, 1)


def test_how_a_prompt_is_cut_changes_nothing(llama):
    """11 tokens are two chunks and three single ones; one by one, the logits are the same."""
    generator = Generator(llama[1] / "Tiny.mlpackage")
    _, chunked = next(generator.stream(PROMPT))
    generator.chunk = 1
    _, single = next(generator.stream(PROMPT))
    np.testing.assert_allclose(chunked, single, atol=5e-3 * np.abs(single).max())


def test_the_check_sees_other_weights(llama, tmp_path):
    other = load(folder_of("llama", tmp_path / "other", vocab_size=512)).model
    other.model.layers[0].self_attn.v_proj.weight *= 3
    with pytest.raises(WrongModelError, match=r"does not generate what mlx-lm does: . of 8 greedy tokens"):
        compare(other, llama[1] / "Tiny.mlpackage", 8)


def test_the_likeliest_token_as_output_and_no_prefill(tmp_path):
    folder = folder_of("qwen3", tmp_path / "qwen3")
    made = export(folder, tmp_path / "out", output="token", prefill=1, context=24, check=8)
    assert made.checked == "8 of 8 greedy tokens are those of mlx-lm"
    described, _ = functions(made.package)
    assert list(described) == ["decode"] and [o.name for o in described["decode"].output] == ["token"]


def test_mlx_goes_on_with_its_own_cache(llama):
    model = load(llama[0]).model
    wanted = [token for token, _ in by_mlx(model, PROMPT, 5)]
    tokens = list(PROMPT)
    for _ in range(5):
        tokens.append(int(mx.argmax(model(mx.array([tokens]))[0, -1])))
    assert tokens[len(PROMPT) :] == wanted


CASES = {case.name: case for case in generation.cases()}


@pytest.mark.parametrize("name", ["gemma3_text", "mamba2", "qwen3_next", "llama4"])
def test_architectures_of_every_kind_of_cache(name):
    """A sliding window, a state-space model, both kinds of layers, chunks: all of them by `make oracle`."""
    verdict, reason, error, _ = generation.generated(CASES[name], "float32")
    assert (verdict, reason) == ("right", "") and error < 1e-2


def test_streams_can_be_taken_apart(llama):
    generator = Generator(llama[1] / "Tiny.mlpackage")
    both = zip(islice(generator.stream(PROMPT), 6), islice(generator.stream(PROMPT), 6), strict=True)
    assert all(first == second for (first, _), (second, _) in both)


def test_logits_that_are_no_numbers_are_wrong():
    right = np.array([1.0, -2.0, -np.inf, 0.5])
    assert error_of(right, right) == 0
    assert error_of(np.array([1.0, -2.0, -65504.0, 0.5]), right) == 0  # what float16 has for it
    for wrong in ([1.0, -2.0, 0.0, 0.5], [np.nan, -2.0, -np.inf, 0.5]):
        assert error_of(np.array(wrong), right) == np.inf
    assert error_of(np.full(4, np.nan), np.full(4, np.nan)) == np.inf
