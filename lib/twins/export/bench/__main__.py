"""Prints the accuracy and speed of every network, and the loading of a package of one gigabyte.

python -m twins.export.bench [--networks bert vit ...] [--threads 1] [--no-large]
"""

import argparse
import math
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from coremltools.optimize.coreml import decompress_weights

from twins.export.bench.measure import Measurement, measure, write_large
from twins.export.networks import networks
from twins.machine import fresh_process

LIMITS = {"fp32": 1e-5, "fp16": 5e-3}
COMPRESSION_SOURCE = "convnext"
HEADER = "network           version                strict    exact  torch ms  runtime ms  ratio"


def main() -> int:
    """Measure, print, and return 1 when a limit is exceeded."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        print(HEADER)
        measured = []
        for measurement in measurements(arguments.networks, Path(folder)):
            measured.append(measurement)
            print(_line(measurement), flush=True)
        ratios = [m.ratio for m in measured if m.version in LIMITS]
        ratio = math.exp(sum(map(math.log, ratios)) / len(ratios))
        print(f"geometric mean of the ratios, fp32 and fp16: {ratio:.2f} (limit 2)")
        large = not arguments.no_large and _print_large(Path(folder))
    exceeded = [m for m in measured if not m.strict < LIMITS.get(m.version, math.inf)]
    return int(bool(exceeded) or ratio > 2 or bool(large))


def measurements(names: list[str], folder: Path) -> Iterator[Measurement]:
    """The networks named (all when none is), then compressed versions and the decoder with state."""
    for network in networks.NETWORKS:
        if names and network.name not in names:
            continue
        module, inputs = networks.made(network)
        for precision in LIMITS:
            model = networks.convert(module, inputs, precision)
            package = networks.save(model, folder / f"{network.name}-{precision}.mlpackage")
            yield measure(network.name, precision, module, package, inputs)
        if network.name == COMPRESSION_SOURCE:
            yield from _compressed(network.name, module, inputs, folder)
    if not names or "decoder" in names:
        module, model = networks.convert_decoder()
        package = networks.save(model, folder / "decoder.mlpackage")
        yield measure("decoder", "fp16", module, package, networks.decoder_steps(8))


def _compressed(name: str, module, inputs, folder: Path) -> Iterator[Measurement]:
    """Compressed packages, whose errors are against the same package decompressed by coremltools."""
    for version, (target, compress) in networks.COMPRESSED.items():
        model = compress(networks.convert(module, inputs, "fp16", target))
        package = networks.save(model, folder / f"{name}-{version}.mlpackage")
        dense = networks.save(decompress_weights(model), folder / f"{name}-{version}-dense.mlpackage")
        yield measure(name, version, module, package, inputs, source=networks.as_torch(dense))


def _print_large(folder: Path) -> bool:
    """Load a gigabyte in a fresh process; whether a limit is exceeded."""
    package = write_large(folder / "large.mlpackage")
    loading = fresh_process.call("twins.export.bench.measure:loading", {"package": str(package)})
    megabytes = loading["resident"] / 2**20
    print(
        f"a package of {loading['weights'] / 2**30:.2f} GB loads in {loading['seconds']:.3f} s (limit 3), "
        f"resident memory grows by {megabytes:.0f} MB (limit 100)"
    )
    return loading["seconds"] > 3 or megabytes > 100


def _line(m: Measurement) -> str:
    times = f"{m.torch_ms:>10.2f}{m.runtime_ms:>12.2f}{m.ratio:>7.2f}"
    return f"{m.network:<18}{m.version:<20}{m.strict:>9.1e}{m.exact:>9.1e}{times}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m twins.export.bench", description=__doc__)
    names = [network.name for network in networks.NETWORKS] + ["decoder"]
    parser.add_argument("--networks", nargs="*", default=[], choices=names, help="all when none is given")
    parser.add_argument("--threads", type=int, default=1, help="threads for torch, in both")
    parser.add_argument("--no-large", action="store_true", help="skip the package of one gigabyte")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
