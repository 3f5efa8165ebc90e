"""Gradient checkpointing in both frameworks: blocks are computed a second time instead of being kept.

Chen et al. 2016, https://arxiv.org/abs/1604.06174; as mlx-lm's trainer and transformers do it.
"""

import torch
from mlx_lm.tuner.trainer import grad_checkpoint

from twins import frameworks as frameworks
from twins.finetuning.base_model import quiet

import mlx.nn as mnn  # isort: skip  (after frameworks: the BLAS)


def checkpoint_mlx(model: mnn.Module) -> None:
    """Compute the model's blocks again in backward.

    mlx-lm changes the class of a block for every model of the process; here each model has a class of its
    own.
    """
    block = type(model.layers[0])
    own = type(block.__name__, (block,), {})
    for layer in model.layers:
        layer.__class__ = own
    grad_checkpoint(model.layers[0])


def checkpoint_torch(model: torch.nn.Module) -> None:
    """Compute the model's blocks again in backward; PyTorch advises against the reentrant form."""
    with quiet():
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
