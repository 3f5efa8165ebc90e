"""Every public figure function with arguments from the committed records, by name."""

from collections.abc import Callable
from functools import cache

import numpy as np

from twins.evidence import roofline, summary
from twins.evidence.answers import training
from twins.evidence.published import published_benchmarks, published_comparison, published_counts
from twins.export import conversions
from twins.figures import (
    answer_figures,
    compression_figures,
    conversion_figures,
    machine_figures,
    published_figures,
    roofline_figures,
    style,
    training_figures,
    transfer_figures,
    vision_figures,
)
from twins.inference import tables
from twins.records import measurements, store
from twins.records.record_types import Breadth, Compressed, Conversion, Fit, Memory, Sharing, Timing, Traffic, Work
from twins.timing import comparison
from twins.timing.ceilings import ceilings

MACHINE = "intel-xeon-processor-24gb"
CLASSES = ("aeroplane", "passenger car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "lorry")


@cache
def records() -> tuple:
    """What the summary's machine measured, newest of each session."""
    return tuple(summary.evidence(store.read(store.ROOT / "data" / "results"), MACHINE))


def of(kind: type, page: str = "", subject: str = "") -> list:
    """The bodies of one kind, of one page and subject."""
    found = [r.body for r in records() if isinstance(r.body, kind) and r.notebook.startswith(page)]
    return [body for body in found if not subject or body.subject == subject]


def steps(page: str) -> list[Timing]:
    """Training steps of one page in one session, by batch."""
    found = {str(t.case): t for t in of(Timing, page, "training step")}
    return sorted(found.values(), key=lambda t: t.case["batch"])


def newest(bodies: list, key: Callable) -> list:
    """The last of each key."""
    return list({key(body): body for body in bodies}.values())


def shares():
    works = newest(of(Work, "02"), lambda w: str(w.case))
    return ceilings.utilisation(steps("02"), works, ceilings.peaks(of(Timing, "01", "matmul")))


def layers() -> list[Timing]:
    return newest(of(Timing, "04", "layer"), lambda t: str(t.case))


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
    return machine_figures.machines(many, "transformer_lm, batch 16")


def pictures():
    batch = np.random.default_rng(0).random((10, 32, 32, 3))
    return vision_figures.pictures(batch, np.arange(10), CLASSES, "A batch of training images")


def peak() -> float:
    return ceilings.peaks(of(Timing, "01", "matmul"))["float32"]


def spoken(*subjects):
    return tables.comparisons(of(Timing, "06"), *subjects)


def converted() -> list[Conversion]:
    every = [*of(Conversion, "07"), *of(Conversion, "08")]
    trained = {name for name in conversions.trained_models.load_names()} if False else None
    return every


FIGURES: dict[str, Callable[[], style.Figure]] = {
    "answer": answered,
    "nothing": lambda: style.nothing("no timing of both frameworks was recorded on this machine yet"),
    "ratios": lambda: training_figures.ratios(summary.headline(list(records())), "Training step"),
    "ratios, everything": lambda: training_figures.ratios(summary.everything(list(records())), "All twins"),
    "ratios, layers": lambda: training_figures.ratios(vision_figures.layers(layers()), "Single layers"),
    "ratios, decoding": lambda: training_figures.ratios(spoken("token", "run"), "Decoding"),
    "machines": lambda: machine_figures.machines(
        summary.side_by_side({MACHINE: list(records())}, "transformer_lm, batch 16"), "transformer_lm, batch 16"
    ),
    "machines, many": lambda: machines(60),
    "losses": lambda: training_figures.losses(of(Fit, "02")[0]),
    "losses, long": lambda: training_figures.losses(of(Fit, "03")[-1]),
    "samples": lambda: training_figures.samples(steps("02")[-1]),
    "scaling": lambda: training_figures.scaling(steps("02"), "sequence"),
    "parts": lambda: training_figures.parts(of(Timing, "02", "parts")[-1:]),
    "shares": lambda: training_figures.shares(shares()),
    "memory": lambda: training_figures.memory(newest(of(Memory, "02"), lambda m: m.arm)),
    "products": lambda: training_figures.products(newest(of(Timing, "01", "matmul"), lambda t: str(t.case))),
    "pictures": pictures,
    "sweep, kernel": lambda: vision_figures.sweep(layers(), "kernel", peak()),
    "sweep, batch": lambda: vision_figures.sweep(layers(), "batch", peak()),
    "hand-overs": lambda: transfer_figures.times(of(Timing, "05", "hand-over"), of(Sharing, "05")),
    "copying": lambda: transfer_figures.shares(of(Timing, "05", "switching")),
    "conversions": lambda: conversion_figures.seconds(converted()),
    "frontier": lambda: compression_figures.frontier(of(Compressed, "09")),
    "by generation": lambda: published_figures.by_generation(counted()),
    "by chip": lambda: published_figures.by_chip(counted()),
    "by year": lambda: published_figures.by_year(counted()),
    "operations": lambda: published_figures.operations(
        counted(), ["op Linear", "op MatMul", "op Conv2d", "op Softmax"]
    ),
    "beside": beside,
    "breadth": lambda: published_figures.breadth(newest(of(Breadth, "11"), lambda b: (b.framework, b.group))),
    "roofs": roofs,
    "published shares": published_shares,
}
