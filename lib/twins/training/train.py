"""Training steps in MLX and PyTorch side by side, each as its own documentation writes it.

https://ml-explore.github.io/mlx/build/html/usage/compile.html and
https://docs.pytorch.org/tutorials/beginner/introyt/trainingyt.html; every optimizer argument is
written on both sides, because the defaults differ (MLX's AdamW has no bias correction by default).
"""

import importlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from twins.frameworks import MLX, TORCH, Mlx, Torch
from twins.models import name_map, user_model, weights
from twins.models.name_map import Names
from twins.training import accumulation

import mlx.core as mx  # isort: skip  (after frameworks: the BLAS)
import mlx.nn as mnn  # isort: skip
import mlx.optimizers as mlx_optimizers  # isort: skip
import torch  # isort: skip
import torch._dynamo  # isort: skip  (what a first optimizer imports, once for all copies of a process)
from mlx.utils import tree_flatten, tree_map  # isort: skip


@dataclass(frozen=True)
class Recipe:
    """Arithmetic of the optimizer: AdamW (Loshchilov and Hutter 2019) after clipping by global norm."""

    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.1
    clip: float | None = 1.0


@dataclass
class Half:
    """One half of a twin, ready to train: its model, its loss(model, *batch) and its optimizer.

    `layout` turns a batch of NumPy arrays into this half's own layout (NCHW, where images come as NHWC);
    floating-point arrays become `dtype`, the model's. `names` maps torch's names to MLX's where they differ.
    `schedule` is stepped after every step of torch's optimizer (MLX's schedules are its learning rates).
    `accumulate`: a batch is split into that many equal parts, whose gradients are averaged for one update.
    `average` is called before clipping: processes that share a batch average the loss, in MLX also gradients.
    """

    framework: Mlx | Torch
    model: Any  # an mlx.nn.Module or a torch.nn.Module, as its framework says
    loss: Callable
    optimizer: mlx_optimizers.Optimizer | torch.optim.Optimizer
    clip: float | None
    layout: Callable | None = None
    dtype: str = "float32"
    names: Names = field(default_factory=dict)
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None
    accumulate: int = 1
    average: Callable = lambda *shared: shared

    def arranged(self, arrays: Iterable[np.ndarray]) -> tuple[np.ndarray, ...]:
        """The batch in this half's layout, still NumPy."""
        return self.layout(*arrays) if self.layout else tuple(arrays)

    def hand_over(self, arrays: Iterable[np.ndarray]) -> list:
        """Arranged NumPy arrays as this framework's, on its device."""
        return [self.framework.array(a, self.dtype if a.dtype.kind == "f" else None) for a in arrays]

    def batch(self, arrays: Iterable[np.ndarray]) -> list:
        """NumPy arrays as this framework's, in this half's layout and on its device."""
        return self.hand_over(self.arranged(arrays))


def mlx_optimizer(r: Recipe) -> mlx_optimizers.Optimizer:
    """AdamW in MLX, every argument written."""
    return mlx_optimizers.AdamW(
        learning_rate=r.learning_rate,
        betas=[r.beta1, r.beta2],
        eps=r.eps,
        weight_decay=r.weight_decay,
        bias_correction=True,
    )


def torch_optimizer(r: Recipe, model: torch.nn.Module) -> torch.optim.Optimizer:
    """AdamW in torch, every argument written; fused exists for CPU, CUDA and MPS."""
    return torch.optim.AdamW(
        model.parameters(),
        lr=r.learning_rate,
        betas=(r.beta1, r.beta2),
        eps=r.eps,
        weight_decay=r.weight_decay,
        amsgrad=False,
        maximize=False,
        fused=True,
    )


