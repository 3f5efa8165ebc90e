"""A twin from a reader's own file, which needs less than the files of twins.models.

The file defines `mlx_model()` and `torch_model()`, each of which makes its module; `batch(rng, size)`, NumPy
arrays, the target last; `mlx_loss(model, *batch)` and `torch_loss(model, *batch)`. It may define `NAMES`,
from PyTorch's names of weights or modules to MLX's where they differ (name_map.py); `mlx_layout(*batch)` and
`torch_layout(*batch)`, which arrange the arrays for a half; `mlx_optimizer(recipe)` and
`torch_optimizer(recipe, model)`, which take the place of AdamW; `torch_schedule(recipe, optimizer)`, an
LRScheduler that is stepped after every update (MLX's schedules are callables given as learning rates);
`ACCUMULATE`, the number of equal parts of a batch whose gradients are averaged for one update; `CLIP`, the
global norm at which gradients are clipped, or None.
"""

import functools
import importlib.util
import os
import sys
import sysconfig
import traceback
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from twins.frameworks import TORCH, told
from twins.models import name_map, reader_code

import mlx.core as mx  # isort: skip  (after frameworks: the BLAS)
import mlx.nn as mnn  # isort: skip
import mlx.optimizers as mlx_optimizers  # isort: skip
import torch  # isort: skip

NEEDED = ("mlx_model", "torch_model", "batch", "mlx_loss", "torch_loss")
OPTIONAL = ("mlx_layout", "torch_layout", "mlx_optimizer", "torch_optimizer", "torch_schedule")
KINDS = {  # what a maker must make
    "mlx_model": (mnn.Module, "an mlx.nn.Module"),
    "torch_model": (torch.nn.Module, "a torch.nn.Module"),
    "mlx_optimizer": (mlx_optimizers.Optimizer, "an mlx.optimizers.Optimizer"),
    "torch_optimizer": (torch.optim.Optimizer, "a torch.optim.Optimizer"),
    "torch_schedule": (torch.optim.lr_scheduler.LRScheduler, "a torch.optim.lr_scheduler.LRScheduler"),
}
INSTALLED = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
LIBRARIES = tuple({*INSTALLED, *map(os.path.realpath, INSTALLED), str(Path(__file__).parents[2])})
FAULTS = (  # what code that is not ours raises when it is wrong; Python's other errors are no one's mistake
    *(ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError),
    *(OSError, RuntimeError, SyntaxError, TypeError, ValueError),
)


@dataclass(frozen=True)
class Config:
    """No sizes: the file fixes them."""


def load(path: Path) -> SimpleNamespace:
    """What a file of twins.models has, out of a reader's file; read again when the file changed.

    Errors: ValueError, one sentence, when it cannot be imported or lacks something.
    """
    path = path.resolve()
    return _load(path, path.stat().st_mtime_ns)


@functools.cache
def _load(path: Path, _changed: int) -> SimpleNamespace:
    found = _imported(path)
    missing = [name for name in NEEDED if not callable(getattr(found, name, None))]
    if missing:
        raise ValueError(
            f"{path.name} defines no function {', '.join(missing)}; a model file defines {', '.join(NEEDED)}"
        )
    call = {name: partial(_called, path, found, name) for name in OPTIONAL if hasattr(found, name)}
    return SimpleNamespace(
        Config=Config,
        HALVES=tuple(lambda config, n=name: _called(path, found, n) for name in ("mlx_model", "torch_model")),
        NAMES=name_map.check_form(getattr(found, "NAMES", {}), f"{path.name}: NAMES"),
        mlx_loss=found.mlx_loss,
        torch_loss=found.torch_loss,
        example=lambda config, rng, batch=2: _batch(path, _called(path, found, "batch", rng, batch), batch),
        memory=lambda config, batch: _memory(path, found, batch),
        ACCUMULATE=_accumulate(path, getattr(found, "ACCUMULATE", 1)),
        **call,
        **({"CLIP": _clip(path, found.CLIP)} if hasattr(found, "CLIP") else {}),
    )


