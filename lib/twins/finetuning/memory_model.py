"""How many bytes a step of fine-tuning needs in each framework, counted on its own graph without running it.

Weights, gradients, optimizer states, activations and logits are the tensors of a step; they are counted on
PyTorch's fake tensors and on MLX's lazy graph. Models of few blocks are counted, and more blocks add as
much each as the last of these. Not seen are what kernels allocate inside themselves, and what an allocator
keeps for later; both are in the measured peaks that the page compares this with.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache, partial

import numpy as np
import torch
import transformers

from twins.finetuning import adapters, base_model, live_mlx, live_torch
from twins.finetuning.adapters import Adapters
from twins.finetuning.base_model import Logits
from twins.finetuning.tuning import mlx_loss, torch_loss
from twins.frameworks import BOTH, MLX, TORCH, Mlx, Torch, release
from twins.machine import kernel_compiler
from twins.training import train
from twins.training.train import Half, Recipe

import mlx.core as mx  # isort: skip  (after twins.frameworks: the BLAS)
import mlx.nn as mnn  # isort: skip
from mlx_lm.models import llama  # isort: skip
import mlx.optimizers as mlx_optimizers  # isort: skip
from mlx.utils import tree_flatten, tree_unflatten  # isort: skip

BLOCKS = {MLX.key: (2, 3), TORCH.key: (1, 2)}  # of the models that are counted: fewest and most
SCALES = 4 / 64  # bytes of a scale and a bias in bfloat16, for each weight of a group of 64
TYPES = {"float32": 4, "bfloat16": 2}


@dataclass(frozen=True)
class Step:
    """One step to count: a Llama's configuration, what is trained, in which type, on how many tokens.

    `bits`: of the frozen linear layers of the blocks, for "qlora"; None for the others.
    """

    config: dict
    method: str
    dtype: str
    batch: int
    length: int
    checkpointed: bool = False
    bits: int | None = None
    rank: int = 8

    def blocks(self, count: int) -> "Step":
        """The same step of a model of so many blocks."""
        return replace(self, config=self.config | {"num_hidden_layers": count})


def parameters(config: dict) -> int:
    """How many weights a Llama of this configuration has; a tied head counts once."""
    d, kv = config["hidden_size"], config["num_key_value_heads"] * head(config)
    q, f = config["num_attention_heads"] * head(config), config["intermediate_size"]
    block = 2 * d * q + 2 * d * kv + 3 * d * f + 2 * d
    heads = config["vocab_size"] * d * (1 if config["tie_word_embeddings"] else 2)
    return config["num_hidden_layers"] * block + heads + d


def in_blocks(config: dict) -> int:
    """How many of these weights are those of the blocks' linear layers."""
    d, kv = config["hidden_size"], config["num_key_value_heads"] * head(config)
    q = config["num_attention_heads"] * head(config)
    return config["num_hidden_layers"] * (2 * d * q + 2 * d * kv + 3 * d * config["intermediate_size"])


def head(config: dict) -> int:
    """The width of an attention head."""
    return config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]


def needed(step: Step, framework: Mlx | Torch, apple: bool = False) -> int:
    """Bytes at the peak of a step on a CPU, or on an Apple GPU.

    There PyTorch's attention has no fused gradient, and MLX hands over more at once.
    """
    whole = step if step.bits is None else replace(step, method="lora", bits=None)
    return _counted(json.dumps(asdict(whole), sort_keys=True), framework.key, apple) - _saved(step)


@cache
def _counted(known: str, key: str, apple: bool) -> int:
    """Bytes at the peak of a step whose weights are all of its type."""
    step = Step(**json.loads(known))
    blocks, (few, more) = step.config["num_hidden_layers"], BLOCKS[key]
    if key == MLX.key:
        count: Callable[[Step], int] = partial(_mlx, task=live_mlx.METAL if apple else live_mlx.CPU)
    else:
        count = partial(_torch, fused=not apple)
    if blocks <= more:
        return count(step)
    least, most = (count(step.blocks(each)) for each in (few, more))
    return most + (blocks - more) * (most - least)


