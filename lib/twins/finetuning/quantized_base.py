"""Frozen bases of 8 or 4 bits: the same numbers in both frameworks, and what each framework's users take.

Equal numbers: torchao rounds groups of 64 weights to integers with one scale
(https://docs.pytorch.org/ao/stable); MLX's affine format holds the same integers, from zero up, with the
scale and a bias (https://ml-explore.github.io/mlx/build/html/python/_autosummary/mlx.core.quantize.html).
Each its own: MLX's affine quantization; bitsandbytes' NF4 and LLM.int8
(https://huggingface.co/docs/bitsandbytes). Only the linear layers of the blocks are quantized, on both sides.
"""

from pathlib import Path

import numpy as np
import torch
import transformers

from twins.finetuning import base_model
from twins.finetuning.base_model import quiet
from twins.finetuning.bases import EQUAL, GROUP, OWN, WORD
from twins.frameworks import MLX, TORCH

import mlx.core as mx  # isort: skip  (after twins.frameworks: the BLAS)
import mlx.nn as mnn  # isort: skip
from mlx.utils import tree_unflatten  # isort: skip


with quiet():  # it tells of kernels for other devices that it does not find
    from torchao.quantization import IntxWeightOnlyConfig, quantize_
    from torchao.quantization.granularity import PerGroup


def in_a_block(path: str) -> bool:
    """Whether a layer lies in one of the model's blocks: not the embedding and not the head."""
    return ".layers." in f".{path}."


def load_torch(folder: Path, dtype: str, base: str = "") -> torch.nn.Module:
    """transformers' model of a folder, its blocks' linear layers quantized as `base` says."""
    if base in OWN:
        return base_model.load_torch(folder, dtype, quantization_config=_bitsandbytes(base, dtype))
    model = base_model.load_torch(folder, dtype)
    if base:
        model.requires_grad_(False)
        _rounded(model, EQUAL[base])
    return model


def _bitsandbytes(base: str, dtype: str) -> object:
    if OWN[base] == 8:
        return transformers.BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=0.0)
    return transformers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=False,
        bnb_4bit_compute_dtype=TORCH.dtype(dtype),
    )


def _rounded(model: torch.nn.Module, bits: int) -> None:
    """Round the weights of the linear layers in a model's blocks with torchao."""
    config = IntxWeightOnlyConfig(weight_dtype=getattr(torch, f"int{bits}"), granularity=PerGroup(GROUP))
    quantize_(model, config, lambda module, path: isinstance(module, torch.nn.Linear) and in_a_block(path))


def quantize_mlx(model: mnn.Module, base: str) -> None:
    """Quantize the linear layers in a model's blocks as `base` says; their shapes must divide by GROUP."""
    if base in OWN:
        wanted = lambda path, module: isinstance(module, mnn.Linear) and in_a_block(path)  # noqa: E731
        mnn.quantize(model, group_size=GROUP, bits=OWN[base], class_predicate=wanted)
        return
    made = [
        (path, _from_integers(module, EQUAL[base]))
        for path, module in model.named_modules()
        if isinstance(module, mnn.Linear) and in_a_block(path)
    ]
    model.update_modules(tree_unflatten(made))


def _from_integers(linear: mnn.Linear, bits: int) -> mnn.QuantizedLinear:
    """MLX's layer with torchao's integers and scales of its weight.

    A weight is scale * integer in torchao, and scale * (integer + half) - scale * half in MLX, whose integers
    begin at zero.
    """
    weight = torch.tensor(MLX.numpy(linear.weight.astype(mx.float32)))
    holder = torch.nn.Sequential(torch.nn.Linear(*weight.shape[::-1], bias=False).requires_grad_(False))
    holder[0].weight.copy_(weight)
    config = IntxWeightOnlyConfig(weight_dtype=getattr(torch, f"int{bits}"), granularity=PerGroup(GROUP))
    quantize_(holder, config)
    found, half = holder[0].weight, 2 ** (bits - 1)
    if found.zero_point.any():
        raise ArithmeticError("torchao chose a zero point; MLX's bias stands for a symmetric range only")
    made = mnn.QuantizedLinear(*weight.shape[::-1], bias="bias" in linear, group_size=GROUP, bits=bits)
    scales = mx.array(found.scale.float().numpy()).astype(linear.weight.dtype)
    made.weight = mx.array(packed(found.qdata.numpy().astype(np.int16) + half, bits))
    made.scales, made.biases = scales, -half * scales
    if "bias" in linear:
        made.bias = linear.bias
    return made


def packed(values: np.ndarray, bits: int) -> np.ndarray:
    """Integers (N, K) from 0 to 2^bits - 1 in MLX's layout: uint32 (N, K * bits / 32), the first lowest."""
    each = WORD // bits
    places = values.astype(np.uint32).reshape(len(values), -1, each) << (
        bits * np.arange(each, dtype=np.uint32)
    )
    return np.bitwise_or.reduce(places, axis=-1)


def dequantized_mlx(model: mnn.Module) -> dict[str, np.ndarray]:
    """The weights that quantized layers stand for, float32 (N, K), by the layer's path."""
    return {
        path.removesuffix(".linear"): MLX.numpy(
            mx.dequantize(
                m.weight, m.scales, m.biases, group_size=m.group_size, bits=m.bits, mode=m.mode
            ).astype(mx.float32)
        )
        for path, m in model.named_modules()
        if isinstance(m, mnn.QuantizedLinear)
    }


def dequantized_torch(model: torch.nn.Module) -> dict[str, np.ndarray]:
    """The weights that torchao's layers stand for, float32 (N, K), by the layer's path in MLX's half."""
    found = {}
    for path, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if hasattr(weight, "dequantize") and hasattr(weight, "qdata"):
            name = path.removeprefix("model.base_model.model.").removesuffix(".base_layer")
            found[name] = TORCH.numpy(weight.dequantize().float())
    return found
