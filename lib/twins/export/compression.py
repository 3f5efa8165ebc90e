"""How much quality a trained model loses when its package is compressed, measured on held-out data.

Two families: coremltools' own methods on the package, and MLX's quantization carried over by the converter.
Every point is checked: against the same quantized MLX module, or against coremltools' own decompression.
https://apple.github.io/coremltools/docs-guides/source/opt-overview.html
"""

import itertools
import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import coremltools.optimize.coreml as cto
import msgspec
import numpy as np
from msgspec.structs import replace

from coreml_runtime import Model, load
from coreml_runtime.verification import native_core_ml
from coreml_runtime.verification.comparison import Report, compare, verify
from coreml_runtime.verification.divergence import rms_relative
from twins.evidence.answers.frontier import FROM_MLX, UNCOMPRESSED
from twins.export import trained_models
from twins.export.compressors import METHODS, Bench, named, quantized_module, quiet, unloaded
from twins.export.conversion_process import line_of
from twins.export.trained_models import Arrays, Predict, Trained
from twins.machine import fresh_process
from twins.records.export_types import Compressed
from twins.timing.progress import tell

import mlx.nn as mnn  # isort: skip  (after twins.export.trained_models: the BLAS)

LOSSY = 0.1  # rms-relative against the uncompressed source: within it a point counts as close
ROUNDING = 5e-3  # rms-relative against the same compressed weights: what computing in fp16 may cost
CORE_ML = "Core ML"
MLX_BITS = (8, 4)


@dataclass(frozen=True)
class Point:
    """A package, how it was made, and the result of its verification."""

    family: str
    setting: str
    package: Path
    line: str


def points(bench: Bench, families: Iterable[str], groups: Iterable[int]) -> Iterator[Point]:
    """Every package of a model: the uncompressed ones, coremltools' families, MLX's with these groups."""
    for precision in ("float32", "float16"):
        package = bench.uncompressed(precision)
        yield Point(UNCOMPRESSED, precision, package, line_of(_checked(bench, bench.model.mlx, package)))
    for family in families:
        for setting, make in METHODS[family].items():
            with quiet():
                package = bench.saved(make(bench), f"{family} {setting}")
                line = _decompressed(bench, package)
            yield Point(family, setting, package, line)
    for bits, group in itertools.product(MLX_BITS, groups):
        smaller = quantized_module(bench.model.mlx, bits, group)
        if smaller is not None:
            setting = f"{bits} bit, groups of {group}"
            package = bench.saved(bench.converted(smaller), f"{FROM_MLX} {setting}")
            yield Point(FROM_MLX, setting, package, line_of(_checked(bench, smaller, package)))


def _checked(bench: Bench, module: mnn.Module, package: Path) -> Report:
    """The package against the module it was made of, strict and exact."""
    inputs = dict(zip(load(package).inputs, bench.example, strict=True))
    return verify(module, package, inputs, framework="mlx")


def _decompressed(bench: Bench, package: Path) -> str:
    """The comparison of a compressed package with coremltools' own decompression of it, in one line."""
    with tempfile.TemporaryDirectory() as folder:
        unpacked = Path(folder) / "unpacked.mlpackage"
        cto.decompress_weights(unloaded(package)).save(str(unpacked))
        found, wanted = ([_first(load(path), bench.model)] for path in (package, unpacked))
    row = compare("reference strict", "output", found, wanted, ROUNDING)
    return f"{line_of(Report(package.name, ROUNDING, (row,)))}; against coremltools' decompression"


def _first(model: Model, given: Trained) -> np.ndarray:
    return _runs(model, given)(given.example)


def _runs(model, given: Trained) -> Predict:
    """A package, by the runtime or by Core ML, as a function of inputs in MLX's layout."""

    def predict(arrays: Arrays) -> np.ndarray:
        (output,) = model.predict(named(given, arrays)).values()
        return np.asarray(output)

    return predict


def runtimes(package: Path) -> dict[str, object]:
    """The runtimes that can run a package here: the reference runtime, and Core ML's CPU where it exists."""
    found: dict[str, object] = {"reference": load(package)}
    if not native_core_ml.unmet_requirement(package):
        found[CORE_ML] = native_core_ml.model(package)
    return found


def measured(bench: Bench, point: Point) -> Iterator[Compressed]:
    """The metric over the held-out data on every runtime there is here, sizes, and the error."""
    given = bench.model
    size = sum(file.stat().st_size for file in point.package.rglob("*") if file.is_file())
    weights = sum(file.stat().st_size for file in point.package.rglob("weight.bin"))
    for runtime, model in runtimes(point.package).items():
        kept: list[np.ndarray] = []
        run = _runs(model, given)
        value, total = trained_models.score(
            given, lambda arrays, run=run, kept=kept: _keep(kept, run(arrays))
        )
        a, b = (np.concatenate([x.ravel() for x in each]) for each in (kept, bench.wanted))
        error = float(rms_relative(a.astype(np.float64), b.astype(np.float64)))
        family = point.family if runtime == "reference" else f"{point.family} on {runtime}"
        line = f"{point.line}; {lossy(error)}"
        record = Compressed(
            given.name, family, point.setting, size, weights, given.metric, value, total, error, line
        )
        yield record if math.isfinite(error) else replace(record, error=0.0, line=f"{line}; not finite")


def _keep(kept: list[np.ndarray], found: np.ndarray) -> np.ndarray:
    kept.append(found)
    return found


def lossy(error: float) -> str:
    """The loss in words: within or beyond the tolerance against the uncompressed source."""
    side = "within" if error <= LOSSY else "beyond"
    return f"held-out error against float32 MLX {error:.1e}, {side} {LOSSY:.0e}"


def frontier(
    models: Sequence[Trained], folder: Path, families: Iterable[str] = tuple(METHODS), groups=(32, 64, 128)
) -> Iterator[Compressed]:
    """Every point of every model, compressed in separate processes at once: nothing is timed.

    Packages lie in a folder for each model. Errors: ValueError for an unknown family.
    """
    families = list(families)
    if unknown := [name for name in families if name not in METHODS]:
        raise ValueError(f"compression {unknown[0]!r} is not known; known are {', '.join(METHODS)}")
    jobs = [
        {"name": model.name, "size": model.size, "folder": str(folder / model.name)}
        | {"families": families, "groups": list(groups)}
        for model in models
    ]
    with ThreadPoolExecutor(max_workers=max(1, min(len(jobs), os.cpu_count() or 1))) as threads:
        for found in threads.map(lambda job: fresh_process.call(f"{__name__}:compressed", job), jobs):
            yield from (msgspec.convert(each, Compressed) for each in found)


def compressed(name: str, size: str, folder: str, families: list[str], groups: list[int]) -> list[dict]:
    """The work of a process: every point of one model, measured once it is made, in plain form."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    bench = Bench(trained_models.load(name, size), Path(folder))
    found = []
    for point in points(bench, families, groups):
        tell(f"{name}: {point.family}, {point.setting}")
        found += measured(bench, point)
    return [msgspec.to_builtins(each) for each in found]
