"""MLX and PyTorch behind one small interface: the one module that knows which is which.

Importing it gives both one fast BLAS and the same number of threads, float32 without TF32 on both,
and the device of TWINS_DEVICE (cpu, mps, cuda; by default the best that both have).
Sources: https://ml-explore.github.io/mlx and https://docs.pytorch.org/docs/2.13
"""

import functools
import gc
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mlx_startup import BLAS as BLAS
from mlx_startup import THREADS

SHIPPED = "TWINS_FLOAT32_AS_SHIPPED"  # set by float32_as_shipped.py: both frameworks keep their own defaults
if os.environ.get(SHIPPED):
    os.environ.pop("MLX_ENABLE_TF32", None)
else:
    os.environ["MLX_ENABLE_TF32"] = "0"  # MLX's default is 1; torch's: exact products, TF32 in cuDNN

import mlx.core as mx  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(THREADS)
if not os.environ.get(SHIPPED):
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False

DEVICES = ("cpu", "mps", "cuda")
DEVICE_NAMES = {"cpu": "CPU", "mps": "Apple GPU", "cuda": "CUDA"}
DTYPES = ("float64", "float32", "float16", "bfloat16")
COMPILER = (  # what torch.compile imports at its first call, nearly all of it
    "torch._inductor.compile_fx",
    "torch._inductor.codegen.cpp",
    "torch.utils.cpp_extension",
    "torch.export._trace",
)
LACKING: dict[str, str] = {}  # devices that a build offers but that do not work, and why, in words


def told(error: BaseException) -> str:
    """The first line of an error's message, or its type where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def works(name: str, trial: Callable[[], object]) -> bool:
    """Whether a device that is offered computes; if not (MPS on hosted Macs), LACKING keeps the reason."""
    try:
        trial()
    except (RuntimeError, ValueError) as error:  # what MLX and torch raise when a device refuses
        LACKING[name] = told(error)
        return False
    return True


class Mlx:
    """MLX: lazy arrays, one unified memory, computation on the default device."""

    name = "MLX"
    key = "mlx"
    device = "cpu"
    version: str = mx.__version__  # type: ignore[attr-defined]

    def available(self) -> tuple[str, ...]:
        """Devices of this build and machine, from DEVICES."""
        has = {"mps": mx.metal.is_available(), "cuda": mx.cuda.is_available()}
        return ("cpu", *(device for device in has if has[device] and self._works(device)))

    @functools.cache  # noqa: B019  (one object a process)
    def _works(self, device: str) -> bool:
        return works(f"MLX on {device}", lambda: mx.eval(mx.ones(2, stream=mx.gpu) + 1))

    def use(self, device: str) -> None:
        """Compute on this device from now on."""
        mx.set_default_device(mx.cpu if device == "cpu" else mx.gpu)
        self.device = device

    def dtype(self, name: str) -> mx.Dtype:
        """The framework's own type object for one of DTYPES."""
        return getattr(mx, name)

    def array(self, values: np.ndarray, dtype: str | None = None) -> mx.array:
        """A copy of a NumPy array; float64 stays float64 only when asked for by name."""
        return mx.array(values, dtype=self.dtype(dtype)) if dtype else mx.array(values)

    def numpy(self, array: mx.array) -> np.ndarray:
        """A NumPy copy; bfloat16 widens to float32."""
        return np.array(array.astype(mx.float32) if array.dtype == mx.bfloat16 else array)

    def evaluate(self, *values: object) -> None:
        """Compute what is still lazy and wait for it."""
        mx.eval(*values)
        mx.synchronize()

    def synchronize(self) -> None:
        """Wait until the device has done all that was handed to it."""
        mx.synchronize()

    def seed(self, seed: int) -> None:
        """Seed the framework's random state."""
        mx.random.seed(seed)

    def reset_peak_memory(self) -> None:
        """Start a new peak."""
        mx.reset_peak_memory()

    def peak_memory(self) -> int | None:
        """Bytes at the peak since the last reset."""
        return mx.get_peak_memory()

    def memory_source(self) -> str:
        """What peak_memory reads, in words."""
        return "mx.get_peak_memory: bytes of MLX's own allocator, cache excluded"

    def compile(self, function: Callable, state: list | None = None) -> Callable:
        """mx.compile; whatever the function changes must be in `state`, or it silently does not change."""
        return mx.compile(function, inputs=state, outputs=state) if state else mx.compile(function)