def _saved(step: Step) -> int:
    """Bytes that frozen linear layers save in few bits, less one layer that is widened while it is used."""
    if step.bits is None:
        return 0
    whole, packed = TYPES[step.dtype], step.bits / 8 + SCALES
    widest = step.config["hidden_size"] * step.config["intermediate_size"] * whole
    return int(in_blocks(step.config) * (whole - packed)) - widest


def _adapters(step: Step) -> Adapters:
    return Adapters(rank=step.rank, alpha=2.0 * step.rank, places=adapters.PLACES)


def _example(step: Step) -> tuple[np.ndarray, np.ndarray]:
    ids = np.zeros((step.batch, step.length), np.int32)
    return ids, ids


def torch_model(step: Step, device: str) -> torch.nn.Module:
    """PyTorch's model on a device; on "meta" it holds no numbers."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(TORCH.dtype(step.dtype))
    try:
        config = transformers.LlamaConfig.from_dict(step.config | {"attn_implementation": "sdpa"})
        with torch.device("meta" if device == "meta" else "cpu"):
            model: torch.nn.Module = transformers.LlamaForCausalLM(config)
            if step.checkpointed:
                base_model.checkpoint_torch(model)
            if step.method != "full":
                model = adapters.adapt_torch(model, _adapters(step), 0)
    finally:
        torch.set_default_dtype(before)
    return Logits(model).to(device).train()


def torch_half(step: Step, model: torch.nn.Module | None = None) -> Half:
    """PyTorch's half, with a model of its own unless one is given."""
    model = model or torch_model(step, TORCH.device)
    optimizer = train.torch_optimizer(Recipe(), model)
    return Half(TORCH, model, torch_loss, optimizer, 1.0, dtype=step.dtype)


def mlx_half(step: Step) -> Half:
    """MLX's half with weights that are not computed yet."""
    sizes = {name: value for name, value in step.config.items() if name != "torch_dtype"}
    model = llama.Model(llama.ModelArgs.from_dict(sizes))
    if step.method != "full":
        adapters.adapt_mlx(model, _adapters(step))
    model.set_dtype(MLX.dtype(step.dtype))
    if step.checkpointed:
        base_model.checkpoint_mlx(model)
    model.train()
    return Half(MLX, model, mlx_loss, train.mlx_optimizer(Recipe()), 1.0, dtype=step.dtype)


def _torch(step: Step, fused: bool) -> int:
    model = torch_model(step, "meta")

    def make() -> Callable[[], object]:
        half = torch_half(step, live_torch.faked(model))
        live_torch.with_state(half.optimizer)
        take = train.step(half)
        batch = [torch.zeros(array.shape, dtype=torch.int64) for array in _example(step)]
        return lambda: take(*batch)

    return live_torch.peak(make, fused)


def _mlx(step: Step, task: live_mlx.Task) -> int:
    half = mlx_half(replace(step, checkpointed=False))
    model, optimizer = half.model, half.optimizer
    optimizer.init(model.trainable_parameters())
    held = tree_flatten([model.parameters(), optimizer.state])
    names, arrays = [name for name, _ in held], [array for _, array in held]
    trained = {f"0.{name}" for name, _ in tree_flatten(model.trainable_parameters())}
    kept = {place for place, name in enumerate(names) if name.startswith("0.") and name not in trained}
    gradients_of = _recomputing if step.checkpointed else mnn.value_and_grad(model, half.loss)

    def update(*values):
        found = tree_unflatten(list(zip(names, values[: len(names)], strict=True)))
        model.update(found[0])
        optimizer.state = found[1]
        loss, gradients = gradients_of(model, *values[len(names) :])
        gradients, _ = mlx_optimizers.clip_grad_norm(gradients, half.clip)
        optimizer.update(model, gradients)
        moved = [x for _, x in tree_flatten([model.trainable_parameters(), optimizer.state])]
        return [loss, *moved]

    batch = [mx.zeros(a.shape, dtype=mx.int32) for a in _example(step)]
    return live_mlx.peak(live_mlx.graph(update, [*arrays, *batch]), kept, task)


