"""What a hand-over of an array costs, with nothing else in the timed span, and whether memory was shared.

Sharing is proven, not assumed: one element is written through the receiver and read at the source, the
addresses are compared, and a fresh process reads what the hand-over adds to its memory.
https://ml-explore.github.io/mlx/build/html/usage/numpy.html, https://docs.pytorch.org/docs/2.13/dlpack.html
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from twins.frameworks import TORCH, release
from twins.machine import fresh_process, process_memory
from twins.records.record_types import Sharing, Timing
from twins.timing import harness
from twins.timing.harness import Variant
from twins.timing.progress import tell
from twins.timing.statistics import AGAIN

import mlx.core as mx  # isort: skip  (after twins.frameworks: the BLAS)
import torch  # isort: skip

MARK = 7.0  # what is written through one side and looked for on the other
HELD = 6  # times the bytes: NumPy's array, MLX's, the GPU's and its origin, and two copies in flight
NUMBER = 4  # bytes of a float32


@dataclass(frozen=True)
class Route:
    """A way to hand an array over: `make` gives the source its array, `take` is what is timed."""

    make: Callable[[np.ndarray], Any]
    take: Callable[[Any], Any]
    gpu: bool = False  # needs one


def _mlx(values: np.ndarray) -> mx.array:
    array = mx.array(values)
    mx.eval(array)
    return array


def view(x: mx.array) -> torch.Tensor:
    """MLX's memory as a tensor on the CPU, shared; with Metal, DLPack gives a tensor on the GPU instead."""
    return torch.from_numpy(np.array(x, copy=False))


def arrival() -> str:
    """Where torch.from_dlpack puts an MLX array, in one sentence; empty where that is the CPU."""
    if not mx.metal.is_available():
        return ""
    return (
        "With Metal every MLX array is exported as the GPU's memory: `torch.from_dlpack` gives a tensor on "
        "mps, also when both frameworks compute on the CPU."
    )


def _on_gpu(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values.copy()).to(TORCH.device)


def _there_and_back(x: torch.Tensor) -> torch.Tensor:
    return x.to(TORCH.device).cpu()


def _same(values: np.ndarray) -> np.ndarray:
    return values


ROUTES: dict[str, Route] = {
    "nothing": Route(_same, _same),
    "NumPy → MLX, mx.array": Route(_same, mx.array),
    "NumPy → MLX, mx.asarray": Route(_same, mx.asarray),
    "NumPy → PyTorch, torch.tensor": Route(_same, torch.tensor),
    "NumPy → PyTorch, torch.from_numpy": Route(_same, torch.from_numpy),
    "MLX → NumPy, np.array": Route(_mlx, np.array),
    "MLX → NumPy, np.asarray": Route(_mlx, np.asarray),
    "PyTorch → NumPy, np.array": Route(torch.from_numpy, np.array),
    "PyTorch → NumPy, .numpy()": Route(torch.from_numpy, torch.Tensor.numpy),
    "MLX → PyTorch, through a NumPy copy": Route(_mlx, lambda x: torch.from_numpy(np.array(x))),
    "MLX → PyTorch, torch.from_dlpack": Route(_mlx, torch.from_dlpack),
    "MLX → PyTorch, through a NumPy view": Route(_mlx, view),
    "PyTorch → MLX, mx.array": Route(torch.from_numpy, mx.array),
    "PyTorch → MLX, mx.asarray": Route(torch.from_numpy, mx.asarray),
    "PyTorch CPU → GPU, .to": Route(torch.from_numpy, lambda x: x.to(TORCH.device), gpu=True),
    "PyTorch GPU → CPU, .cpu()": Route(_on_gpu, torch.Tensor.cpu, gpu=True),
    "PyTorch CPU → GPU → CPU": Route(torch.from_numpy, _there_and_back, gpu=True),
    "PyTorch GPU → MLX, mx.asarray": Route(_on_gpu, mx.asarray, gpu=True),
}


def routes() -> dict[str, Route]:
    """The routes that exist on this machine."""
    return {name: route for name, route in ROUTES.items() if TORCH.device != "cpu" or not route.gpu}


def absent() -> list[str]:
    """The routes that do not exist here, because there is no GPU that PyTorch can use."""
    return [name for name in ROUTES if name not in routes()]


def synchronize() -> None:
    """Wait for both frameworks."""
    mx.synchronize()
    TORCH.synchronize()