class Torch:
    """PyTorch: eager tensors on one device, work queued on GPUs."""

    name = "PyTorch"
    key = "torch"
    device = "cpu"
    version = torch.__version__

    def available(self) -> tuple[str, ...]:
        """Devices of this build and machine, from DEVICES."""
        has = {"mps": torch.backends.mps.is_available(), "cuda": torch.cuda.is_available()}
        return ("cpu", *(device for device in ("mps", "cuda") if has[device] and self._works(device)))

    @functools.cache  # noqa: B019  (one object a process)
    def _works(self, device: str) -> bool:
        return works(f"PyTorch on {device}", lambda: (torch.ones(2, device=device) + 1).cpu())

    def gpu(self) -> str:
        """The CUDA device's name; empty without one (an Apple GPU is part of the chip)."""
        return torch.cuda.get_device_name() if torch.cuda.is_available() else ""

    def use(self, device: str) -> None:
        """Put new arrays on this device from now on."""
        self.device = device

    def dtype(self, name: str) -> torch.dtype:
        """The framework's own type object for one of DTYPES."""
        return getattr(torch, name)

    def array(self, values: np.ndarray, dtype: str | None = None) -> torch.Tensor:
        """A tensor on the device; integer arrays become int64, which torch's embedding and loss take.

        float64 stays float64 only when asked for by name, as in MLX. Errors: ValueError for float64 on MPS.
        """
        if dtype == "float64" and self.device == "mps":
            raise ValueError("float64 does not exist on mps; frameworks.on('cpu') computes it")
        default = {"i": torch.int64, "f": torch.float32 if values.dtype == np.float64 else None}
        wanted = self.dtype(dtype) if dtype else default.get(values.dtype.kind)
        return torch.tensor(values, dtype=wanted, device=self.device)

    def numpy(self, array: torch.Tensor) -> np.ndarray:
        """A NumPy copy; bfloat16 widens to float32."""
        array = array.detach().cpu()
        return np.array((array.float() if array.dtype == torch.bfloat16 else array).numpy())

    def evaluate(self, *values: object) -> None:
        """Wait for what was queued; eager tensors need no evaluation."""
        self.synchronize()

    def synchronize(self) -> None:
        """Wait until the device has done all that was handed to it; nothing to wait for on a CPU."""
        if self.device != "cpu":
            torch.accelerator.synchronize()

    def seed(self, seed: int) -> None:
        """Seed the framework's random state."""
        torch.manual_seed(seed)

    def reset_peak_memory(self) -> None:
        """Start a new peak where torch counts one."""
        if self.device != "cpu":
            torch.accelerator.reset_peak_memory_stats()

    def peak_memory(self) -> int | None:
        """Bytes at the peak since the last reset; None on a CPU, where torch counts none."""
        return None if self.device == "cpu" else torch.accelerator.max_memory_allocated()

    def memory_source(self) -> str:
        """What peak_memory reads, in words."""
        if self.device == "cpu":
            return "nothing: torch counts no peak on a CPU; see the process's memory"
        return "torch.accelerator.max_memory_allocated: bytes of torch's own allocator, cache excluded"

    def compile(self, function: Callable, state: list | None = None) -> Callable:
        """torch.compile with its defaults; it follows state by itself."""
        return torch.compile(function)


MLX, TORCH = Mlx(), Torch()
BOTH = (MLX, TORCH)


def common_devices() -> tuple[str, ...]:
    """Devices that both frameworks can use here, the best last."""
    return tuple(device for device in MLX.available() if device in TORCH.available())


def use(device: str | None = None) -> str:
    """Put both frameworks on one device and name it; None means the best that both have.

    Errors: ValueError, one sentence listing what is there, when a framework lacks the device.
    """
    there = common_devices()
    device = device or there[-1]
    if device not in there:
        lists = "; ".join(f"{each.name} has {', '.join(each.available())}" for each in BOTH)
        raise ValueError(f"device {device!r} is not there for both frameworks; {lists}")
    for each in BOTH:
        each.use(device)
    return device


@contextmanager
def on(device: str) -> Iterator[None]:
    """Both frameworks on another device for a while (float64 needs the CPU)."""
    before = MLX.device
    use(device)
    try:
        yield
    finally:
        use(before)


def compiler() -> str | None:
    """The C++ compiler that mx.compile calls on a CPU; None means MLX silently runs eager there.

    torch.compile uses the same one on Linux and raises without it.
    """
    return shutil.which("clang++" if platform.system() == "Darwin" else "g++")


@contextmanager
def uncompiled() -> Iterator[None]:
    """MLX runs as written what it would compile, for a while."""
    traced: dict[int, mx.array] = {}
    twice = mx.compile(lambda x: traced.setdefault(len(traced), x))
    twice(mx.zeros(1)), twice(mx.zeros(1))
    mx.disable_compile()
    try:
        yield
    finally:
        if len(traced) == 1:  # it was not disabled before, which MLX does not tell otherwise
            mx.enable_compile()


def is_compile_error(error: RuntimeError) -> bool:
    """Whether torch's compiler or a back end of it raised this error."""
    return type(error).__module__.startswith(("torch._dynamo", "torch._inductor"))


@functools.cache
def compile_fault() -> str:
    """Why steps cannot be compiled in both frameworks here, in one sentence; empty when they can.

    Only the smallest function is tried; a model may still be refused (study.gate).
    """
    if MLX.device == "cpu" and compiler() is None:
        return "Compiled steps are left out: there is no C++ compiler."
    try:
        torch.compile(lambda x: 2 * x)(torch.ones(2, device=TORCH.device))
    except RuntimeError as error:  # what torch's compiler and its back ends raise
        return f"Compiled steps are left out: torch.compile cannot run on {TORCH.device} ({told(error)})."
    return ""


def release() -> None:
    """Free the memory that this process no longer uses and the frameworks keep."""
    gc.collect()
    mx.clear_cache()
    if TORCH.device != "cpu":
        torch.accelerator.empty_cache()


use(os.environ.get("TWINS_DEVICE"))
