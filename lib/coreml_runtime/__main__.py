"""Inspects, runs and verifies saved Core ML packages on the command line.

The exit status is 0 on success, 1 when a verification fails or an operation is not covered, and 2 when an
argument or a file is wrong; one sentence on stderr then says what was found and what is allowed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from coreml_runtime import __version__, inspect, load, verify
from coreml_runtime.execution.model import PRECISIONS
from coreml_runtime.format.specification import coremltools
from coreml_runtime.verification.comparison import as_array
from coreml_runtime.verification.observation import FRAMEWORKS

IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
# What a wrong argument, file, package or source raises; anything else is a fault of this program.
USER_ERRORS = (OSError, ValueError, TypeError, LookupError, RuntimeError, ImportError)
HEADINGS = {
    "refused": "Refused here as by Core ML:",
    "computed": "Computed here as Core ML does:",
    "told": "Not imitated here:",
}
PREDICT = """predict Classifier.mlpackage --input image=cat.png --output outputs.npz

A file is .npy, .npz (its array of the input's name), or an image for an image input. An --output that ends in
.npz is one archive; any other is a folder, with images as .png or .tiff and everything else as .npy."""
VERIFY = """verify Network.mlpackage --source network:model --input x=x.npy
  coreml-runtime verify Network.mlpackage --expected outputs.npz --input x=x.npy

The source is called as it is, so call .eval() on a torch module in its file. Its arguments are the inputs in
their order on the command line. The exit status is 1 if an output differs by more than the tolerance."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except USER_ERRORS as error:
        sentence = " ".join("; ".join([str(error), *getattr(error, "__notes__", ())]).split())
        print(f"coreml-runtime {options.command}: {sentence}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="coreml-runtime", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(run: Callable[[argparse.Namespace], int], text: str, more: str) -> argparse.ArgumentParser:
        name, more = run.__name__.lstrip("_"), f"example:\n  coreml-runtime {more}"
        layout = argparse.RawDescriptionHelpFormatter
        made = commands.add_parser(name, help=text, description=text, epilog=more, formatter_class=layout)
        made.set_defaults(run=run)
        made.add_argument("--json", action="store_true", help="print JSON")
        if run not in (_coverage, _limits):
            made.add_argument("package", metavar="PACKAGE", help="a saved .mlpackage")
            made.add_argument("--function", default="main", help="the function to use (default: main)")
        return made

    command(_inspect, "Show the operations, inputs, outputs and size of a package.", "inspect Net.mlpackage")
    predict = command(_predict, "Run a package and show or save its outputs.", PREDICT)
    check = command(_verify, "Compare a package with its source or with saved outputs.", VERIFY)
    for each in (predict, check):
        each.add_argument("--input", nargs="+", action="extend", default=[], metavar="NAME=FILE")
        each.add_argument("--inputs", type=Path, metavar="NPZ", help="an archive with the inputs by name")
    predict.add_argument("--output", type=Path, metavar="PLACE", help="a folder or an .npz file to write")
    rounding = "strict (default) rounds every fp16 value, exact keeps them in float32"
    predict.add_argument("--precision", choices=PRECISIONS, default="strict", help=rounding)
    against = check.add_mutually_exclusive_group(required=True)
    against.add_argument("--source", metavar="MODULE:NAME", help="a torch or MLX module or function")
    against.add_argument("--expected", type=Path, metavar="NPZ", help="the expected outputs by name")
    check.add_argument("--framework", choices=FRAMEWORKS, help="needed for a plain function")
    check.add_argument("--tolerance", type=float, help="rms-relative (default: 1e-5, or 5e-3 for fp16)")
    command(_limits, "List what Core ML refuses or computes otherwise, by public reports.", "limits --json")
    covered = command(_coverage, "List the MIL operations and the file of each.", "coverage --json")
    covered.add_argument("--tests", type=Path, help="the folder tests/coreml_runtime: name a test of each")
    return parser


def _inspect(options: argparse.Namespace) -> int:
    contents = inspect(options.package, options.function)
    print(_json({"package": options.package, **vars(contents)}) if options.json else contents)
    return 0


def _predict(options: argparse.Namespace) -> int:
    inputs = _inputs(options)
    model = load(options.package, options.function, options.precision)
    outputs = model.predict(inputs, model.make_state() if model.states else None)
    if options.output:
        files = _save(outputs, options.output)
        print(_json({"files": files}) if options.json else "\n".join(files))
    elif options.json:
        print(_json(outputs))
    else:
        for name, value in outputs.items():
            array = as_array(value)
            print(f"{name} {array.shape} {array.dtype}", np.array2string(array, threshold=20, edgeitems=2))
    return 0


def _verify(options: argparse.Namespace) -> int:
    inputs = _inputs(options)
    source = _source(options.source) if options.source else _archive(options.expected)
    limits = {"framework": options.framework, "tolerance": options.tolerance}
    report = verify(source, options.package, inputs, function=options.function, **limits)
    words = f"{report}\n{report.table().to_string(index=False)}"
    print(_json({"passed": report.passed, **vars(report)}) if options.json else words)
    return 0 if report.passed else 1


def _coverage(options: argparse.Namespace) -> int:
    coremltools()  # without the warnings of its import
    from coreml_runtime import coverage

    records = coverage.coverage(options.tests)
    print(_json(records) if options.json else coverage.table(records))
    return int(bool(coverage.uncovered(records, options.tests)))


def _limits(options: argparse.Namespace) -> int:
    from coreml_runtime.execution.limits import LIMITS

    if options.json:
        print(_json(list(LIMITS.values())))
        return 0
    for here, heading in HEADINGS.items():
        print(heading)
        for limit in LIMITS.values():
            if limit.here == here:
                print(f"  {limit.case}: Core ML {limit.core_ml}\n    {limit.source}")
    return 0


def _inputs(options: argparse.Namespace) -> dict[str, Any]:
    """The inputs by name, in the order of the command line."""
    given: dict[str, Any] = _archive(options.inputs) if options.inputs else {}
    for text in options.input:
        name, _, file = text.partition("=")
        if not name or not file:
            raise ValueError(f"--input {text} is not of the form name=file, such as x=x.npy")
        if name in given:
            raise ValueError(f"input '{name}' is given twice")
        given[name] = _input(Path(file), name)
    return given


def _input(path: Path, name: str) -> Any:
    """An image, the array of a .npy file, or that of the input's name in an .npz."""
    if path.suffix.lower() in IMAGES:
        from PIL import Image

        with Image.open(path) as image:
            return image.copy()
    if path.suffix.lower() == ".npy":
        return _loaded(path)
    if path.suffix.lower() != ".npz":
        raise ValueError(f"{path} is not a kind of file read here: .npy, .npz, {', '.join(IMAGES)}")
    arrays = _archive(path)
    if name not in arrays:
        raise ValueError(f"{path} holds no array '{name}'; it holds {', '.join(arrays) or 'none'}")
    return arrays[name]


def _archive(path: Path) -> dict[str, Any]:
    return dict(_loaded(path, "an archive of arrays by name (.npz)", np.lib.npyio.NpzFile))


def _loaded(path: Path, what: str = "an array (.npy)", kind: type = np.ndarray) -> Any:
    """What NumPy reads from a file, without pickles, which could run code."""
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read as {what}: {error}") from error
    if not isinstance(found, kind):
        raise ValueError(f"{path} is not {what}")
    return found


def _source(text: str) -> Callable[..., Any]:
    """The object that `module:name` stands for; the module is looked for in the working folder first."""
    module, _, name = text.partition(":")
    if not module or not name:
        raise ValueError(f"--source {text} is not of the form module:name, such as network:model")
    sys.path.insert(0, str(Path.cwd()))
    try:
        holder: Any = importlib.import_module(module)
    except (*USER_ERRORS, AttributeError, NameError, SyntaxError) as error:
        raise ValueError(f"module {module} fails to import: {type(error).__name__}: {error}") from error
    found = getattr(holder, name, None)
    if isinstance(found, type) or not callable(found):
        fault = "is a class" if isinstance(found, type) else "is missing or cannot be called"
        known = (key for key, each in vars(holder).items() if callable(each) and not isinstance(each, type))
        listed = ", ".join(known) or "none"
        raise ValueError(f"{text} {fault}; a source is a function or an instance, such as: {listed}")
    return found


def _save(outputs: Mapping[str, Any], place: Path) -> list[str]:
    """Write the outputs and return the files; ValueError for a name that would leave the folder."""
    if bad := [name for name in outputs if Path(name).name != name]:
        raise ValueError(f"output '{bad[0]}' cannot name a file; use --json instead of --output")
    archive = place.suffix == ".npz"
    (place.parent if archive else place).mkdir(parents=True, exist_ok=True)
    if archive:
        arrays: dict[str, Any] = {name: as_array(value) for name, value in outputs.items()}
        np.savez(place, **arrays)
        return [str(place)]
    files = []
    for name, value in outputs.items():
        is_image = hasattr(value, "getbands")
        ending = ".npy" if not is_image else ".tiff" if value.mode == "F" else ".png"
        files.append(str(place / f"{name}{ending}"))
        value.save(files[-1]) if is_image else np.save(files[-1], as_array(value), allow_pickle=False)
    return files


def _json(value: Any) -> str:
    return json.dumps(_plain(value), allow_nan=False)


def _plain(value: Any) -> Any:
    """A value as JSON has it; inf and nan, for which JSON has no number, become strings."""
    if is_dataclass(value):
        value = vars(value)
    if hasattr(value, "getbands") or isinstance(value, (np.ndarray, np.generic)):
        value = as_array(value).tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    special = isinstance(value, float) and not np.isfinite(value)
    return str(value) if special or isinstance(value, np.dtype) else value


if __name__ == "__main__":
    sys.exit(main())
