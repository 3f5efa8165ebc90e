"""`make bench`: our steps against their peers, as interleaved ratios with intervals and an A/A variant."""

from collections.abc import Iterator
from itertools import chain, product

from twins import frameworks
from twins.timing import harness, statistics
from twins.timing.harness import Plan
from twins.timing.statistics import AGAIN

CONFIG = {"vocabulary": 1024, "context": 64, "width": 128, "layers": 4, "heads": 4}
BATCH = 8
PLAN = Plan(processes=5, rounds=8, block=4)
SLOW_PLAN = Plan(processes=5, rounds=5, block=3)  # where a step takes a tenth of a second and more
# The module of each network, what its function takes, and how long it is timed.
NETWORKS = {
    "GPT": ("language_models", {"config": CONFIG, "batch": BATCH}, PLAN),
    "BERT": ("bert_models", {"config": CONFIG | {"layers": 2, "heads": 2}, "batch": BATCH}, PLAN),
    "ResNet-18": ("vision_models", {"size": 16, "batch": 2}, SLOW_PLAN),
}
STEPS = (("torch", False), ("mlx", False), ("mlx", True))  # framework, and whether the step is compiled


def step_rows() -> Iterator[str]:
    """Our step of every network over each peer's; goal at most 1.00."""
    for (name, (module, sizes, plan)), (framework, compiled) in product(NETWORKS.items(), STEPS):
        arguments = sizes | {"framework": framework, "compiled": compiled}
        runs = harness.measure(f"twins.timing.peers.{module}:step_variants", arguments, plan)
        mode = "compiled" if compiled else "eager"
        yield from rows(f"{name}, {framework} step, {mode}, ours", runs, "ours", 1.00)


def harness_rows() -> Iterator[str]:
    """The timing harness over a bare loop of the same steps; goal at most 1.01."""
    runs = harness.measure(
        "twins.timing.peers.language_models:harness_variants", {"config": CONFIG, "batch": 1}, PLAN
    )
    ratio = statistics.ratio(runs, "the timing harness", "a bare loop")
    yield row("the timing harness ÷ a bare loop", ratio, 1.01)
    yield from (row("  A/A", ratio, None) for ratio in statistics.same(runs).values())


def rows(what: str, runs: list[statistics.Run], ours: str, goal: float) -> Iterator[str]:
    """A line per peer, and the A/A line."""
    for name in statistics.variant_names(runs):
        if name != ours and not name.endswith(AGAIN):
            yield row(f"{what} ÷ {name}", statistics.ratio(runs, ours, name), goal)
    yield from (row("  A/A", ratio, None) for ratio in statistics.same(runs).values())
    yield from (f"  {sentence}" for sentence in statistics.warnings(runs))


def row(what: str, ratio: statistics.Ratio, goal: float | None) -> str:
    """One ratio with its interval and, where there is one, its goal and whether the interval reaches it."""
    if goal is None:
        return f"{what:<78}{ratio}"
    verdict = "reached" if ratio.value <= goal else "within its interval" if ratio.low <= goal else "MISSED"
    return f"{what:<78}{ratio}  goal {goal:.2f}: {verdict}"


def main() -> None:
    """Print every ratio as it is measured."""
    print(
        f"time ratios, below 1 ours is faster; {frameworks.MLX.device}, "
        f"{frameworks.THREADS} thread(s), batch {BATCH}, {CONFIG}"
    )
    for line in chain(step_rows(), harness_rows()):
        print(line, flush=True)


if __name__ == "__main__":
    main()
