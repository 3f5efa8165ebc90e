"""What the check of a conversion costs: a Llama of 1.1 billion parameters in 4 bits, by depth.

python -m twins.export.bench.checking [layers ...]

The sizes are those of TinyLlama (Zhang et al. 2024, https://arxiv.org/abs/2401.02385), the weights random.
Each depth is measured in a process of its own; the first conversion of a process is not counted.
"""

import argparse
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from mlx_coreml.conversion.convert import convert
from twins.frameworks import mx
from twins.machine import fresh_process

DEPTHS = (2, 4, 8, 22)
SIZES = {"hidden_size": 2048, "intermediate_size": 5632, "num_attention_heads": 32, "num_key_value_heads": 4}
VOCABULARY, TOKENS, GROUP, BITS = 32_000, 8, 64, 4
LIMITS = {"ratio": 1.0, "peak": 6.0, "growth": 1.25}  # check over conversion; GB; later over earlier layers
HEADER = "layers  parameters  conversion s  check s  ratio  of CPU time  peak GB  error"


def llama(layers: int) -> Any:
    """A Llama of mlx-lm with random weights, packed to 4 bits with bfloat16 scales."""
    import mlx.nn as mnn
    from mlx_lm.models import llama as models

    mx.random.seed(0)
    options = {"num_hidden_layers": layers, "rms_norm_eps": 1e-5, "vocab_size": VOCABULARY, **SIZES}
    model = models.Model(models.ModelArgs("llama", **options))
    model.set_dtype(mx.bfloat16)
    mnn.quantize(model, GROUP, BITS)
    mx.eval(model.parameters())
    return model


def measured(layers: int) -> dict[str, Any]:
    """The work of a fresh process: seconds of conversion and check, peak of memory, the error found.

    On a machine with other work, the ratio of CPU seconds (`cpu`) says more than that of seconds.
    """
    convert(lambda x: mx.tanh(x), mx.zeros((1, 2)))  # imports coremltools and torch
    model, example = llama(layers), mx.arange(TOKENS)[None]
    seconds, busy = {}, {}
    for check in ("off", "full"):
        package = None  # nobody has two packages of one model
        start, started = time.perf_counter(), time.process_time()
        package = convert(model, example, deployment_target="iOS18", check=check)
        seconds[check], busy[check] = time.perf_counter() - start, time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    found = package.user_defined_metadata
    return {
        "layers": layers,
        "parameters": parameters(layers),
        "conversion": seconds["off"],
        "check": seconds["full"] - seconds["off"],
        "cpu": busy["full"] / busy["off"] - 1,
        "call": (busy["full"] - busy["off"]) / len(found["check_calls"].split(", ")),
        "peak": peak,
        "verified": found["verified"],
        "calls": found["check_calls"],
    }


def parameters(layers: int) -> int:
    """How many numbers the weights of that many layers stand for."""
    width, inner = SIZES["hidden_size"], SIZES["intermediate_size"]
    kept = width * SIZES["num_key_value_heads"] // SIZES["num_attention_heads"]
    layer = 2 * width * width + 2 * width * kept + 3 * width * inner + 2 * width
    return layers * layer + 2 * VOCABULARY * width + width


def growth(runs: Sequence[Mapping[str, Any]]) -> float:
    """CPU seconds of a call for another layer between the last two depths, over those before."""
    first, middle, last = (runs[0], runs[-2], runs[-1])
    late = (last["call"] - middle["call"]) / (last["layers"] - middle["layers"])
    return late * (middle["layers"] - first["layers"]) / (middle["call"] - first["call"])


def line(run: Mapping[str, Any]) -> str:
    """One row of the table."""
    error = run["verified"].partition("error ")[2].partition(" ")[0]
    return (
        f"{run['layers']:>6}{run['parameters'] / 1e9:>10.2f} B{run['conversion']:>14.1f}{run['check']:>9.1f}"
        f"{run['check'] / run['conversion']:>7.2f}{run['cpu']:>13.2f}{run['peak'] / 2**30:>9.2f}  {error}"
    )


def main() -> int:
    """Print a row for each depth and the three goals; 1 when one of them is missed."""
    parser = argparse.ArgumentParser(prog="python -m twins.export.bench.checking", description=__doc__)
    parser.add_argument("layers", nargs="*", type=int, default=list(DEPTHS), help="depths, ascending")
    runs = []
    print(HEADER)
    for layers in parser.parse_args().layers:
        runs.append(fresh_process.call("twins.export.bench.checking:measured", {"layers": layers}))
        print(line(runs[-1]), flush=True)
    last = runs[-1]
    found = {"ratio": last["check"] / last["conversion"], "peak": last["peak"] / 2**30}
    found |= {"growth": growth(runs)} if len(runs) > 2 else {}
    print(f"calls of the check at {last['layers']} layers: {last['calls']}; {last['verified']}")
    for name, value in found.items():
        verdict = "reached" if value <= LIMITS[name] else "MISSED"
        print(f"{name:<8}{value:6.2f}  goal {LIMITS[name]:.2f}: {verdict}")
    return int(any(value > LIMITS[name] for name, value in found.items()))


if __name__ == "__main__":
    sys.exit(main())
