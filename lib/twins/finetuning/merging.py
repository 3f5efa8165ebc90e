"""Adapters merged into their base, by each library.

A merged weight is the base's plus the scaled product of the adapter's matrices; for DoRA with its rows
rescaled. https://huggingface.co/docs/peft/developer_guides/model_merging
"""

import numpy as np

from twins.finetuning.base_model import Logits
from twins.frameworks import MLX
from twins.training.train import Half

import mlx.core as mx  # isort: skip  (after twins.frameworks: the BLAS)
import mlx.nn as mnn  # isort: skip
import torch  # isort: skip
from mlx.utils import tree_unflatten  # isort: skip


def merged_mlx(model: mnn.Module) -> mnn.Module:
    """mlx-lm's model with its adapters merged into its layers; a quantized layer becomes one of floats."""
    made = [
        (path, module.fuse(dequantize=True))
        for path, module in model.named_modules()
        if hasattr(module, "fuse") and hasattr(module, "lora_a")
    ]
    model.update_modules(tree_unflatten(made))
    mx.eval(model.parameters())
    return model.eval()


def merged_torch(model: torch.nn.Module) -> torch.nn.Module:
    """peft's model with its adapters merged into its layers, inside `Logits`."""
    return Logits(model.model.merge_and_unload()).eval()


def merged(half: Half) -> mnn.Module | torch.nn.Module:
    """The merged model of either half."""
    return (merged_mlx if half.framework is MLX else merged_torch)(half.model)


def apart(half: Half, ids: np.ndarray) -> float:
    """Relative L2 between a half's logits on ids (B, T) before and after it is merged, which it then is."""
    half.model.eval()
    before = half.framework.numpy(half.model(*half.hand_over([ids])))
    after = half.framework.numpy(merged(half)(*half.hand_over([ids])))
    return float(np.linalg.norm(after - before) / np.linalg.norm(before))
