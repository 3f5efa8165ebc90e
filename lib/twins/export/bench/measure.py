"""Accuracy, speed and loading of the reference runtime; a saved package and its source in, one record out."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import coremltools as ct
import numpy as np
import psutil
import torch
from coremltools.converters.mil.mil import Builder as mb

from coreml_runtime import load
from coreml_runtime.verification.comparison import verify


@dataclass(frozen=True)
class Measurement:
    """One package: rms-relative errors in both readings of fp16, milliseconds next to torch eager."""

    network: str
    version: str
    strict: float
    exact: float
    torch_ms: float
    runtime_ms: float

    @property
    def ratio(self) -> float:
        """The runtime's time over torch's."""
        return self.runtime_ms / self.torch_ms


def measure(
    network: str, version: str, module, package: Path, calls, source=None, repeats: int = 7
) -> Measurement:
    """Errors over the calls, which share a state, and times of the first, alternating with torch.

    Errors are against `source`, by default the module.
    """
    report = verify(source or module, package, calls, framework="torch", compute_units=(), tolerance=np.inf)
    worst = {row.runtime.removeprefix("reference "): row.rms_relative for row in report.rows}
    first = calls if isinstance(calls, dict) else calls[0]
    model = load(package)
    state = model.make_state() if model.states else None
    tensors = [torch.from_numpy(x) for x in first.values()]
    with torch.no_grad():
        eager, runtime = alternated(lambda: module(*tensors), lambda: model.predict(first, state), repeats)
    return Measurement(network, version, worst["strict"], worst["exact"], 1e3 * eager, 1e3 * runtime)


def alternated(first: Callable, second: Callable, repeats: int) -> tuple[float, float]:
    """Median seconds of two callables, run in turn after one warm-up each."""
    first(), second()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for function, kept in zip((first, second), times, strict=True):
            start = time.perf_counter()
            function()
            kept.append(time.perf_counter() - start)
    return statistics.median(times[0]), statistics.median(times[1])


def write_large(path: Path, gigabytes: float = 1.0, width: int = 8192) -> Path:
    """Write a package of float32 square matrices, `gigabytes` in all."""
    count = round(gigabytes * 2**30 / (4 * width**2))

    @mb.program(input_specs=[mb.TensorSpec(shape=(1, width))], opset_version=ct.target.iOS17)
    def program(x):
        for i in range(count):
            weight = np.full((width, width), 1 / width, np.float32)
            weight[0, 0] = i  # equal constants would be stored once
            x = mb.linear(x=x, weight=weight)
        return x

    model = ct.convert(
        program,
        minimum_deployment_target=ct.target.iOS17,
        compute_precision=ct.precision.FLOAT32,
        pass_pipeline=ct.PassPipeline.EMPTY,
    )
    model.save(str(path))
    return path


def loading(package: str) -> dict[str, float]:
    """The work of a fresh process: bytes of a package's weights, seconds to load it, resident bytes added."""
    process = psutil.Process()
    before, start = process.memory_info().rss, time.perf_counter()
    load(package)
    seconds = time.perf_counter() - start
    weights = sum(file.stat().st_size for file in Path(package).rglob("*.bin"))
    return {"weights": weights, "seconds": seconds, "resident": process.memory_info().rss - before}