def _imported(path: Path) -> ModuleType:
    """The module of a file, which may import other files of its folder."""
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # the last: a file of that folder takes no library's name
    spec = importlib.util.spec_from_file_location(f"own_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path.name} cannot be imported: it is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where inspect and dataclasses look a class's file up
    try:
        with reader_code.limited(f"{path.name}: its import"):
            spec.loader.exec_module(module)
    except reader_code.RefusedError:
        raise
    except FAULTS as error:
        raise ValueError(f"{path.name} cannot be imported: {one_line(error)}") from error
    return module


def one_line(error: BaseException) -> str:
    """An error in one line: its type and the first line of its message."""
    first, kind = told(error), type(error).__name__
    return kind if first == kind else f"{kind}: {first}"


def is_own(file: str | None) -> bool:
    """Whether a source file is the reader's: neither of Python, nor of an installed package, nor of twins."""
    return file is not None and not file.startswith(("<", *LIBRARIES))


def own_line(error: BaseException) -> str:
    """The last line of the reader's files that an error went through; empty when none is known."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_own(frame.filename)]
    return f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""


def placed(error: BaseException) -> str:
    """An error in one line, after the line of the reader's files that it went through last."""
    return ": ".join(filter(None, [own_line(error), one_line(error)]))


def _called(path: Path, found: ModuleType, name: str, *arguments: object) -> object:
    """What one of the file's functions makes. Errors: ValueError, TypeError, one sentence that names it."""
    try:
        with reader_code.limited(f"{path.name}: {name}()"):
            made = getattr(found, name)(*arguments)
    except reader_code.RefusedError:
        raise
    except FAULTS as error:
        raise ValueError(f"{path.name}: {name}() fails with {one_line(error)}") from error
    kind, wanted = KINDS.get(name, (object, ""))
    if not isinstance(made, kind):
        module = f"{type(made).__module__.split('.')[0]}'s {type(made).__name__}"
        raise TypeError(f"{path.name}: {name}() gives {module}; it must give {wanted}")
    if name == "torch_schedule":
        _check_schedule(path, made, arguments[-1])
    if isinstance(made, torch.optim.LBFGS):
        raise ValueError(
            f"{path.name}: torch_optimizer() gives an LBFGS, which computes the loss several times a step; a "
            "step here computes it once"
        )
    if name == "mlx_optimizer":
        _check_rates(path, made)
    return made


def _check_rates(path: Path, optimizer: Any) -> None:
    """Refuse a schedule that gives no array, which MLX's optimizers cannot use. Errors: ValueError."""
    for each in getattr(optimizer, "optimizers", ()):
        _check_rates(path, each)
    rate = optimizer.state.get("learning_rate", mx.array(0.0))
    if not isinstance(rate, mx.array):
        raise ValueError(
            f"{path.name}: the learning-rate schedule of mlx_optimizer() gives a {type(rate).__name__}; "
            "it must give an mx.array, computed from the step that it is called with"
        )


def _check_schedule(path: Path, schedule: Any, optimizer: object) -> None:
    """Refuse a schedule that cannot be stepped alone, or that is of another optimizer. Errors: ValueError."""
    if isinstance(schedule, torch.optim.lr_scheduler.ReduceLROnPlateau):
        raise ValueError(
            f"{path.name}: torch_schedule() gives a ReduceLROnPlateau, which follows a metric; it must give "
            "a schedule of the step alone"
        )
    if getattr(schedule, "optimizer", None) is not optimizer:
        raise ValueError(
            f"{path.name}: torch_schedule() gives a schedule of another optimizer; it must give one of the "
            "optimizer that it is called with"
        )


def _accumulate(path: Path, count: object) -> int:
    """The file's number of parts of a batch, checked. Errors: ValueError."""
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ValueError(f"{path.name}: ACCUMULATE is {count!r}; it must be an integer of at least 1")
    return count


def _clip(path: Path, norm: object) -> float | None:
    """The file's norm to clip gradients at, checked. Errors: ValueError."""
    if norm is not None and (isinstance(norm, bool) or not isinstance(norm, int | float) or not norm > 0):
        raise ValueError(f"{path.name}: CLIP is {norm!r}; it must be None or a number above 0")
    return norm


def _batch(path: Path, arrays: Any, size: int) -> tuple[np.ndarray, ...]:
    """The file's batch, checked to be arrays of at least one input and a target, of as many examples."""
    whole = isinstance(arrays, tuple) and len(arrays) > 1
    if not whole or not all(isinstance(array, np.ndarray) for array in arrays):
        kinds = [type(a).__name__ for a in arrays] if isinstance(arrays, tuple) else type(arrays).__name__
        raise TypeError(
            f"{path.name}: batch() gives {kinds}; it must give a tuple of NumPy arrays, the target last"
        )
    if not any(array.shape[:1] == (size,) for array in arrays):
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise ValueError(
            f"{path.name}: batch(rng, {size}) gives arrays of shapes {shapes}; {size} examples are asked for"
        )
    return arrays


def _memory(path: Path, found: ModuleType, batch: int) -> int:
    """Bytes one training step is estimated to hold: weights, gradients, two moments, and twice what is kept.

    What is kept for the backward pass, which makes gradients of the same size, is measured in PyTorch on two
    examples and taken to grow with the batch.
    """
    model, arrays = found.torch_model().to(TORCH.device), found.batch(np.random.default_rng(0), 2)
    arranged = found.torch_layout(*arrays) if hasattr(found, "torch_layout") else arrays
    own = {parameter.data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with reader_code.limited(f"{path.name}: torch_loss()"), hooks:
        loss = found.torch_loss(model, *[TORCH.array(array) for array in arranged])
    del loss
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return 16 * parameters + batch * sum(kept.values())  # twice, over two examples
