"""The routes from PyTorch to Core ML that coremltools offers.

https://apple.github.io/coremltools/docs-guides/source/convert-pytorch-workflow.html
"""

from collections.abc import Sequence

import coremltools as ct
import numpy as np
import torch


def torch_export(
    model: torch.nn.Module, example: Sequence[torch.Tensor], target: ct.target
) -> ct.models.MLModel:
    """torch.export, decomposed to core ATen, then coremltools; fp16 inside, the example's types outside."""
    with torch.no_grad():
        program = torch.export.export(model.eval(), tuple(example)).run_decompositions({})
    return ct.convert(program, **_options(target), inputs=_typed(example))


def torch_trace(
    model: torch.nn.Module, example: Sequence[torch.Tensor], target: ct.target
) -> ct.models.MLModel:
    """torch.jit.trace, then coremltools; fp16 inside, the example's types outside."""
    with torch.no_grad():
        traced = torch.jit.trace(model.eval(), tuple(example))
    return ct.convert(traced, **_options(target), inputs=_typed(example))


ROUTES = {"torch.export": torch_export, "torch.jit.trace": torch_trace}


def _options(target: ct.target) -> dict:
    outputs = [ct.TensorType(dtype=np.float32)]
    return {"minimum_deployment_target": target, "outputs": outputs, "skip_model_load": True}


def _typed(example: Sequence[torch.Tensor]) -> list[ct.TensorType]:
    """Inputs as the example has them, integers as Core ML's int32: left alone they would become fp16."""
    kinds = [np.float32 if x.is_floating_point() else np.int32 for x in example]
    return [ct.TensorType(shape=tuple(x.shape), dtype=kind) for x, kind in zip(example, kinds, strict=True)]
