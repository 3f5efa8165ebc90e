"""What one framework lacks of the other is found in the installed packages."""

import re

import mlx.core as mx
import mlx.nn
import mlx.nn.losses
import mlx.optimizers
import pytest
import torch

from twins.evidence import breadth

FOUND = {(row.framework, row.group): row for row in breadth.measure()}


def test_the_maps_name_what_exists():
    for names, theirs, ours in (
        (breadth.NAMES.layers, mlx.nn, torch.nn),
        (breadth.NAMES.losses, mlx.nn.losses, torch.nn),
        (breadth.NAMES.optimizers, mlx.optimizers, torch.optim),
    ):
        assert [name for name in names if not hasattr(ours, name)] == []
        assert [name for name in names.values() if not hasattr(theirs, name)] == []


def test_the_map_of_operations_names_what_exists():
    ours = breadth.mlx_operations().union(dir(mx), dir(mx.array), dir(mlx.nn))
    assert [name for name in breadth.NAMES.operations if name not in breadth.torch_operations()] == []
    assert [name for name in breadth.NAMES.operations.values() if name not in ours] == []
    assert [name for name in breadth.NAMES.elsewhere if name not in breadth.mlx_operations()] == []


def test_the_names_left_out_exist_in_one_of_the_packages():
    known = {name for module in (torch, torch.linalg, torch.fft, mx, mx.random) for name in dir(module)}
    assert [name for name in breadth.NAMES.no_operations if name not in known] == []
    assert [name for name in breadth.NAMES.aliases if name not in known] == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("layers: [ReLU]", "breadth.yaml: Expected `object`, got `array` - at `$.layers`"),
        ("lairs: {}", "breadth.yaml: Object contains unknown field `lairs`"),
        ("layers: {ReLU: 1}", "breadth.yaml: Expected `str`, got `int` - at `$.layers[...]`"),
        ("layers: {", "breadth.yaml: while parsing a flow"),
    ],
)
def test_a_file_that_holds_something_else_is_refused(tmp_path, text, sentence):
    path = tmp_path / "breadth.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(sentence)) as refused:
        breadth.load(path)
    assert "\n" not in str(refused.value)


def test_both_directions_are_counted():
    groups = ("layers", "losses", "optimizers", "operations", "architectures")
    assert set(FOUND) == {(framework, group) for framework in ("MLX", "PyTorch") for group in groups}
    assert all(0 < len(row.lacking) < row.total for row in FOUND.values())


@pytest.mark.parametrize(
    ("framework", "group", "lacks", "has"),
    [
        ("MLX", "layers", "FractionalMaxPool2d", "Linear"),
        ("MLX", "losses", "CTCLoss", "CrossEntropyLoss"),
        ("MLX", "optimizers", "LBFGS", "AdamW"),
        ("MLX", "operations", "nonzero", "unsqueeze"),
        ("MLX", "architectures", "bert", "mistral"),
        ("PyTorch", "layers", "RoPE", "Linear"),
        ("PyTorch", "optimizers", "Lion", "Adam"),
        ("PyTorch", "operations", "quantized_matmul", "layer_norm"),
        ("PyTorch", "architectures", "internlm2", "llama"),
    ],
)
def test_what_is_lacking_and_what_is_not(framework, group, lacks, has):
    lacking = FOUND[framework, group].lacking
    assert lacks in lacking and has not in lacking


def test_no_tooling_counts_as_an_operation():
    for name in ("set_num_threads", "relu_", "expand_copy", "get_active_memory", "eval", "manual_seed"):
        assert name not in breadth.torch_operations() | breadth.mlx_operations()
    assert "index_copy" in breadth.torch_operations()
