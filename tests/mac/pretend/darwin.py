"""The pretended Mac's system: its name, its C library, and Core ML's predict by the reference runtime."""

import ctypes
import platform
import shutil
import sys
from pathlib import Path

# Only our own code is told that it is on a Mac: libraries would look for its frameworks.
OURS = ("twins", "coreml_runtime", "mlx_coreml", "test_", "conftest", "__main__")
KERN_SUCCESS = 0


def _told(pretended, real):
    """A function of `platform`: `pretended` for our own modules, the truth for libraries."""

    def answer(*arguments):
        asks = sys._getframe(1).f_globals.get("__name__", "")
        return pretended if asks.startswith(OURS) else real(*arguments)

    return answer


def system() -> None:
    """Darwin on arm64, with a C++ compiler of macOS's name."""
    platform.system = _told("Darwin", platform.system)
    platform.machine = _told("arm64", platform.machine)
    which = shutil.which
    shutil.which = lambda name, *more, **named: which("g++" if name == "clang++" else name, *more, **named)


class Library:
    """libSystem, as far as twins calls it: the footprint is this process's resident set."""

    def proc_pid_rusage(self, pid, flavour, reference) -> int:
        usage, status = reference._obj, Path("/proc/self/status").read_text()
        held, peak = (1024 * int(status.partition(name)[2].split()[0]) for name in ("VmRSS:", "VmHWM:"))
        usage.phys_footprint, usage.interval_max_phys_footprint = held, peak
        usage.lifetime_max_phys_footprint = max(held, peak)
        assert (flavour, ctypes.sizeof(usage) >= 296) == (4, True)
        return KERN_SUCCESS

    def proc_reset_footprint_interval(self, pid) -> int:
        Path("/proc/self/clear_refs").write_text("5")
        return KERN_SUCCESS


class Proxy:
    """What coremltools expects of a loaded Core ML model; the reference runtime predicts."""

    def __init__(self, path, compute_units, function_name, optimization_hints, asset):
        self.arguments = path, function_name or "main", "strict"

    @staticmethod
    def maximum_supported_specification_version() -> int:
        return 10

    def _model(self):
        if not hasattr(self, "model"):
            from coreml_runtime import load

            self.model = load(*self.arguments)
        return self.model

    def predict(self, data, state):
        return self._model().predict(data, state)

    def batchPredict(self, data):
        return [self.predict(each, None) for each in data]

    def newState(self):
        return self._model().make_state()


def core_ml(module) -> None:
    """Core ML of macOS 26: predictions by the reference runtime."""
    module._MLModelProxy = Proxy
    module._is_macos = lambda: True
    module._macos_version = lambda: (26, 0)
