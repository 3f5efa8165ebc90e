"""Whether the extra `coreai` is installed, in the one release that this backend is written for.

Core AI is a beta whose releases do not read one another's assets: 1.0.0b3 ends the process on one of 1.0.0b1.
"""

from importlib.metadata import PackageNotFoundError, version

from mlx_coreml.ir.errors import ConversionError

PACKAGE, RELEASE = "coreai-core", "1.0.0b3"
INSTALL = "`pip install './lib/mlx_coreml[coreai]'` in a checkout brings it"


def missing() -> str:
    """What keeps Core AI from being used, as one sentence; empty if nothing does."""
    try:
        found = version(PACKAGE)
    except PackageNotFoundError:
        return f"to='coreai' needs the extra coreai ({PACKAGE} {RELEASE}), which is not installed; {INSTALL}"
    if found != RELEASE:
        return f"to='coreai' is written for {PACKAGE} {RELEASE}, found is {found}; {INSTALL}"
    return ""


def require() -> None:
    """Errors: ConversionError where the extra is missing, or of another release."""
    if reason := missing():
        raise ConversionError(reason)
