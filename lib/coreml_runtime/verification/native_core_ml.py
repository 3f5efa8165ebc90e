"""Whether Core ML itself can run a package here: on a macOS that is as new as the package's target.

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
PATIENCE = 5.0  # seconds that a tool may take; those of macOS need a tenth of one
LIBRARY = "needs coremltools' macOS library, which this installation does not have"


def here() -> bool:
    """Whether this system has Core ML."""
    return platform.system() == "Darwin"


def command_output(*command: str, seconds: float = PATIENCE) -> str:
    """What a command prints; empty when it is missing, fails or takes longer than `seconds`."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def version() -> tuple[int, ...]:
    """The version of macOS; empty when it cannot be read."""
    found = re.fullmatch(r"\d+(?:\.\d+)*", command_output("sysctl", "-n", "kern.osproductversion"))
    return true_version(
        tuple(map(int, found[0].split("."))) if found else tuple(model_module()._macos_version() or ())
    )


def true_version(reported: tuple[int, ...]) -> tuple[int, ...]:
    """The version behind one reported for compatibility: 16 is 26, and 10.16 is unknown (11 or later)."""
    if reported[:1] == (16,):
        return (26, *reported[1:])
    return () if reported[:2] == (10, 16) else reported


def virtual() -> bool:
    """Whether this Mac is a virtual machine: no Neural Engine, and compiling for it can hang."""
    return command_output("sysctl", "-n", "kern.hv_vmm_present") == "1"


def model(package: str | Path, unit: str = "CPU_ONLY", function: str = "main") -> Any:
    """A package as coremltools' MLModel, loaded by Core ML; RuntimeError with the message of Core ML."""
    chosen = {} if function == "main" else {"function_name": function}
    ct = coremltools()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # it repeats the message of the error
        made = ct.models.MLModel(str(package), compute_units=ct.ComputeUnit[unit], **chosen)
    if made.__proxy__ is None:
        raise RuntimeError(str(made._framework_error or "Core ML did not load it and gave no reason"))
    return made


def unmet_requirement(package: str | Path) -> str:
    """What this system lacks to run a package with Core ML, such as "needs macOS 15"; empty if nothing."""
    return (too_old(package) or library()) if here() else "needs macOS"


def library() -> str:
    """What coremltools lacks to call Core ML on this Mac; empty if nothing."""
    return LIBRARY if model_module()._MLModelProxy is None else ""


def too_old(package: str | Path, least: tuple[int, ...] = ()) -> str:
    """The macOS that a package needs if this one is older, such as "needs macOS 15"; empty otherwise.

    `least` is the oldest macOS that the caller needs, which may be newer than the package's target.
    """
    wanted = max(least, MACOS.get(open_package(package).specification.specificationVersion, ()))
    known = version()
    return f"needs macOS {'.'.join(map(str, wanted))}" if known and known < wanted else ""
