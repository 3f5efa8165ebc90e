"""Which names of one framework's lists the other has, looked up in the installed packages.

A name counts as present where the other side has it, or where an explicit map names its counterpart
(data/breadth.yaml). Lists: torch.nn (https://docs.pytorch.org/docs/stable/nn.html) and mlx.nn
(https://ml-explore.github.io/mlx/build/html/python/nn.html) with losses and optimizers, operations documented
in torch and mlx.core, and the language models of transformers and mlx-lm by model type. Presence is no
measure of quality or speed, and one call in one framework may be a line of code in the other.
"""

import inspect
import pkgutil
import re
from pathlib import Path
from types import ModuleType

from twins.frameworks import mx  # isort: skip  (its BLAS must be loaded before mlx.nn)
import mlx.nn
import mlx.nn.losses
import mlx.optimizers
import mlx_lm.models
import msgspec
import torch
from mlx_lm.utils import MODEL_REMAPPING
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from twins.records import store
from twins.records.record_types import Breadth

FILE = store.ROOT / "data" / "breadth.yaml"


class Names(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person decided about names: data/breadth.yaml, which says what each of these is."""

    layers: dict[str, str]
    losses: dict[str, str]
    optimizers: dict[str, str]
    no_layers: set[str]
    no_operations: set[str]
    aliases: dict[str, str]
    operations: dict[str, str]
    elsewhere: dict[str, str]
    no_models: set[str]


def load(path: Path = FILE) -> Names:
    """The names of a file. Errors: ValueError, one sentence that names the file and the entry."""
    try:
        return msgspec.yaml.decode(path.read_bytes(), type=Names)
    except msgspec.DecodeError as error:
        raise ValueError(f"{path.name}: {' '.join(str(error).split())}") from None


NAMES = load()


def measure() -> list[Breadth]:
    """Layers, losses, optimizers, operations and architectures, in both directions."""
    torch_modules = _classes(torch.nn, torch.nn.Module) - NAMES.no_layers
    torch_modules = {name for name in torch_modules if not name.startswith("Lazy")}
    torch_losses = {name for name in torch_modules if name.endswith("Loss")}
    layers = torch_modules - torch_losses, _classes(mlx.nn, mlx.nn.Module) - NAMES.no_layers
    losses = torch_losses, _functions(mlx.nn.losses)
    optimizers = (
        _classes(torch.optim, torch.optim.Optimizer) - {"Optimizer"},
        _classes(mlx.optimizers, mlx.optimizers.Optimizer) - {"Optimizer"},
    )
    return [
        *_both("layers", *layers, NAMES.layers),
        *_both("losses", *losses, NAMES.losses),
        *_both("optimizers", *optimizers, NAMES.optimizers),
        *operations(),
        *architectures(),
    ]


def torch_operations() -> set[str]:
    """Documented operations of torch, torch.linalg and torch.fft, one name for aliases."""
    found = _documented(torch) | _documented(torch.linalg) | _documented(torch.fft)
    return {NAMES.aliases.get(name, name) for name in found if not _is_no_operation(name)}


def mlx_operations() -> set[str]:
    """Documented operations of mlx.core and its linalg, fft, fast and random, one name for aliases."""
    modules = (mx, mx.linalg, mx.fft, mx.fast, mx.random)
    found = {name for module in modules for name in _documented(module)}
    return {NAMES.aliases.get(name, name) for name in found if not _is_no_operation(name)}


def operations() -> list[Breadth]:
    """Documented operations of each framework that the other has, there or among its layers and methods."""
    theirs, ours = torch_operations(), mlx_operations()
    mlx_has = ours.union(dir(mx), *map(dir, (mx.array, mlx.nn)))
    homes = (torch.Tensor, torch.nn.functional, torch.nn.init, torch.special, torch.distributions)
    torch_has = theirs.union(dir(torch), *map(dir, homes))
    counterparts = {NAMES.operations.get(name, name) for name in theirs}
    mlx_lacks = [name for name in theirs if NAMES.operations.get(name, name) not in mlx_has]
    torch_lacks = [name for name in ours - counterparts if NAMES.elsewhere.get(name, name) not in torch_has]
    return [
        Breadth("MLX", "operations", len(theirs), sorted(mlx_lacks)),
        Breadth("PyTorch", "operations", len(ours), sorted(torch_lacks)),
    ]


def architectures() -> list[Breadth]:
    """Types of transformers' causal language models that mlx-lm has, and mlx-lm's that transformers has."""
    modules = {module.name for module in pkgutil.iter_modules(mlx_lm.models.__path__)} - NAMES.no_models
    known = modules | {kind for kind, module in MODEL_REMAPPING.items() if module in modules}
    kinds = {kind.removesuffix("_text") for kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES}
    return [
        Breadth("MLX", "architectures", len(kinds), sorted(kinds - known)),
        Breadth("PyTorch", "architectures", len(modules), sorted(modules - set(CONFIG_MAPPING_NAMES))),
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


def _documented(module: ModuleType) -> set[str]:
    """Public functions of a module that have a docstring."""
    found = {name: getattr(module, name) for name in dir(module) if not name.startswith("_")}
    return {
        name
        for name, value in found.items()
        if callable(value) and not inspect.isclass(value) and getattr(value, "__doc__", None)
    }


def _is_no_operation(name: str) -> bool:
    """Whether a documented function is state, tooling, a view's copy, in place, or of a storage format."""
    return name in NAMES.no_operations or bool(_TOOLING.search(name))


_TOOLING = re.compile(
    r"_$|(?<!index)_copy$|^(get|set|is|sym|init|parse|import|export|unsafe|save|load)_|^(are|use)_deterministic|"
    r"sparse_|quantized_(batch_norm|max_pool)|fake_quantize|_kernel$|_memory$|_limit$|_cache$|_streams?$|^thread_"
)
