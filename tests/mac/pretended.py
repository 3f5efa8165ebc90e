"""The environment of a process that takes this machine for a Mac."""

import os
from pathlib import Path

from machines import install

HERE = Path(__file__).parent
LIBRARY = HERE.parents[1] / "lib"


def environment(machine: str, folder: Path, library: Path = LIBRARY, **more: str) -> dict[str, str]:
    """Variables for a process on the pretended machine; its tools are written into `folder`.

    `library` is the folder of the package that the process imports.
    """
    tools = install(machine, folder / machine)
    paths = [str(HERE / "pretend"), str(library), *filter(None, [os.environ.get("PYTHONPATH")])]
    own = {"TWINS_PRETEND_MAC": machine, "PYTHONPATH": os.pathsep.join(paths)}
    own["MLX_DISABLE_COMPILE"] = (
        "1"  # it would be the CPU's C++, which no Mac's GPU compiles and which takes long
    )
    kept = {name: value for name, value in os.environ.items() if name not in ("TWINS_DEVICE", "CONDA_PREFIX")}
    return kept | own | {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"} | more
