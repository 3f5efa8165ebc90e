"""Single layers of a convolutional network, timed alone: the answer to "why is my ResNet slower in MLX?".

Convolutions by kernel, channels and batch, and the other layers of a block of He et al. 2016
(https://arxiv.org/abs/1512.03385); forward, and forward and backward with the gradients of input
and weights. Inputs are NHWC in MLX and NCHW in PyTorch, on the device before anything is timed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from types import FunctionType

import numpy as np

from twins.frameworks import BOTH, MLX, TORCH, Mlx, Torch
from twins.records.record_types import Timing
from twins.timing import harness
from twins.timing.harness import Variant
from twins.timing.progress import tell
from twins.timing.statistics import AGAIN

import mlx.core as mx  # isort: skip  (after twins.frameworks: the BLAS)
import mlx.nn as mnn  # isort: skip
import torch  # isort: skip
from mlx.utils import tree_flatten, tree_unflatten  # isort: skip
from torch import nn as tnn  # isort: skip

FORWARD, BOTH_WAYS = "forward", "forward and backward"
CONVOLUTION = "convolution"


@dataclass(frozen=True)
class Layer:
    """One layer on `batch` maps of size x size, as many channels out as in; `kernel` is a convolution's."""

    kind: str
    channels: int
    size: int
    batch: int
    kernel: int = 0

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"no layer is called {self.kind!r}; known: {', '.join(KINDS)}")
        if self.kind == CONVOLUTION and self.kernel % 2 == 0:
            raise ValueError(
                f"a convolution's kernel is {self.kernel}; to keep the size of a map it must be odd"
            )

    def flops(self, work: str) -> int:
        """Operations of a convolution, two per multiply-add, backward twice as many; 0 of the others."""
        once = 2 * self.batch * self.size**2 * self.channels**2 * self.kernel**2
        return once if work == FORWARD else 3 * once


KINDS: dict[str, tuple[Callable[[Layer], mnn.Module], Callable[[Layer], tnn.Module]]] = {
    CONVOLUTION: (
        lambda c: mnn.Conv2d(c.channels, c.channels, c.kernel, padding=c.kernel // 2, bias=False),
        lambda c: tnn.Conv2d(c.channels, c.channels, c.kernel, padding=c.kernel // 2, bias=False),
    ),
    "BatchNorm": (
        lambda c: mnn.BatchNorm(c.channels, eps=1e-5, momentum=0.1),
        lambda c: tnn.BatchNorm2d(c.channels, eps=1e-5, momentum=0.1),
    ),
    "ReLU": (lambda c: mnn.ReLU(), lambda c: tnn.ReLU()),
}


def mlx_call(layer: mnn.Module, x: mx.array, compiled: bool, work: str) -> Callable[[], object]:
    """The layer's work in MLX as one call, evaluated with the statistics it leaves."""
    names, weights = list(zip(*tree_flatten(layer.trainable_parameters()), strict=True)) or ((), ())
    gradient = mx.ones(layer(x).shape)

    def forward(x, *weights):
        layer.update(tree_unflatten(list(zip(names, weights, strict=True))))
        return layer(x)

    def both_ways(x, *weights):
        return mx.vjp(forward, [x, *weights], [gradient])

    function, state = {FORWARD: forward, BOTH_WAYS: both_ways}[work], [layer.state]
    if compiled:
        function = MLX.compile(function, state)
    return lambda: mx.eval(function(x, *weights), state)


def _alone(function: Callable) -> Callable:
    """A copy with code of its own: torch.compile keeps eight versions of one code, then runs it eagerly."""
    code, closure = function.__code__.replace(), function.__closure__
    return FunctionType(code, function.__globals__, function.__name__, closure=closure)


def torch_call(layer: tnn.Module, x: torch.Tensor, compiled: bool, work: str) -> Callable[[], object]:
    """The layer's work in torch as one call."""
    gradient = torch.ones_like(layer(x))
    function = TORCH.compile(_alone(lambda x: layer(x))) if compiled else layer
    if work == FORWARD:
        return torch.no_grad()(lambda: function(x))
    x = x.requires_grad_()
    wanted = [x, *layer.parameters()]
    return lambda: torch.autograd.grad(function(x), wanted, gradient)


def _variant(layer: Layer, framework: Mlx | Torch, compiled: bool, work: str) -> Variant:
    shape = (layer.batch, layer.size, layer.size, layer.channels)
    numbers = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    ours, theirs = KINDS[layer.kind]
    if framework is MLX:
        return Variant(mlx_call(ours(layer), MLX.array(numbers), compiled, work), MLX.synchronize)
    x = TORCH.array(np.ascontiguousarray(numbers.transpose(0, 3, 1, 2)))
    return Variant(torch_call(theirs(layer).to(TORCH.device), x, compiled, work), TORCH.synchronize)


def layer_variants(layers: list[dict], modes: list[str]) -> dict[str, Variant]:
    """Every layer in each framework, both again for A/A: forward in the first mode, both ways in all."""
    work_modes = [(FORWARD, modes[0]), *((BOTH_WAYS, mode) for mode in modes)]
    kinds = [(work, mode, each, "") for work, mode in work_modes for each in BOTH]
    kinds += [(work, modes[0], each, AGAIN) for work in (FORWARD, BOTH_WAYS) for each in BOTH]
    return {
        f"{index}/{work}/{each.name} {mode}{again}": _variant(Layer(**layer), each, mode == "compiled", work)
        for index, layer in enumerate(layers)
        for work, mode, each, again in kinds
    }


def sweep(
    kernels: Sequence[int], channels: Sequence[int], batches: Sequence[int], size: int, batch: int
) -> list[Layer]:
    """Convolutions by kernel and, with the first kernel, by batch; the rest of a block; all by channels."""
    first = [Layer(CONVOLUTION, c, size, b, kernels[0]) for c in channels for b in sorted({batch, *batches})]
    more = [Layer(CONVOLUTION, c, size, batch, k) for c in channels for k in kernels[1:]]
    rest = [Layer(kind, c, size, batch) for kind in KINDS if kind != CONVOLUTION for c in channels]
    return first + more + rest


def times(layers: Sequence[Layer], modes: Sequence[str], plan: harness.Plan) -> Iterator[Timing]:
    """Time layers, all in the same processes: a record for each layer and work."""
    sizes = {"layers": [asdict(layer) for layer in layers], "modes": list(modes)}
    runs = harness.measure(
        "twins.timing.questions.convolutions:layer_variants", sizes, plan, tell, compiled="compiled" in modes
    )
    for index, layer in enumerate(layers):
        for work in (FORWARD, BOTH_WAYS):
            case = asdict(layer) | {"work": work, "flops": layer.flops(work)}
            yield Timing("layer", case, [asdict(run.part(f"{index}/{work}/")) for run in runs])
