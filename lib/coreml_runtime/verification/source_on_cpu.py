"""Computes expected values on the CPU, whatever the device of the model and the default device are.

A GPU rounds differently, as in Metal's Winograd convolutions, and a package must not fail because of that.
Afterwards everything is restored.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def mlx() -> ModuleType:
    """mlx.core, which only a source written in MLX needs."""
    return importlib.import_module("mlx.core")


@contextmanager
def mlx_on_cpu() -> Iterator[None]:
    """Run MLX's operations on its CPU stream; also a decorator. Evaluated arrays stay where they are."""
    mx = mlx()
    with mx.stream(mx.cpu):
        yield


@contextmanager
def torch_on_cpu(source: Callable) -> Iterator[None]:
    """Create new torch tensors on the CPU, and give the modules of `source` copies of their tensors there.

    These modules are `source` itself, the one whose method it is, and those that it refers to by name. Calls
    inside one block share a module's state; after the block the modules have their own tensors again. A GPU
    tensor that `source` refers to directly is not moved: torch then refuses to mix the devices.
    """
    import torch

    copies: dict[int, torch.Tensor] = {}
    with torch.device("cpu"), ExitStack() as stack:
        for module in _modules(source):
            for name, tensor in [*module._parameters.items(), *module._buffers.items()]:
                if tensor is not None and tensor.device.type != "cpu":
                    copy = copies[id(tensor)] if id(tensor) in copies else _copied(tensor)
                    copies[id(tensor)] = copy  # tied weights stay tied
                    stack.callback(setattr, module, name, tensor)
                    setattr(module, name, copy)
        yield


def _copied(tensor: torch.Tensor) -> torch.Tensor:
    import torch

    copy = tensor.detach().cpu().clone()
    if isinstance(tensor, torch.nn.Parameter):
        return torch.nn.Parameter(copy, requires_grad=tensor.requires_grad)
    return copy


def _modules(source: Callable) -> list[torch.nn.Module]:
    """Every module that a callable is, is bound to, or refers to, each once."""
    import torch

    while isinstance(source, functools.partial):
        source = source.func
    held = [source, getattr(source, "__self__", None)]
    if inspect.isfunction(source):
        named = inspect.getclosurevars(source)
        held += [*named.nonlocals.values(), *named.globals.values()]
    found = [module for each in held if isinstance(each, torch.nn.Module) for module in each.modules()]
    return list(dict.fromkeys(found))


def on_cpu(source: Callable[..., Any], framework: str | None) -> AbstractContextManager[None]:
    """The block in which `source` of "torch" or "mlx" computes on the CPU."""
    return torch_on_cpu(source) if framework == "torch" else mlx_on_cpu()
