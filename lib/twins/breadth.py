"""What of one framework's lists the other has: found by looking into the installed packages.

A name counts as present where the other side has it, or where an explicit map below names its counterpart.
Lists: torch.nn (https://docs.pytorch.org/docs/stable/nn.html) and mlx.nn
(https://ml-explore.github.io/mlx/build/html/python/nn.html), with losses and optimizers.
"""

import inspect

from twins.frameworks import mx  # noqa: F401  # isort: skip  (its BLAS must be loaded before mlx.nn)
import mlx.nn
import mlx.nn.losses
import mlx.optimizers
import torch

from twins.kinds import Breadth

# PyTorch's name -> MLX's name, where they differ. Review these: they decide what counts as lacking.
LAYERS = {
    **{f"BatchNorm{n}d": "BatchNorm" for n in (1, 2, 3)},
    **{f"InstanceNorm{n}d": "InstanceNorm" for n in (1, 2, 3)},
    "Hardshrink": "HardShrink",
    "Hardtanh": "HardTanh",
    "MultiheadAttention": "MultiHeadAttention",
    "UpsamplingBilinear2d": "Upsample",
    "UpsamplingNearest2d": "Upsample",
}
LOSSES = {
    "BCELoss": "binary_cross_entropy",
    "BCEWithLogitsLoss": "binary_cross_entropy",
    "CosineEmbeddingLoss": "cosine_similarity_loss",
    "CrossEntropyLoss": "cross_entropy",
    "GaussianNLLLoss": "gaussian_nll_loss",
    "HuberLoss": "huber_loss",
    "KLDivLoss": "kl_div_loss",
    "L1Loss": "l1_loss",
    "MSELoss": "mse_loss",
    "MarginRankingLoss": "margin_ranking_loss",
    "NLLLoss": "nll_loss",
    "SmoothL1Loss": "smooth_l1_loss",
    "TripletMarginLoss": "triplet_loss",
}
OPTIMIZERS = {"Adadelta": "AdaDelta"}
# Containers, bases and aliases: Python's own lists do their work in MLX.
_NO_LAYERS = {"Module", "Container", "RNNBase", "RNNCellBase", "ModuleDict", "ModuleList"}
_NO_LAYERS |= {"ParameterDict", "ParameterList", "NLLLoss2d"}


def measure() -> list[Breadth]:
    """Layers, losses and optimizers, in both directions."""
    torch_modules = _classes(torch.nn, torch.nn.Module) - _NO_LAYERS
    torch_losses = {name for name in torch_modules if name.endswith("Loss")}
    layers = torch_modules - torch_losses, _classes(mlx.nn, mlx.nn.Module) - _NO_LAYERS
    losses = torch_losses, _functions(mlx.nn.losses)
    optimizers = (
        _classes(torch.optim, torch.optim.Optimizer) - {"Optimizer"},
        _classes(mlx.optimizers, mlx.optimizers.Optimizer) - {"Optimizer"},
    )
    return [
        *_both("layers", *layers, LAYERS),
        *_both("losses", *losses, LOSSES),
        *_both("optimizers", *optimizers, OPTIMIZERS),
    ]


def _both(group: str, ours: set[str], theirs: set[str], names: dict[str, str]) -> list[Breadth]:
    mlx_lacks = sorted(name for name in ours if names.get(name, name) not in theirs)
    counterparts = {names.get(name, name) for name in ours}
    torch_lacks = sorted(theirs - counterparts)
    return [
        Breadth("MLX", group, len(ours), mlx_lacks),
        Breadth("PyTorch", group, len(theirs), torch_lacks),
    ]


def _classes(module: object, base: type) -> set[str]:
    found = inspect.getmembers(module, inspect.isclass)
    return {name for name, kind in found if issubclass(kind, base) and not name.startswith("_")}


def _functions(module: object) -> set[str]:
    found = inspect.getmembers(module, callable)
    return {
        name
        for name, value in found
        if getattr(value, "__module__", "") == module.__name__ and name[0] != "_"
    }
