"""mlx-lm asks for 4,096 open files when it is imported, and fails where the system allows fewer.

A shell's `ulimit -n 256` sets the hard limit too, which nobody but root may raise. Files that many are for
checkpoints in many parts, which nothing here reads. https://github.com/ml-explore/mlx-lm (mlx_lm/utils.py)
"""

import resource
from collections.abc import Callable

ASKED = 4096  # what mlx-lm asks for


def clamped(limits: tuple[int, int], hard: int) -> tuple[int, int]:
    """Limits asked for, soft and hard, none above the hard one that there is."""
    return min(limits[0], hard), min(limits[1], hard)


def tolerate() -> None:
    """From now on a request for more open files than allowed gets those that are."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY or hard >= ASKED:
        return
    resource.setrlimit = _tolerant(resource.setrlimit, hard)


def _tolerant(setrlimit: Callable, hard: int) -> Callable:
    """setrlimit that clamps the number of open files and leaves every other limit alone."""

    def tolerant(which: int, limits: tuple[int, int]) -> None:
        setrlimit(which, clamped(limits, hard) if which == resource.RLIMIT_NOFILE else limits)

    return tolerant
