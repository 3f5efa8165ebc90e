"""The methods that compress a model: coremltools' work on the package, MLX's on the module.

Each takes a Bench, the trained model with its uncompressed package, and gives a Core ML model.
https://apple.github.io/coremltools/docs-guides/source/opt-overview-examples.html and
https://ml-explore.github.io/mlx/build/html/python/nn/_autosummary/mlx.nn.quantize.html
"""

import copy
import functools
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr
from functools import cached_property
from pathlib import Path
from unittest import mock

import coremltools as ct
import coremltools.optimize.coreml as cto
import numpy as np
import tqdm
from coremltools.optimize.coreml.experimental import _model_debugger, linear_quantize_activations
from coremltools.optimize.coreml.experimental import _post_training_quantization as calibration

from coreml_runtime import Model, load
from mlx_coreml.conversion.check import mlx_on_cpu
from mlx_coreml.conversion.convert import convert
from twins.export.trained_models import Arrays, Trained
from twins.frameworks import MLX

import mlx.nn as mnn  # isort: skip  (after frameworks: the BLAS)

TARGET = "iOS18"  # blocks, groups and four bits need it
SAMPLES = 16  # held-out inputs, without labels, from which the ranges of activations are learnt
# A setting for all constants takes causal masks as well: with -inf in them, every output is not a number.
WEIGHED = ("linear", "conv", "matmul", "gather")
SMALLEST = 2048  # weights of a tensor that is worth compressing, coremltools' own limit
READ_WHOLE = "positions"  # an embedding whose table is added as it is, so that it must stay an array


class Bench:
    """A trained model with its uncompressed package, and a folder for the compressed ones."""

    def __init__(self, model: Trained, folder: Path):
        self.model, self.folder = model, folder
        self.example = tuple(map(MLX.array, model.example))
        self._made: dict[str, Path] = {}

    def converted(self, module: mnn.Module, precision: str = "float16") -> ct.models.MLModel:
        """A module of MLX by the direct route; it is checked later."""
        options = {"deployment_target": TARGET, "precision": precision, "check": False}
        return convert(module, *self.example, **options)

    def uncompressed(self, precision: str) -> Path:
        """The uncompressed package on disk, converted once in each precision."""
        if precision not in self._made:
            self._made[precision] = self.saved(self.converted(self.model.mlx, precision), precision)
        return self._made[precision]

    @cached_property
    def plain(self) -> ct.models.MLModel:
        """The uncompressed package in half precision, which coremltools compresses."""
        return unloaded(self.uncompressed("float16"))

    @cached_property
    def wanted(self) -> list[np.ndarray]:
        """What MLX returns in float32 on every held-out batch, computed on the CPU."""
        predict = self.model.predict("MLX")
        with mlx_on_cpu():
            return [predict(arrays[:-1]) for arrays in self.model.held_out]

    def saved(self, model: ct.models.MLModel, name: str) -> Path:
        """The package on disk."""
        path = self.folder / f"{name.replace(' ', '-').replace(',', '').replace('%', '')}.mlpackage"
        model.save(str(path))
        return path


def unloaded(package: Path) -> ct.models.MLModel:
    """A package for coremltools to change: on macOS, too, Core ML does not compile and load it for that."""
    return ct.models.MLModel(str(package), skip_model_load=True)


def quantized(bits: int, block: int | None = None) -> Callable[[Bench], ct.models.MLModel]:
    """Whole numbers with one scale per output channel, or one per block of inputs."""
    size = {"granularity": "per_block", "block_size": block} if block else {"granularity": "per_channel"}
    settings = cto.OpLinearQuantizerConfig(mode="linear_symmetric", dtype=f"int{bits}", **size)
    return lambda bench: cto.linear_quantize_weights(bench.plain, _weights(settings))


def palettes(
    bits: int, group: int | None = None, mode: str = "kmeans"
) -> Callable[[Bench], ct.models.MLModel]:
    """A table of 2^bits values, for a whole tensor or for every group of channels.

    "kmeans" places the values where the weights are, "uniform" evenly, which is much faster for many values.
    """
    return lambda bench: cto.palettize_weights(bench.plain, _weights(_palette(bits, group, mode)))


def _palette(bits: int, group: int | None = None, mode: str = "kmeans") -> cto.OpPalettizerConfig:
    size = {"granularity": "per_grouped_channel", "group_size": group} if group else {}
    return cto.OpPalettizerConfig(mode=mode, nbits=bits, **size)


def pruned(share: float) -> Callable[[Bench], ct.models.MLModel]:
    """The smallest weights of every tensor set to zero, the rest stored sparsely."""
    return lambda bench: cto.prune_weights(bench.plain, _thresholds(bench, share))


def _thresholds(bench: Bench, share: float) -> cto.OptimizationConfig:
    """The magnitude below which a share of each tensor lies.

    OpMagnitudePrunerConfig prunes nothing of an fp16 tensor of more than 65504 weights (coremltools 9.0): it
    takes the percentile in fp16, which counts no further.
    """
    found = cto.get_weights_metadata(bench.plain, weight_threshold=SMALLEST)
    settings = {}
    for name, weight in found.items():
        if any(child.op_type in WEIGHED for child in weight.child_ops):
            at = float(np.quantile(np.abs(weight.val.astype(np.float32)), share))
            settings[name] = cto.OpThresholdPrunerConfig(threshold=at, minimum_sparsity_percentile=0.0)
    return cto.OptimizationConfig(op_name_configs=settings)


