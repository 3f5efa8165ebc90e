"""The command line: converts models and language models, measures the coverage, writes a Swift package.

Exit codes: 0 success; 1 the model has operations that cannot be converted, or differs from MLX, or a case of
coverage is neither right nor refused; 2 an error in what was given, in one sentence.
"""

import argparse
import importlib
import inspect
import json
import operator
import re
import sys
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlx_coreml.ir.errors import MISTAKES, ConversionError, UnsupportedError, WrongModelError, told

if TYPE_CHECKING:
    import coremltools as ct
    import mlx.core as mx
    import numpy as np

# What argparse is told of each command, by an example of it.
OPTIONS: dict[str, dict[str, dict]] = {
    "convert network:Classifier --example 1,28,28,1:float32 -o Classifier.mlpackage": {
        "module:callable": {"help": "an MLX module, a class without required arguments, or a function"},
        "--example": {"action": "append", "required": True, "help": "x.npy, shape:type, several: x.npz"},
        "--output -o": {"type": Path, "required": True, "help": "the .mlpackage or .aimodel to write"},
        "--to": {
            "default": "coreml",
            "choices": ("coreml", "coreai"),
            "help": "the format (default: coreml)",
        },
        "--weights": {"type": Path, "help": "a .safetensors file with exactly the module's parameters"},
        "--outputs": {"type": lambda text: text.split(","), "help": "names of the outputs: logits,features"},
        "--flexible": {"action": "append", "default": [], "help": "a range of sizes: name:axis=low..high"},
        "--precision": {"default": "float16", "help": "float16 (the default), mixed or float32"},
        "--random": {"default": "refuse", "help": "what is drawn at random: refuse (the default) or input"},
        "--deployment-target --target": {"default": "iOS17", "help": "the oldest system (default: iOS17)"},
        "--no-check": {"action": "store_true", "help": "do not compare with MLX, which needs torch"},
        "--json": {"action": "store_true", "help": "print what was written as JSON"},
    },
    "coverage --group layer --name Conv2d": {
        "--group": {"action": "append", "help": "default: all; an unknown one lists them; may repeat"},
        "--name": {"default": "", "help": "only cases whose name contains this"},
        "--every": {"type": int, "default": 1, "help": "only every n-th case"},
        "--jobs": {"type": int, "default": 1, "help": "worker processes"},
        "--precision": {"default": "float32", "help": "float32, float16 or mixed"},
        "--to": {
            "default": "coreml",
            "choices": ("coreml", "coreai"),
            "help": "the format (default: coreml)",
        },
        "--limit": {"type": float, "default": 120, "help": "seconds per case"},
        "--examples": {"type": int, "default": 4, "help": "names per cause"},
        "--results": {"type": Path, "default": Path("build/coverage/mlx.csv"), "help": "the CSV file"},
    },
    "swift Classifier.mlpackage build/ios/Classifier": {
        "package": {"type": Path, "help": "the .mlpackage or .aimodel"},
        "folder": {"type": Path, "help": "where the Swift package is written"},
    },
    "llm Qwen3-0.6B-4bit -o build/qwen": {
        "folder": {"type": Path, "help": "config.json, model*.safetensors and a tokenizer, as mlx-lm reads"},
        "--output-folder -o": {"type": Path, "required": True, "help": "where everything is written"},
        "--name": {"default": "Model", "help": "the name of the .mlpackage (default: Model)"},
        "--bits": {"type": int, "help": "quantize weights that are not yet: 4 or 8"},
        "--group-size": {"type": int, "default": 64, "help": "numbers that share a scale (default: 64)"},
        "--context": {"type": int, "help": "tokens the caches hold (default: 2048, or all the model can)"},
        "--prefill": {"type": int, "help": "tokens of a prompt taken at once (default: 64)"},
        "--output": {"default": "logits", "help": "logits (the default), or token: the likeliest one"},
        "--precision": {"default": "float16", "help": "float16 (the default), mixed or float32"},
        "--check": {"type": int, "default": 8, "help": "greedy tokens to compare with mlx-lm (default: 8)"},
        "--no-check": {"action": "store_true", "help": "compare none; the check needs torch"},
        "--json": {"action": "store_true", "help": "print what was written as JSON"},
    },
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except (UnsupportedError, WrongModelError) as error:
        code, text = 1, str(error)
    except (ConversionError, OSError) as error:
        code, text = 2, str(error)
    except ImportError as error:
        code, text = 2, f"{error}; in a checkout, `pip install './lib/mlx_coreml[check,coverage]'` brings it"
    except MISTAKES as error:  # of the user's own code, or of MLX about it
        code, text = 2, told(error)
    print(f"error: {text}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mlx-coreml", description="Converts MLX models to Core ML.")
    commands = parser.add_subparsers(required=True)
    for run, (example, options) in zip((_convert, _coverage, _swift, _llm), OPTIONS.items(), strict=True):
        summary = run.__doc__
        command = commands.add_parser(example.split()[0], help=summary, description=summary)
        command.epilog = f"Example: mlx-coreml {example}"
        command.set_defaults(run=run)
        for name, option in options.items():
            command.add_argument(*name.split(), **option)
    return parser


def _convert(options: argparse.Namespace) -> int:
    """Convert an MLX module or function to Core ML or Core AI, and compare the result with MLX."""
    ending = {"coreml": ".mlpackage", "coreai": ".aimodel"}[options.to]
    if options.output.suffix != ending:
        raise ConversionError(f"the output is '{options.output}'; its name must end with {ending}")
    import numpy as np

    from mlx_coreml.conversion.convert import convert

    rng = np.random.default_rng(0)
    example = [array for text in options.example for array in _arrays(text, rng)]
    asked = {
        name: vars(options)[name] for name in ("outputs", "precision", "deployment_target", "random", "to")
    }
    asked |= {"flexible": _flexible(options.flexible), "check": not options.no_check}
    fn = _callable(vars(options)["module:callable"], options.weights)
    with warnings.catch_warnings(record=True) as met:
        warnings.simplefilter("always")
        model = convert(fn, *example, **asked)
    for each in met:
        print(f"warning: {each.message}", file=sys.stderr)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    model.save(str(options.output))
    summary = {"package": str(options.output), **_summary(model)}
    print(json.dumps(summary) if options.json else "\n".join(f"{k}: {v}" for k, v in summary.items()))
    return 0


def _coverage(options: argparse.Namespace) -> int:
    """Convert, run and compare cases of every operation, layer, loss and architecture; print a table."""
    from mlx_coreml.coverage.measure import measure

    return 0 if measure(options) else 1


def _swift(options: argparse.Namespace) -> int:
    """Write a Swift package around a package or an asset: a typed wrapper, a demo and a test."""
    from mlx_coreml.swift import asset_package, swift_package

    of = asset_package if options.package.suffix == asset_package.SUFFIX else swift_package
    written = of.write(options.package, options.folder)
    print(f"{written}: {swift_package.check(written)}")
    return 0


def _llm(options: argparse.Namespace) -> int:
    """Convert a folder of mlx-lm to a stateful package with a tokenizer and a Swift text generator."""
    from mlx_coreml.language_models import export

    names = ("bits", "group_size", "name", "context", "prefill", "output", "precision")
    asked = {name: vars(options)[name] for name in names if vars(options)[name] is not None}
    made = export(
        options.folder,
        options.output_folder,
        check=0 if options.no_check else options.check,
        say=lambda line: print(line, file=sys.stderr),
        **asked,
    )
    shown = {name: str(value) if isinstance(value, Path) else value for name, value in vars(made).items()}
    print(json.dumps(shown) if options.json else "\n".join(f"{k}: {v}" for k, v in shown.items()))
    return 0


def _callable(text: str, weights: Path | None) -> Callable:
    """What module:callable names, an instance if it is a class, with its weights loaded."""
    module, _, name = text.partition(":")
    if not module or not name:
        raise ConversionError(f"'{text}' names no callable; allowed is module:callable")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = operator.attrgetter(name)(importlib.import_module(module))
        if isinstance(found, type):
            inspect.signature(found).bind()
    except (ImportError, SyntaxError, AttributeError) as error:
        raise ConversionError(f"'{text}' cannot be imported: {error}") from error
    except TypeError as error:
        raise ConversionError(f"'{text}' is a class whose instances need arguments: {error}") from error
    found = found() if isinstance(found, type) else found
    if weights:
        if not hasattr(found, "load_weights") or weights.suffix != ".safetensors":
            raise ConversionError(f"weights '{weights}'; allowed is .safetensors for an MLX module")
        found.load_weights(str(weights))
    return found


def _arrays(text: str, rng: "np.random.Generator") -> "list[mx.array]":
    """The arrays of a file, or random numbers of a shape: whole numbers and truth values are 0 and 1."""
    import mlx.core as mx
    import numpy as np

    if text.endswith((".npy", ".npz")):
        try:
            found = np.load(text)
            return [mx.array(found[name]) for name in found] if text[-1] == "z" else [mx.array(found)]
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ConversionError(f"example '{text}' cannot be read: {error}") from error
    sizes, _, word = text.partition(":")
    dtype = getattr(mx, word or "float32", None)
    if not re.fullmatch(r"(\d+(,\d+)*)?", sizes) or not isinstance(dtype, mx.Dtype):
        raise ConversionError(f"example '{text}'; allowed are .npy, .npz, and a shape: 1,28,28,1:float32")
    shape = [int(size) for size in sizes.split(",") if size]
    is_float = mx.issubdtype(dtype, mx.floating)
    return [mx.array(rng.standard_normal(shape) if is_float else rng.integers(0, 2, shape)).astype(dtype)]


def _flexible(texts: Sequence[str]) -> dict[str, dict[int, tuple[int, int]]]:
    ranges: dict[str, dict[int, tuple[int, int]]] = {}
    for text in texts:
        fit = re.fullmatch(r"(\w+):(\d+)=(\d+)\.\.(\d+)", text)
        if not fit:
            raise ConversionError(f"flexible '{text}'; allowed is name:axis=low..high, as in tokens:1=1..512")
        ranges.setdefault(fit[1], {})[int(fit[2])] = (int(fit[3]), int(fit[4]))
    return ranges


def _summary(model: "ct.models.MLModel | Any") -> dict:
    """Inputs and outputs with type and shape, and what the check found."""
    if hasattr(model, "ends"):  # of Core AI
        return {**model.ends(), "check": model.metadata.get("verified", "not checked")}
    description, shown = model.get_spec().description, {}
    for side in ("input", "output"):
        arrays = {feature.name: feature.type.multiArrayType for feature in getattr(description, side)}
        kinds = {name: array.ArrayDataType.Name(array.dataType).lower() for name, array in arrays.items()}
        shown[f"{side}s"] = {name: f"{kinds[name]}{list(array.shape)}" for name, array in arrays.items()}
    return {**shown, "check": model.user_defined_metadata.get("verified", "not checked")}


if __name__ == "__main__":
    sys.exit(main())
