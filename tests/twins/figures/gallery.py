"""Every public figure function with arguments from the committed records, by name."""

from collections.abc import Callable
from functools import cache

import numpy as np

from twins.evidence import roofline, summary
from twins.evidence.answers import training
from twins.evidence.published import published_benchmarks, published_comparison, published_counts
from twins.figures import (
    answer_figures,
    compression_figures,
    conversion_figures,
    finetuning_figures,
    machine_figures,
    published_figures,
    roofline_figures,
    style,
    training_figures,
    transfer_figures,
    vision_figures,
)
from twins.records import store
from twins.records.export_types import Compressed, Conversion
from twins.records.record_types import Breadth, Fit, Footprint, Memory, Sharing, Timing, Traffic, Work
from twins.timing.ceilings import ceilings

MACHINE = "intel-xeon-processor-24gb"
MODELS = ("transformer_lm", "bert", "resnet", "vit")
CLASSES = ("aeroplane", "passenger car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "lorry")


@cache
def records() -> tuple:
    """What the summary's machine measured, newest of each session."""
    return tuple(summary.evidence(store.read(store.ROOT / "data" / "results"), MACHINE))


def of(kind: type, page: str = "", subject: str = "") -> list:
    """The bodies of one kind, of one page and subject."""
    found = [r.body for r in records() if isinstance(r.body, kind) and r.notebook.startswith(page)]
    return [body for body in found if not subject or body.subject == subject]


def every(kind: type, page: str) -> list:
    """The bodies of one kind and page, of whichever session; the newest of every case."""
    found = store.read(store.ROOT / "data" / "results").records
    own = [r.body for r in found if r.machine == MACHINE and r.notebook.startswith(page)]
    return newest([b for b in own if isinstance(b, kind)], lambda b: f"{b.case} {getattr(b, 'arm', '')}")


def steps(page: str) -> list[Timing]:
    """Training steps of one page in one session, by batch."""
    found = {str(t.case): t for t in of(Timing, page, "training step")}
    return sorted(found.values(), key=lambda t: t.case["batch"])


def newest(bodies: list, key: Callable) -> list:
    """The last of each key."""
    return list({key(body): body for body in bodies}.values())


def shares():
    works = every(Work, "02")
    return ceilings.utilisation(steps("02"), works, ceilings.peaks(of(Timing, "01", "matmul")))


def layers() -> list[Timing]:
    return newest(of(Timing, "04", "layer"), lambda t: str(t.case))


def handed(subject: str, size: str) -> list[Timing]:
    found = newest(of(Timing, "05", subject), lambda t: str(t.case))
    return sorted(found, key=lambda t: t.case[size])


def counted():
    rows, audited = published_benchmarks.benchmarks(), published_benchmarks.audit()
    return published_counts.select(rows, audited).counted


def beside():
    pairs = published_comparison.pairs(counted(), store.Found(list(records()), []), MACHINE)
    return published_figures.beside(pairs, "Intel Xeon Processor")


def roofs():
    chips = roofline.roofs(published_benchmarks.chips(), ["M1", "M5", "M3 Max", "M3 Ultra"])
    loads = roofline.loads([*of(Work, "11"), *of(Traffic, "11")])
    here = roofline.Roof("this machine", ceilings.ceiling(of(Timing, "01", "matmul")), 8e9)
    timed = roofline.timed(store.Found(list(records()), []), MACHINE)
    return roofline_figures.roofs(loads, chips, here, timed)


def published_shares():
    rows, chips = published_benchmarks.benchmarks(), published_benchmarks.chips()
    return roofline_figures.shares(roofline.published_shares(published_benchmarks.workloads(), rows, chips))


def answered():
    told = training.answer(list(records()))
    return answer_figures.steps(told.cases, told.finding)


def machines(count: int):
    rows = summary.headline(list(records()))
    many = (rows * (1 + count // len(rows)))[:count]
    return machine_figures.machines(many, "GPT, batch 16")


def needed():
    """What public models need, of the machine whose page was run."""
    found = store.read(store.ROOT / "data" / "results").records
    return finetuning_figures.needs([r.body for r in found if isinstance(r.body, Footprint)])


def pictures():
    batch = np.random.default_rng(0).random((10, 32, 32, 3))
    return vision_figures.pictures(batch, np.arange(10), CLASSES, "A batch of training images")


def peak() -> float:
    return ceilings.peaks(of(Timing, "01", "matmul"))["float32"]


def converted() -> list[Conversion]:
    found = [*of(Conversion, "07"), *of(Conversion, "08")]
    return [record for record in found if record.model in MODELS]


FIGURES: dict[str, Callable[[], style.Figure]] = {
    "answer_figures.steps": answered,
    "style.nothing": lambda: style.nothing("no timing of both frameworks was recorded on this machine yet"),
    "training_figures.ratios": lambda: training_figures.ratios(
        summary.headline(list(records())), "Training step"
    ),
    "machine_figures.machines": lambda: machine_figures.machines(
        summary.side_by_side({MACHINE: list(records())}, "GPT, batch 16"),
        "GPT, batch 16",
    ),
    "machine_figures.machines, many": lambda: machines(60),
    "training_figures.losses": lambda: training_figures.losses(of(Fit, "02")[0]),
    "training_figures.samples": lambda: training_figures.samples(steps("02")[-1]),
    "training_figures.scaling": lambda: training_figures.scaling(steps("02"), "sequence"),
    "training_figures.parts": lambda: training_figures.parts(of(Timing, "02", "parts")[-1:]),
    "training_figures.shares": lambda: training_figures.shares(shares()),
    "training_figures.memory": lambda: training_figures.memory(every(Memory, "02")),
    "training_figures.products": lambda: training_figures.products(
        newest(of(Timing, "01", "matmul"), lambda t: str(t.case))
    ),
    "vision_figures.pictures": pictures,
    "vision_figures.sweep": lambda: vision_figures.sweep(layers(), "kernel", peak()),
    "transfer_figures.times": lambda: transfer_figures.times(handed("hand-over", "bytes"), of(Sharing, "05")),
    "transfer_figures.shares": lambda: transfer_figures.shares(handed("switching", "n")),
    "conversion_figures.seconds": lambda: conversion_figures.seconds(converted()),
    "compression_figures.frontier": lambda: compression_figures.frontier(of(Compressed, "09")),
    "published_figures.by_generation": lambda: published_figures.by_generation(counted()),
    "published_figures.by_chip": lambda: published_figures.by_chip(counted()),
    "published_figures.by_year": lambda: published_figures.by_year(counted()),
    "published_figures.operations": lambda: published_figures.operations(
        counted(), ["op Linear", "op MatMul", "op Conv2d", "op Softmax"]
    ),
    "published_figures.beside": beside,
    "published_figures.breadth": lambda: published_figures.breadth(
        newest(of(Breadth, "11"), lambda b: (b.framework, b.group))
    ),
    "finetuning_figures.needs": needed,
    "roofline_figures.roofs": roofs,
    "roofline_figures.shares": published_shares,
}