def _source(route: str, size: int) -> Any:
    """The source's array of `size` bytes. Errors: ValueError for an unknown route, MemoryError."""
    if route not in routes():
        raise ValueError(f"hand-over {route!r} does not exist here; there are {', '.join(routes())}")
    room([size])
    return ROUTES[route].make(np.ones(size // NUMBER, np.float32))


def room(sizes: Sequence[int]) -> int:
    """Bytes held at once at the largest size.

    Errors: ValueError for a size that is no whole number of float32; MemoryError, with the estimate, when
    they are not free.
    """
    wrong = [size for size in sizes if size < NUMBER or size % NUMBER]
    if wrong or not sizes:
        raise ValueError(f"sizes are {list(sizes)}; allowed are multiples of {NUMBER} bytes, a float32 each")
    return process_memory.room(HELD * max(sizes), f"handing over {max(sizes) / 2**30:.2f} GiB")


def variants(size: int) -> dict[str, Variant]:
    """Every hand-over of `size` bytes that exists here, and one into each framework again for A/A.

    Hand-overs of one framework share a source, which none of them writes to: at a gigabyte, one each is all
    that many machines hold.
    """
    room([size])
    values = np.ones(size // NUMBER, np.float32)
    sources = {make: make(values) for make in {route.make for route in routes().values()}}
    again = ("NumPy → PyTorch, torch.tensor", "NumPy → MLX, mx.array")
    chosen = routes() | {name + AGAIN: ROUTES[name] for name in again}
    return {name: _variant(route, sources[route.make]) for name, route in chosen.items()}


def _variant(route: Route, source: Any) -> Variant:
    """On the CPU a hand-over is done when its call returns; waiting for idle frameworks would cost more."""
    return Variant(partial(route.take, source), TORCH.synchronize if route.gpu else _nothing)


def _nothing() -> None:
    pass


def _seen(x: Any) -> np.ndarray | None:
    """A writable NumPy view of an array's memory where the CPU can address it; None where it cannot."""
    if isinstance(x, np.ndarray):
        return x
    if isinstance(x, mx.array):
        return np.array(x, copy=False)
    return x.numpy() if x.device.type == "cpu" else None


def written(source: Any, taken: Any) -> bool:
    """Whether a number written through the receiver is read at the source."""
    seen = _seen(taken)
    if seen is None:
        taken[0] = MARK
        torch.accelerator.synchronize()  # a tensor may lie on a GPU that is not in use otherwise
        synchronize()
    else:
        seen[0] = MARK
    return float(source[0].item()) == MARK


def same_address(source: Any, taken: Any) -> bool | None:
    """Whether both lie at one address; None where the CPU cannot address one of them."""
    views = [seen for seen in (_seen(source), _seen(taken)) if seen is not None]
    return views[0].ctypes.data == views[1].ctypes.data if len(views) == 2 else None


def prove(route: str, size: int) -> dict:
    """What one hand-over of `size` bytes shows: written through, one address, bytes added to this process."""
    warm = _source(route, 4096)
    ROUTES[route].take(warm)
    source = _source(route, size)
    synchronize()
    before = process_memory.held()
    taken = ROUTES[route].take(source)
    synchronize()
    added = process_memory.held() - before
    address = same_address(source, taken)
    return {"written": written(source, taken), "address": address, "added": max(0, added)}


def prove_all(size: int) -> dict[str, dict]:
    """The work of a fresh process: what each hand-over shows, its memory freed before the next one."""
    found = {}
    for name in [name for name in routes() if name != "nothing"]:
        found[name] = prove(name, size)
        release()
    return found


def proofs(size: int) -> Iterator[Sharing]:
    """Whether each hand-over shares memory, shown at `size` bytes in a fresh process."""
    for name, found in fresh_process.call("twins.transfer.transfers:prove_all", {"size": size}).items():
        yield Sharing(name, size, **found)


def timings(sizes: Sequence[int], plan: harness.Plan) -> Iterator[Timing]:
    """Every hand-over at every size, in bytes. Errors: MemoryError when the largest does not fit."""
    room(sizes)
    for size in sizes:
        runs = harness.measure("twins.transfer.transfers:variants", {"size": size}, plan)
        tell(f"{size:,} bytes")
        yield Timing("hand-over", {"bytes": size}, [asdict(run) for run in runs])
