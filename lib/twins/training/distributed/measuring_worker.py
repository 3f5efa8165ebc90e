"""One rank of a measurement, as the launchers start it, with the runs and what to measure as JSON.

Rank 0 writes what was measured into the folder of each run.
"""

import json
import os
import sys
from pathlib import Path

from twins.training.distributed.wording import ENDED, FAILED, TOLD, say

RESULT = "measured.json"
READY = "ready"  # what every rank says once it has closed its standard input


def main() -> int:
    """The exit status: 1 with one sentence when something could not be measured."""
    asked = json.loads(sys.argv[1])
    rank = os.environ.get("RANK") or os.environ.get("MLX_RANK") or "0"
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    say(TOLD, READY)
    from twins.training.distributed import engines, measurement  # seconds, in which mlx.launch now rests

    try:
        found = measurement.ranks(asked["runs"], asked["sizes"], asked["times"])
        for run, each in zip(asked["runs"] if rank == "0" else [], found, strict=False):
            folder = Path(run["out"])
            folder.mkdir(parents=True, exist_ok=True)
            (folder / RESULT).write_text(json.dumps(each))
        if rank == "0":
            say(ENDED, "measured")
    except (engines.LostError, ValueError, OSError) as error:
        say(FAILED, f"rank {rank}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # all is written; what libraries take apart would take a second more