def pruned_palettes(share: float, bits: int) -> Callable[[Bench], ct.models.MLModel]:
    """Pruning, then a palette for the remaining weights: two methods on one weight."""

    def make(bench: Bench) -> ct.models.MLModel:
        sparse = pruned(share)(bench)
        return cto.palettize_weights(sparse, _weights(_palette(bits)), joint_compression=True)

    return make


def activations(bench: Bench) -> ct.models.MLModel:
    """Whole numbers for weights and for activations, whose ranges are learnt first."""
    settings = _weights(cto.OpLinearQuantizerConfig(mode="linear_symmetric"))
    with calibrated(load(bench.plain.package_path)):
        smaller = linear_quantize_activations(bench.plain, settings, samples(bench.model))
    return cto.linear_quantize_weights(smaller, settings)


def _weights(settings) -> cto.OptimizationConfig:
    """One setting for the weights of WEIGHED operations, no other constant."""
    return cto.OptimizationConfig(op_type_configs=dict.fromkeys(WEIGHED, settings))


def samples(model: Trained, count: int = SAMPLES) -> list[dict[str, np.ndarray]]:
    """The inputs from which ranges are learnt: held-out ones without labels, evenly spread."""
    chosen = model.held_out[:: max(1, len(model.held_out) // count)][:count]
    return [named(model, arrays[:-1]) for arrays in chosen]


def named(model: Trained, arrays: Arrays) -> dict[str, np.ndarray]:
    """A batch's inputs by name, whole numbers as int32, which is what Core ML has."""
    plain = (x.astype(np.int32) if x.dtype.kind in "iub" else x for x in arrays)
    return dict(zip(model.inputs, plain, strict=True))


@contextmanager
def calibrated(model: Model) -> Iterator[None]:
    """Lets coremltools learn ranges on the reference runtime, over all samples.

    As released it asks Core ML, and keeps the last sample's range alone: it overwrites a range before it
    widens it (coremltools 9.0, _update_tensor_range and record_intermediate_output).
    """

    def widen(name: str, value, ranges: dict) -> None:
        seen = ranges[name]
        seen["rmin"] = min(np.min(value), seen.get("rmin", np.inf))
        seen["rmax"] = max(np.max(value), seen.get("rmax", -np.inf))

    def step(_, inputs, activation_stats_dict, intermediate_output_names=None, **__) -> None:
        seen = model.predict(inputs, intermediates=True)
        for name in intermediate_output_names or ():
            widen(name, seen[name], activation_stats_dict)

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(calibration, "_update_tensor_range", widen))
        stack.enter_context(mock.patch.object(_model_debugger.ModelDebugger, "step", step))
        yield


METHODS = {
    "linear": {"8 bit per channel": quantized(8), "4 bit, blocks of 32": quantized(4, 32)},
    "palettes": {
        "8 bit, evenly spaced": palettes(8, mode="uniform"),
        "6 bit, evenly spaced": palettes(6, mode="uniform"),
        "4 bit": palettes(4),
        "4 bit, groups of 16": palettes(4, 16),
        "2 bit": palettes(2),
    },
    "pruning": {"50 %": pruned(0.5), "75 %": pruned(0.75)},
    "joint": {"50 % pruned, palettes of 4 bit": pruned_palettes(0.5, 4)},
    "activations": {"8 bit, weights too": activations},
}


def takes(group: int) -> Callable[[str, mnn.Module], bool]:
    """Which layers MLX quantizes: those as wide as a multiple of the group, but no table that is added."""

    def taken(path: str, layer: mnn.Module) -> bool:
        whole = hasattr(layer, "to_quantized") and layer.weight.shape[-1] % group == 0
        return whole and not path.endswith(READ_WHOLE)

    return taken


@mlx_on_cpu()
def quantized_module(module: mnn.Module, bits: int, group: int) -> mnn.Module | None:
    """A copy with MLX's quantized layers where the width is a multiple of the group; None where none is."""
    if not any(takes(group)(path, layer) for path, layer in module.named_modules()):
        return None
    smaller = copy.deepcopy(module)
    mnn.quantize(smaller, group, bits, class_predicate=takes(group))
    return smaller


@contextmanager
def quiet() -> Iterator[None]:
    """Without coremltools' progress bars and log."""
    logger = logging.getLogger("coremltools")
    level, sink = logger.level, io.StringIO()
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stderr(sink), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # k-means on fewer distinct values than it was asked for
            yield
    finally:
        logger.setLevel(level)


def no_progress() -> None:
    """From here on, coremltools shows neither progress bars nor warnings: no page has room for them."""
    tqdm.tqdm.__init__ = functools.partialmethod(tqdm.tqdm.__init__, disable=True)
    logging.getLogger("coremltools").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="coremltools")
