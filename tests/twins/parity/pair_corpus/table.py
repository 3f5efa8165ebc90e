"""What the gate and the diagnosis say of every planted mistake, as a table: `make bench-diagnosis`.

Run by `python -m pair_corpus.table`, with tests/twins/parity among the paths of modules; words after it
choose the pairs whose names hold them.
"""

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pair_corpus import Pair, pairs
from pair_corpus.judged import PASSED, PLACED, RIGHT, WRONG, Judged, judge
from twins import frameworks as frameworks

import mlx.core as mx  # isort: skip  (after frameworks: the BLAS)

COLUMNS = "{:38} {:48} {:28} {}"


def rows(chosen: list[Pair]) -> Iterator[tuple[str, str, Judged, str]]:
    """Pair, mistake, what is said of it, and the outcome, for every mistake of the pairs."""
    for pair in chosen:
        for mistake in pair.mistakes:
            with tempfile.TemporaryDirectory() as folder:
                judged = judge(pair.written(Path(folder), mistake))
            yield pair.name, mistake.name, judged, judged.outcome(mistake)


def main() -> None:
    """Print the table, the sentences that are wrong, and a line that counts."""
    mx.disable_compile()  # a C++ compiler would build each step, and no mistake lies in compiling
    chosen = [pair for pair in pairs() if all(word in pair.name for word in sys.argv[1:])]
    counts: Counter[str] = Counter()
    print(COLUMNS.format("pair", "mistake", "refused by", "told"))
    for name, mistake, judged, outcome in rows(chosen):
        counts[outcome] += 1
        print(COLUMNS.format(name, mistake, ", ".join(judged.failed[:1]), outcome), flush=True)
        if outcome in (PASSED, WRONG):
            print(f"    {judged.told}")
    total = counts.total()
    print(
        f"{len(chosen)} pairs, {total} mistakes: {total - counts[PASSED]} refused; "
        f"cause named rightly {counts[RIGHT]} ({counts[RIGHT] / total:.0%}), place only {counts[PLACED]}, "
        f"wrong cause {counts[WRONG]}"
    )


if __name__ == "__main__":
    main()
