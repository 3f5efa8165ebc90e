"""The table of networks: how each is built, its inputs, and how coremltools converts it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import coremltools as ct
import numpy as np
import torch
from coremltools.optimize import coreml as optimize
from torch import nn

from coreml_runtime import load
from twins.export.networks import sequence, vision
from twins.export.networks.sequence import LENGTH, VOCABULARY

SEED = 0


@dataclass(frozen=True)
class Network:
    """One network: `build` makes it, `inputs` its inputs by name."""

    name: str
    build: Callable[[], nn.Module]
    inputs: Callable[[np.random.Generator], dict[str, np.ndarray]]


def images(size: int) -> Callable:
    """One RGB image of size x size."""
    return lambda rng: {"image": rng.standard_normal((1, 3, size, size)).astype(np.float32)}


def token_ids(rng: np.random.Generator) -> np.ndarray:
    """Random ids (1, LENGTH)."""
    return rng.integers(0, VOCABULARY, (1, LENGTH)).astype(np.int32)


def causal(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Ids, an additive causal mask that fp16 can hold, positions."""
    mask = np.triu(np.full((LENGTH, LENGTH), -1e4, np.float32), 1)[None, None]
    return {"ids": token_ids(rng), "mask": mask, "positions": np.arange(LENGTH, dtype=np.int32)[None]}


def padded(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Ids and an additive mask that hides the last quarter of them."""
    mask = np.zeros((1, 1, LENGTH, LENGTH), np.float32)
    mask[..., 3 * LENGTH // 4 :] = -1e4
    return {"ids": token_ids(rng), "mask": mask}


NETWORKS = (
    Network("mobilenet", vision.mobilenet, images(128)),
    Network("resnet", vision.resnet, images(128)),
    Network("efficientnet", vision.efficientnet, images(128)),
    Network("convnext", vision.convnext, images(128)),
    Network("unet", vision.UNet, images(96)),
    Network("vit", sequence.vit, images(64)),
    Network("bert", sequence.bert, padded),
    Network("gpt2", sequence.gpt2, causal),
    Network("llama", sequence.llama, causal),
    Network(
        "whisper-encoder",
        sequence.whisper_encoder,
        lambda rng: {"mel": rng.standard_normal((1, 80, 200)).astype(np.float32)},
    ),
    Network("lstm", sequence.LstmTagger, lambda rng: {"ids": token_ids(rng)}),
)


def made(network: Network) -> tuple[nn.Module, dict[str, np.ndarray]]:
    """The network with its random weights in evaluation mode, and its inputs; the same each time.

    The statistics of batch norms are those of one pass over the inputs: with the initial ones a deep
    network's values would shrink to nothing.
    """
    torch.manual_seed(SEED)
    module, inputs = network.build(), network.inputs(np.random.default_rng(SEED))
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        module.train()(*map(torch.from_numpy, inputs.values()))
    return module.eval(), inputs


def convert(
    module: nn.Module, inputs: dict[str, np.ndarray], precision: str, target=ct.target.iOS17, **options
):
    """The Core ML model of a traced module in fp32 or fp16; inputs and outputs stay float32 or int32."""
    traced = torch.jit.trace(module, tuple(map(torch.from_numpy, inputs.values())), check_trace=False)
    declared = [ct.TensorType(name=name, shape=x.shape, dtype=x.dtype.type) for name, x in inputs.items()]
    return ct.convert(
        traced,
        inputs=declared,
        outputs=[ct.TensorType(name="output", dtype=np.float32)],
        minimum_deployment_target=target,
        compute_precision=getattr(ct.precision, {"fp32": "FLOAT32", "fp16": "FLOAT16"}[precision]),
        **options,
    )


def decoder_steps(count: int) -> list[dict[str, np.ndarray]]:
    """Calls of the cached decoder in order: an id, its place in the cache, the slots that may be read."""
    rng, slots, steps = np.random.default_rng(SEED), 32, []
    for i in range(count):
        place = np.eye(slots, dtype=np.float32)[i]
        mask = np.where(np.arange(slots) <= i, 0, -1e4).astype(np.float32).reshape(1, 1, 1, slots)
        ids = rng.integers(0, VOCABULARY, (1, 1)).astype(np.int32)
        steps.append({"ids": ids, "place": place, "mask": mask})
    return steps


def convert_decoder() -> tuple[nn.Module, ct.models.MLModel]:
    """The cached decoder with its buffers as states, which Core ML has since iOS18 and in fp16 only."""
    torch.manual_seed(SEED)
    module = sequence.CachedDecoder().eval()
    shape = tuple(module.keys.shape)
    states = [
        ct.StateType(ct.TensorType(shape=shape, dtype=np.float16), name=name) for name in ("keys", "values")
    ]
    model = convert(module, decoder_steps(1)[0], "fp16", ct.target.iOS18, states=states)
    for name in ("keys", "values"):  # tracing has written into them
        setattr(module, name, torch.zeros_like(getattr(module, name)))
    return module, model


METHODS = {
    optimize.OpLinearQuantizerConfig: optimize.linear_quantize_weights,
    optimize.OpPalettizerConfig: optimize.palettize_weights,
    optimize.OpMagnitudePrunerConfig: optimize.prune_weights,
}


def compressor(*settings) -> Callable:
    """What compresses a model by one setting, or by several in turn on the same weights."""

    def compress(model):
        for place, setting in enumerate(settings):
            config = optimize.OptimizationConfig(global_config=setting)
            options = {"joint_compression": True} if place else {}
            model = METHODS[type(setting)](model, config, **options)
        return model

    return compress


INT8, SPARSE = optimize.OpLinearQuantizerConfig(), optimize.OpMagnitudePrunerConfig(target_sparsity=0.5)
INT4 = optimize.OpLinearQuantizerConfig(dtype="int4", granularity="per_block", block_size=32)
PALETTE = {"mode": "uniform", "nbits": 4}
GROUPS = {"granularity": "per_grouped_channel", "group_size": 16}
COMPRESSED = {
    "int8": (ct.target.iOS17, compressor(INT8)),
    "int4": (ct.target.iOS18, compressor(INT4)),
    "palettized": (ct.target.iOS17, compressor(optimize.OpPalettizerConfig(**PALETTE))),
    "grouped-palettized": (ct.target.iOS18, compressor(optimize.OpPalettizerConfig(**PALETTE, **GROUPS))),
    "sparse": (ct.target.iOS17, compressor(SPARSE)),
    "sparse-int8": (ct.target.iOS18, compressor(SPARSE, INT8)),
    "sparse-palettized": (ct.target.iOS18, compressor(SPARSE, optimize.OpPalettizerConfig(**PALETTE))),
}


def save(model, path: Path) -> Path:
    """Save a converted model and return where."""
    model.save(str(path))
    return path


def as_torch(package: Path) -> Callable[..., torch.Tensor]:
    """A saved package as a torch function of its inputs in order, computed by the reference runtime."""
    model = load(package)
    return lambda *tensors: torch.from_numpy(
        model.predict(dict(zip(model.inputs, tensors, strict=True)))["output"]
    )