def mlx_step(half: Half, compiled: bool = False) -> Callable:
    """A training step in MLX: batch arrays -> loss, evaluated with the new state."""
    model, optimizer = half.model, half.optimizer
    loss_and_gradients = accumulation.mlx_loss_and_gradients(model, half.loss, half.accumulate, compiled)
    state = [model.state, optimizer.state, mx.random.state]

    def update(*batch):
        loss, gradients = half.average(*loss_and_gradients(*batch))
        if half.clip is not None:
            gradients, _ = mlx_optimizers.clip_grad_norm(gradients, half.clip)
        optimizer.update(model, gradients)
        return loss

    if compiled:
        update = MLX.compile(update, state)

    def step(*batch):
        loss = update(*batch)
        mx.eval(loss, state)
        return loss

    return step


def torch_step(half: Half, compiled: bool = False) -> Callable:
    """A training step in torch: batch tensors -> loss."""
    model, optimizer = half.model, half.optimizer
    loss_of = TORCH.compile(half.loss) if compiled else half.loss
    backward = accumulation.torch_backward(model, loss_of, half.accumulate)

    def step(*batch):
        optimizer.zero_grad(set_to_none=True)
        (loss,) = half.average(backward(*batch))
        if half.clip is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), half.clip)
        optimizer.step()
        if half.schedule is not None:
            half.schedule.step()
        return loss

    return step


def step(half: Half, compiled: bool = False) -> Callable:
    """The framework's training step for this half."""
    return {"mlx": mlx_step, "torch": torch_step}[half.framework.key](half, compiled)


def mlx_gradients(half: Half, *batch) -> tuple[object, dict]:
    """Loss and gradients by name, evaluated."""
    loss, gradients = accumulation.mlx_loss_and_gradients(half.model, half.loss, half.accumulate)(*batch)
    MLX.evaluate(loss, gradients)
    return loss, dict(tree_flatten(gradients))


def torch_gradients(half: Half, *batch) -> tuple[object, dict]:
    """Loss and gradients by name; a parameter the loss does not reach is left out."""
    half.model.zero_grad(set_to_none=True)
    loss = accumulation.torch_backward(half.model, half.loss, half.accumulate)(*batch)
    found = {name: p.grad for name, p in half.model.named_parameters() if p.grad is not None}
    return loss, found


def gradients(half: Half, *batch) -> tuple[object, dict]:
    """The framework's loss and gradients by name, without an update."""
    return {"mlx": mlx_gradients, "torch": torch_gradients}[half.framework.key](half, *batch)


def mlx_update(half: Half, *batch) -> Callable:
    """The optimizer alone in MLX: clip and update from gradients made once."""
    _, held = accumulation.mlx_loss_and_gradients(half.model, half.loss, half.accumulate)(*batch)
    MLX.evaluate(held)

    def update():
        found = held if half.clip is None else mlx_optimizers.clip_grad_norm(held, half.clip)[0]
        half.optimizer.update(half.model, found)
        mx.eval(half.model.state, half.optimizer.state)

    return update


def torch_update(half: Half, *batch) -> Callable:
    """The optimizer alone in torch: clip and update from gradients made once."""
    torch_gradients(half, *batch)

    def update():
        if half.clip is not None:
            torch.nn.utils.clip_grad_norm_(half.model.parameters(), half.clip)
        half.optimizer.step()
        if half.schedule is not None:
            half.schedule.step()

    return update


def set_dtype(model: mnn.Module | torch.nn.Module, dtype: str) -> None:
    """Cast every floating-point parameter and buffer of either half."""
    if isinstance(model, mnn.Module):
        model.set_dtype(MLX.dtype(dtype))
    else:
        model.to(TORCH.dtype(dtype))


