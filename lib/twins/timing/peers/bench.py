"""`make bench`: our steps against their peers, as interleaved ratios with intervals and an A/A variant."""

from collections.abc import Iterator
from itertools import chain

from twins import frameworks
from twins.timing import harness, statistics
from twins.timing.harness import Plan
from twins.timing.statistics import AGAIN

CONFIG = {"vocabulary": 1024, "context": 64, "width": 128, "layers": 4, "heads": 4}
BERT = {"vocabulary": 1024, "context": 64, "width": 128, "layers": 2, "heads": 2}
RESNET = {"size": 16, "batch": 2}
BATCH = 8
PLAN = Plan(processes=5, rounds=8, block=4)
SLOW_PLAN = Plan(processes=5, rounds=5, block=3)  # where a step takes a tenth of a second and more


def torch_rows() -> Iterator[str]:
    """Our torch step over each peer's; goal at most 1.00."""
    runs = harness.measure(
        "twins.timing.peers.language_models:torch_variants", {"config": CONFIG, "batch": BATCH}, PLAN
    )
    yield from rows("torch step, ours", runs, "ours", 1.00)


def mlx_rows(compiled: bool) -> Iterator[str]:
    """Our MLX step over the composition of mlx.nn's layers; goal at most 1.00."""
    runs = harness.measure(
        "twins.timing.peers.language_models:mlx_variants",
        {"config": CONFIG, "batch": BATCH, "compiled": compiled},
        PLAN,
    )
    yield from rows(f"MLX step, {'compiled' if compiled else 'eager'}, ours", runs, "ours", 1.00)


def bert_rows() -> Iterator[str]:
    """Our BERT steps over transformers' BertModel and over mlx.nn's layers; goal at most 1.00."""
    sizes = {"config": BERT, "batch": BATCH}
    runs = harness.measure("twins.timing.peers.bert_models:torch_variants", sizes, PLAN)
    yield from rows("BERT, torch step, ours", runs, "ours", 1.00)
    for compiled in (False, True):
        runs = harness.measure(
            "twins.timing.peers.bert_models:mlx_variants", sizes | {"compiled": compiled}, PLAN
        )
        yield from rows(f"BERT, MLX step, {'compiled' if compiled else 'eager'}, ours", runs, "ours", 1.00)


def resnet_rows() -> Iterator[str]:
    """Our ResNet-18 steps over plain compositions of layers; goal at most 1.00."""
    for framework, compiled in (("torch", False), ("mlx", False), ("mlx", True)):
        arguments = RESNET | {"framework": framework, "compiled": compiled}
        runs = harness.measure("twins.timing.peers.vision_models:step_variants", arguments, SLOW_PLAN)
        name = f"ResNet-18, {framework} step, {'compiled' if compiled else 'eager'}, ours"
        yield from rows(name, runs, "ours", 1.00)


def harness_rows() -> Iterator[str]:
    """The timing harness over a bare loop of the same steps; goal at most 1.01."""
    runs = harness.measure(
        "twins.timing.peers.language_models:harness_variants", {"config": CONFIG, "batch": 1}, PLAN
    )
    yield row(
        "the timing harness ÷ a bare loop", statistics.ratio(runs, "the timing harness", "a bare loop"), 1.01
    )
    yield row("  A/A", statistics.same(runs), None)


def rows(what: str, runs: list[statistics.Run], ours: str, goal: float) -> Iterator[str]:
    """A line per peer, and the A/A line."""
    for name in statistics.variant_names(runs):
        if name != ours and not name.endswith(AGAIN):
            yield row(f"{what} ÷ {name}", statistics.ratio(runs, ours, name), goal)
    yield row("  A/A", statistics.same(runs), None)
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
    sections = torch_rows(), mlx_rows(False), mlx_rows(True), bert_rows(), resnet_rows(), harness_rows()
    for line in chain(*sections):
        print(line, flush=True)


if __name__ == "__main__":
    main()
