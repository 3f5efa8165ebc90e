"""What one framework lacks of the other is found in the installed packages."""

import mlx.core as mx
import mlx.nn
import mlx.nn.losses
import mlx.optimizers
import pytest
import torch

from twins.evidence import breadth, breadth_names

FOUND = {(row.framework, row.group): row for row in breadth.measure()}


def test_the_maps_name_what_exists():
    for names, theirs, ours in (
        (breadth.LAYERS, mlx.nn, torch.nn),
        (breadth.LOSSES, mlx.nn.losses, torch.nn),
        (breadth.OPTIMIZERS, mlx.optimizers, torch.optim),
    ):
        assert [name for name in names if not hasattr(ours, name)] == []
        assert [name for name in names.values() if not hasattr(theirs, name)] == []


def test_the_map_of_operations_names_what_exists():
    ours = breadth.mlx_operations().union(dir(mx), dir(mx.array), dir(mlx.nn))
    assert [name for name in breadth_names.OPERATIONS if name not in breadth.torch_operations()] == []
    assert [name for name in breadth_names.OPERATIONS.values() if name not in ours] == []
    assert [name for name in breadth_names.ELSEWHERE if name not in breadth.mlx_operations()] == []


def test_the_names_left_out_exist_in_one_of_the_packages():
    known = {name for module in (torch, torch.linalg, torch.fft, mx, mx.random) for name in dir(module)}
    assert [name for name in breadth_names.NO_OPERATIONS if name not in known] == []
    assert [name for name in breadth_names.ALIASES if name not in known] == []


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
