"""Whether Core ML itself can run a package here: on macOS alone, and on one as new as the package's target.

https://apple.github.io/coremltools/mlmodel/Format/Model.html#model and
https://developer.apple.com/documentation/coreml/mlcomputeplan-1w21n
"""

import platform
from pathlib import Path

from coremltools.models import model as seam

from twins import macos
from twins.coreml.reference.package import open_package

MACOS = {6: (12,), 7: (13,), 8: (14,), 9: (15,), 10: (26,)}  # by specification version, as Core ML added them
COMPUTE_PLAN = (14, 4)


def here() -> bool:
    """Whether this system has Core ML."""
    return platform.system() == "Darwin"


def version() -> tuple[int, ...]:
    """The version of macOS here; empty where it cannot be read."""
    return macos.product_version() or tuple(seam._macos_version() or ())


def fault(package: str | Path) -> str:
    """What Core ML needs to run a package that is not here, such as "needs macOS 15"; empty when it can."""
    return too_old(package) if here() else "needs macOS"


def too_old(package: str | Path, least: tuple[int, ...] = ()) -> str:
    """The macOS that a package needs, where this one is older, such as "needs macOS 15"; empty otherwise.

    `least` is the oldest macOS that has what is asked of it, when that is newer than the package's target.
    """
    wanted = max(least, MACOS.get(open_package(package).specification.specificationVersion, ()))
    known = version()
    return f"needs macOS {'.'.join(map(str, wanted))}" if known and known < wanted else ""
