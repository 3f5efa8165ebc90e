"""What one framework lacks of the other is found in the installed packages."""

import mlx.nn
import mlx.nn.losses
import mlx.optimizers
import torch

from twins import breadth


def test_the_maps_name_what_exists():
    for names, theirs, ours in (
        (breadth.LAYERS, mlx.nn, torch.nn),
        (breadth.LOSSES, mlx.nn.losses, torch.nn),
        (breadth.OPTIMIZERS, mlx.optimizers, torch.optim),
    ):
        assert [name for name in names if not hasattr(ours, name)] == []
        assert [name for name in names.values() if not hasattr(theirs, name)] == []


def test_both_directions_are_counted():
    found = {(row.framework, row.group): row for row in breadth.measure()}
    assert len(found) == 6
    assert "CTCLoss" in found["MLX", "losses"].lacking
    assert "Linear" not in found["MLX", "layers"].lacking
    assert "Lion" in found["PyTorch", "optimizers"].lacking
    assert "LBFGS" in found["MLX", "optimizers"].lacking
    assert all(len(row.lacking) <= row.total for row in found.values())