def half(model: ModuleType, config, recipe: Recipe, framework: Mlx | Torch) -> Half:
    """One half of a twin from a file of twins.models, with weights of its own."""
    mlx_class, torch_class = model.HALVES
    clip = getattr(model, "CLIP", recipe.clip)
    own: Any = {"names": getattr(model, "NAMES", {}), "accumulate": getattr(model, "ACCUMULATE", 1)}
    if framework is MLX:
        optimizer = getattr(model, "mlx_optimizer", mlx_optimizer)(recipe)
        layout = getattr(model, "mlx_layout", None)
        made = mlx_class(config)
        return Half(MLX, made, model.mlx_loss, optimizer, clip, layout, **own)
    made, layout = torch_class(config).to(TORCH.device), getattr(model, "torch_layout", None)
    optimizer = getattr(model, "torch_optimizer", torch_optimizer)(recipe, made)
    schedule = model.torch_schedule(recipe, optimizer) if hasattr(model, "torch_schedule") else None
    return Half(TORCH, made, model.torch_loss, optimizer, clip, layout, schedule=schedule, **own)


def halves(
    model: ModuleType, config, recipe: Recipe, seed: int = 0, dtype: str = "float32"
) -> tuple[Half, Half]:
    """Both halves of a twin from a file of twins.models, with equal weights; MLX first.

    The weights are drawn once, by torch from `seed`, and copied through weights.py.
    """
    TORCH.seed(seed)
    ours, theirs = (half(model, config, recipe, each) for each in (MLX, TORCH))
    set_dtype(ours.model, "float32")  # a half made in a lower type would round the weights copied into it
    weights.copy_to_mlx(theirs.model, ours.model, ours.names)
    names = name_map.completed(ours.names, ours.model, theirs.model)
    for each in (ours, theirs):
        each.names = names
        set_dtype(each.model, dtype)
        each.dtype = dtype
        each.model.train()
    if dtype == "float64":  # 1 - beta^t from a step counted in float32 is 8e-6 off; torch's is Python's float
        ours.optimizer.state = tree_map(lambda x: x.astype(mx.float64), ours.optimizer.state)
    return ours, theirs


def named(model: str) -> Any:
    """The file of twins.models with this name, or a file of the reader's own when the name ends with .py.

    Errors: ValueError naming the models there are.
    """
    if model.endswith(".py") and Path(model).is_file():
        return user_model.load(Path(model))
    folder = importlib.resources.files("twins.models")
    known = sorted(
        file.name[:-3] for file in folder.iterdir() if file.name[:1].isalpha() and file.name.endswith(".py")
    )
    if model not in known:
        raise ValueError(
            f"no model named {model!r} in twins.models; there are {', '.join(known)}, "
            "or the path of a .py file of your own"
        )
    return importlib.import_module(f"twins.models.{model}")


def fit(half: Half, batches: Iterable, compiled: bool = False) -> list[float]:
    """Train on batches (tuples of NumPy arrays, one per step); the loss before every update, in order."""
    take = step(half, compiled)
    losses = [take(*half.batch(arrays)) for arrays in batches]
    return [float(half.framework.numpy(loss)) for loss in losses]


def evaluate(half: Half, batches: Sequence) -> float:
    """Mean loss over the examples of batches in evaluation mode, without gradients."""
    half.model.eval()
    with torch.no_grad():
        values = [half.framework.numpy(half.loss(half.model, *half.batch(arrays))) for arrays in batches]
    half.model.train()
    return float(np.average(values, weights=[len(arrays[-1]) for arrays in batches]))


def right(half: Half, batches: Sequence) -> int:
    """How many examples of batches have their largest logit at their label, the last array of a batch."""
    half.model.eval()
    with torch.no_grad():
        found = [half.framework.numpy(half.model(*half.batch(arrays)[:-1])) for arrays in batches]
    half.model.train()
    return sum(
        int((logits.argmax(axis=1) == arrays[-1]).sum())
        for logits, arrays in zip(found, batches, strict=True)
    )


def parts(half: Half, batch: list) -> dict[str, Callable]:
    """The parts of a step, each callable alone; on a GPU torch's are queued: synchronize after."""
    update = {"mlx": mlx_update, "torch": torch_update}[half.framework.key](half, *batch)
    split = accumulation.split(batch, half.accumulate)
    return {
        "forward": lambda: [half.framework.evaluate(half.loss(half.model, *part)) for part in split],
        "forward and backward": partial(gradients, half, *batch),
        "optimizer": update,
    }
