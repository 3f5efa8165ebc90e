"""Whether Core ML itself can run a package here: on macOS alone, and on one as new as the package's target.

https://apple.github.io/coremltools/mlmodel/Format/Model.html#model and
https://developer.apple.com/documentation/coreml/mlcomputeplan-1w21n
"""

import platform
import re
import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any

from coreml_runtime.format.package import open_package
from coreml_runtime.format.specification import coremltools, model_module

MACOS = {6: (12,), 7: (13,), 8: (14,), 9: (15,), 10: (26,)}  # by specification version, as Core ML added them
COMPUTE_PLAN = (14, 4)
PATIENCE = 5.0  # seconds a tool may take; the system's tools answer in a tenth of one
LIBRARY = "needs coremltools' library of macOS, which is not in this installation"


def here() -> bool:
    """Whether this system has Core ML."""
    return platform.system() == "Darwin"


def told(*command: str, seconds: float = PATIENCE) -> str:
    """What a tool prints; empty when it is missing, fails or takes longer than `seconds`."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def version() -> tuple[int, ...]:
    """The version of macOS here; empty where it cannot be read."""
    found = re.fullmatch(r"\d+(?:\.\d+)*", told("sysctl", "-n", "kern.osproductversion"))
    return actual(
        tuple(map(int, found[0].split("."))) if found else tuple(model_module()._macos_version() or ())
    )


def actual(told: tuple[int, ...]) -> tuple[int, ...]:
    """The version behind one told for compatibility: 26 is told as 16, and 10.16 is 11 or any later one."""
    if told[:1] == (16,):
        return (26, *told[1:])
    return () if told[:2] == (10, 16) else told


def virtual() -> bool:
    """Whether this Mac is a virtual machine: no Neural Engine, and compiling for it can hang."""
    return told("sysctl", "-n", "kern.hv_vmm_present") == "1"


def model(package: str | Path, unit: str = "CPU_ONLY", function: str = "main") -> Any:
    """A package as coremltools' MLModel, loaded by Core ML. Errors: RuntimeError in its words."""
    chosen = {} if function == "main" else {"function_name": function}
    ct = coremltools()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the same words
        made = ct.models.MLModel(str(package), compute_units=ct.ComputeUnit[unit], **chosen)
    if made.__proxy__ is None:
        raise RuntimeError(str(made._framework_error or "Core ML did not load it and gave no reason"))
    return made


def fault(package: str | Path) -> str:
    """What Core ML needs to run a package that is not here, such as "needs macOS 15"; empty when it can."""
    return (too_old(package) or library()) if here() else "needs macOS"


def library() -> str:
    """What coremltools lacks to reach Core ML on this Mac; empty when it can."""
    return LIBRARY if model_module()._MLModelProxy is None else ""


def too_old(package: str | Path, least: tuple[int, ...] = ()) -> str:
    """The macOS that a package needs, where this one is older, such as "needs macOS 15"; empty otherwise.

    `least` is the oldest macOS that has what is asked of it, when that is newer than the package's target.
    """
    wanted = max(least, MACOS.get(open_package(package).specification.specificationVersion, ()))
    known = version()
    return f"needs macOS {'.'.join(map(str, wanted))}" if known and known < wanted else ""
