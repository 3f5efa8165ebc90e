"""Give MLX on Linux the BLAS that PyTorch ships, and both the same number of threads.

MLX's CPU wheel bundles netlib's reference BLAS. Its `cblas_sgemm` calls `sgemm_` through the dynamic
linker, bound once when `mlx.core` is imported; a library opened with RTLD_GLOBAL before that import
provides it instead. https://man7.org/linux/man-pages/man3/dlopen.3.html
"""

import ctypes
import importlib.util
import os
import sys
import warnings
from pathlib import Path

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


class _Symbol(ctypes.Structure):
    """Dl_info of dladdr(3)."""

    _fields_ = (
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    )


def provider() -> str | None:
    """File name of the library whose `sgemm_` the next import would get; None when there is none.

    Only true before MLX is imported: afterwards MLX's own binding no longer follows it.
    """
    process = ctypes.CDLL(None)
    try:
        address = ctypes.cast(process.sgemm_, ctypes.c_void_p)
    except AttributeError:
        return None
    found = _Symbol()
    process.dladdr.argtypes = (ctypes.c_void_p, ctypes.POINTER(_Symbol))
    process.dladdr(address, ctypes.byref(found))
    return Path(os.fsdecode(found.file)).name if found.file else None


def _torch_libraries() -> list[Path]:
    """The files of torch that may define `sgemm_`, likeliest first (aarch64 wheels keep it in NVPL)."""
    spec = importlib.util.find_spec("torch")
    if spec is None:
        return []
    folder = Path(spec.submodule_search_locations[0]) / "lib"
    return [folder / "libtorch_cpu.so", *sorted(folder.glob("*blas*.so*")), *sorted(folder.glob("*mkl*.so*"))]


def _open_globally() -> str:
    """Open the first library of torch that brings `sgemm_`; name the provider."""
    for library in filter(Path.exists, _torch_libraries()):
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
        if name := provider():
            return name
    return "the reference BLAS of its wheel"


def fast() -> str:
    """Make MLX use a fast BLAS where it does not by itself; name what it uses.

    Call before `mlx.core` is imported. When it was imported earlier nothing can be repaired in this
    process: a RuntimeWarning says so and the reference BLAS is named.
    """
    if sys.platform == "darwin":
        return "Accelerate"
    if "mlx.core" in sys.modules:
        warnings.warn(
            "MLX was imported before mlx_startup, so it keeps the reference BLAS of its wheel "
            "(about 20 times slower); restart and import twins or mlx_startup first.",
            RuntimeWarning,
            stacklevel=3,
        )
        return "the reference BLAS of its wheel"
    return provider() or _open_globally()


def threads() -> int:
    """Threads each framework's CPU kernels may use: TWINS_THREADS, else 1.

    One is the default because MLX is single-threaded outside BLAS, and because two OpenMP threads on
    a small machine wait for each other in steps of the scheduler's tick. Errors: ValueError.
    """
    text = os.environ.get("TWINS_THREADS", "1")
    if not text.isdecimal() or not 1 <= int(text) <= (os.cpu_count() or 1):
        raise ValueError(f"TWINS_THREADS is {text!r}; it takes a whole number from 1 to {os.cpu_count()}")
    return int(text)


def limit_threads() -> int:
    """Tell every BLAS and OpenMP library, before it is loaded, how many threads to use.

    A library loaded earlier keeps its own count, so MLX and torch may differ: a RuntimeWarning says so.
    """
    count = threads()
    if "torch" in sys.modules and os.environ.get("OMP_NUM_THREADS") != str(count):
        warnings.warn(
            f"torch was imported before mlx_startup without OMP_NUM_THREADS={count}, so MLX and torch "
            "may use different numbers of threads; restart and import twins or mlx_startup first.",
            RuntimeWarning,
            stacklevel=3,
        )
    for name in THREAD_VARIABLES:
        os.environ[name] = str(count)
    return count
