"""Architectures of transformers and mlx-lm: equal pairs are converted, the others named with the reason."""

import numpy as np
import pytest

from twins.export import architecture_pairs
from twins.export.networks import architectures
from twins.export.networks.architectures import Built
from twins.frameworks import MLX
from twins.records.export_types import Conversion

import torch  # isort: skip  (after frameworks: the BLAS)

NAMES = ["gemma2", "glm", "llama", "mamba", "olmo", "qwen3_moe"]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return list(architectures.build(NAMES, tmp_path_factory.mktemp("architectures")))


def test_halves_with_the_same_weights_agree_and_others_are_named(pairs):
    assert [pair.name for pair in pairs if pair.equal] == ["gemma2", "llama", "mamba", "qwen3_moe"]
    by_name = {pair.name: pair for pair in pairs}
    assert by_name["glm"].difference > 1e-3  # mlx-lm has no glm with rotary parts as transformers writes it
    assert (by_name["olmo"].difference, "ai2-olmo" in by_name["olmo"].reason) == (None, True)


def test_a_half_with_other_weights_is_not_equal(pairs):
    llama = next(pair for pair in pairs if pair.name == "llama")
    ours, example = architectures.half(str(llama.folder), "MLX")
    theirs, same = architectures.half(str(llama.folder), "PyTorch")
    with torch.no_grad():
        next(theirs.parameters()).mul_(1.001)
        moved = theirs(*same).numpy()
    gap = np.sqrt(np.mean((MLX.numpy(ours(*example)) - moved) ** 2) / np.mean(moved**2))
    assert moved.shape == (1, architectures.LENGTH, 64)
    assert not Built("llama", llama.folder, float(gap)).equal


def test_only_equal_pairs_are_converted_and_the_gate_counts_all(pairs):
    tasks = architecture_pairs.tasks(pairs)
    assert {task.model for task in tasks} == {"gemma2", "llama", "mamba", "qwen3_moe"}
    assert len(tasks) == 8
    (found,) = gates = list(architecture_pairs.gates(pairs, 17))
    assert found.outcomes == {"equal": 4, "different": 1, "not built": 1}
    assert found.case["of"] == len(architectures.names()) and set(found.case["differences"]) >= {"glm"}
    assert architecture_pairs.counted(gates).endswith("know: 4 equal, 1 different, 1 not built.")
    assert list(architecture_pairs.gate_table(gates)["architecture"]) == ["glm", "olmo"]


def test_none_is_built_where_a_profile_leaves_them_out():
    assert architecture_pairs.built(0) == []
    assert list(architecture_pairs.gates([], 0)) == []
    assert architecture_pairs.counted([]).startswith("No architecture was built")


def test_the_list_is_what_both_libraries_know():
    names = architectures.names()
    assert list(names) == sorted(names) and len(names) > 60
    assert {"llama", "mistral", "mamba", "qwen3"} <= set(names)
    assert not {"bert", "cache", "rwkv7"} & set(names)


def test_an_architecture_that_is_not_tiny_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(architectures, "LARGEST", 1000)
    (found,) = architectures.build(["llama"], tmp_path)
    assert found.reason.endswith("parameters with the sizes given; allowed are 1000")


def test_models_are_counted_once_as_asked_and_by_the_packages_precision():
    def row(model, precision, computes, error):
        case = {"precision": precision, "computes": computes}
        return Conversion(model, "PyTorch, ONNX, onnxsim", case, {}, 1, 1, error, True, "", "", "", [])

    rows = [row("a", "float32", "fp16", 1e-4), row("a", "float16", "fp16", 1e-4)]
    rows += [row("b", "float32", "fp32", 1e-7), row("b", "float16", "fp16", 1e-4)]
    (told,) = architecture_pairs.right_table(rows).to_dict("records")
    assert told["models right"] == "1 of 2"
    assert (told["fp32"], told["fp16"]) == ("1 (2 by their own)", "2")
    assert told["most frequent causes"] == "1 × asked float32, package is float16"