def _recomputing(model: llama.Model, ids: mx.array, targets: mx.array) -> tuple[mx.array, dict]:
    """Loss and gradients as mx.checkpoint of every block gives them, in operations that a graph can show.

    A block's backward computes it again from its input, which waits for the block's output alone
    (mx.depends), as in mlx/transforms.cpp; mx.checkpoint itself cannot be exported.
    """
    before, tied = model.trainable_parameters(), model.args.tie_word_embeddings
    hidden = [model.model.embed_tokens(ids)]
    mask = "causal" if ids.shape[1] > 1 else None
    for layer in model.layers:
        hidden.append(layer(hidden[-1], mask))
    flat = tree_flatten(before)
    ends = [(n, w) for n, w in flat if ".layers." not in n and (tied or "embed_tokens" not in n)]

    def last(x: mx.array, *weights: mx.array) -> list[mx.array]:
        model.update(tree_unflatten([(n, w) for (n, _), w in zip(ends, weights, strict=True)]))
        return [mlx_loss(lambda _: _head(model, x), ids, targets)]

    (loss,), (flowing, *moved) = mx.vjp(last, [hidden[-1], *(w for _, w in ends)], [mx.array(1.0)])
    found = {name: gradient for (name, _), gradient in zip(ends, moved, strict=True)}
    for place in reversed(range(len(model.layers))):
        layer, own = model.layers[place], tree_flatten(model.layers[place].trainable_parameters())
        values = mx.depends([hidden[place], *(value for _, value in own)], [hidden[place + 1]])

        def block(x, *weights, layer=layer, own=own):
            layer.update(tree_unflatten([(n, w) for (n, _), w in zip(own, weights, strict=True)]))
            return [layer(x, mask)]

        _, (flowing, *moved) = mx.vjp(block, values, [flowing])
        found |= {f"model.layers.{place}.{n}": g for (n, _), g in zip(own, moved, strict=True)}
    name = "model.embed_tokens.weight"
    if name in dict(flat):
        table = dict(flat)[name]
        _, (more,) = mx.vjp(lambda w: [w[ids]], [table], [flowing])
        found[name] = found[name] + more if name in found else more
    model.update(before)
    return loss, tree_unflatten(list(found.items()))


def _head(model: llama.Model, x: mx.array) -> mx.array:
    """Logits from the last block's output."""
    x = model.model.norm(x)
    return model.model.embed_tokens.as_linear(x) if model.args.tie_word_embeddings else model.lm_head(x)


def case(step: Step) -> dict:
    """What records say of a step, without the sizes of its model."""
    return {name: value for name, value in asdict(step).items() if name != "config"}


def counted(points: list[dict], framework: str, apple: bool) -> list[int]:
    """The work of a process: what `needed` says of each step."""
    return [needed(Step(**point), _named(framework), apple) for point in points]


@kernel_compiler.faster()
def measured(points: list[dict], framework: str) -> list[dict]:
    """The work of a process: the peak of each step by the framework's own allocator, and what was read.

    PyTorch counts no peak on a CPU; there the events of its profiler are summed.
    """
    return [_measured(Step(**point), _named(framework)) for point in points]


def _named(framework: str) -> Mlx | Torch:
    return next(one for one in BOTH if one.name == framework)


def _measured(step: Step, one: Mlx | Torch, steps: int = 2) -> dict:
    half = (mlx_half if one is MLX else torch_half)(step)
    if one is MLX:
        mx.eval(half.model.parameters())
    release()
    one.reset_peak_memory()
    take, batch = train.step(half), half.batch(_example(step))

    def work() -> None:
        for _ in range(steps):
            take(*batch)
            one.synchronize()

    if one is TORCH and one.device == "cpu":
        held = sum(tensor.nbytes for tensor in half.model.state_dict().values())
        return {"bytes": held + live_torch.profiled(work), "source": "the events of torch's profiler, summed"}
    work()
    return {"bytes": one.peak_memory(), "source": one.memory_source()}
