"""A Swift package around a Core ML package: a typed wrapper, a command-line demo, and a test of parity.

    folder = write("Network.mlpackage", "build/shipped/ios/Network")
    print(check(folder))   # how far a Swift compiler or parser could check it

On a Mac, `swift test` in that folder compares Core ML with values that the reference runtime computed here;
`swift run Demo` runs the model once; Xcode opens the folder as it is.
The package is compiled where it runs (https://developer.apple.com/documentation/coreml/mlmodel), because
SwiftPM on the command line leaves it as it is.
"""

import importlib.util
import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from coreml_runtime import Model, load
from coreml_runtime.format.package import open_package
from coreml_runtime.verification import native_core_ml
from coreml_runtime.verification.comparison import TOLERANCE
from mlx_coreml.ir.errors import ConversionError
from mlx_coreml.swift.swift_ports import Port, ports, quoted, type_name

TEMPLATES = Path(__file__).with_name("templates")
# by specification version; compiling where it runs, asynchronously, needs those of version 7
SYSTEMS = {6: ("16.0", "13.0"), 7: ("16.0", "13.0"), 8: ("17.0", "14.0"), 9: ("18.0", "15.0")}
LATEST = ("26.0", "26.0")
STARTED = 60.0  # seconds that Swift may take to say its version; the first time is slow
BUILT = 600.0  # seconds that a build may take; one takes a minute
# What Swift says of the files it was given: of a place in a source, of the manifest and its resources.
FAULT = re.compile(r"^(?:.*/)?([^/]+\.swift:\d+:\d+: error: .*|error: .*(?:[Rr]esource|manifest).*)$", re.M)
LACKING = "no such module 'CoreAI'"
ASYNC, TENSORS = 8, 9  # the versions from which predictions are asynchronous, and MLTensor and MLState exist


def write(
    package: str | Path,
    folder: str | Path,
    name: str | None = None,
    examples: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    function: str = "main",
    tolerance: float | None = None,
) -> Path:
    """Write a Swift package around one function of a Core ML package and give its folder back.

    `examples` are inputs as `coreml_runtime.Model.predict` takes them, one call or several that share a
    state; without them noise is made. `tolerance` is rms-relative, as in `verify`. The folder's Sources and
    Tests are replaced. Errors: ConversionError for interfaces that Swift has no type for and for
    expected values that are not finite; ValueError from the model for inputs that do not fit.
    """
    package, folder = Path(package), Path(folder)
    model = load(package, function)
    kind = type_name(name or package.stem)
    if isinstance(examples, Mapping):
        examples = [examples]
    calls = list(examples or [noise(model)] * (1 + bool(model.states)))
    limit = tolerance or TOLERANCE["fp16" if model.uses_fp16 else "fp32"]
    example = {"tolerance": limit, "steps": _steps(model, calls)}
    words = _words(model, package, kind, function)
    texts = sources(kind, words)
    texts[f"Tests/{kind}Tests/Resources/example.json"] = json.dumps(example, allow_nan=False)
    replace(folder, texts)
    target = folder / "Sources" / kind / "Resources" / "Model.mlpackage"
    shutil.copytree(package, target)
    return folder


def sources(kind: str, words: Mapping[str, str], templates: Path = TEMPLATES) -> dict[str, str]:
    """The sources of a package by their places, from the templates of a format."""
    files = {
        "Package.swift": templates / "Package.swift",
        f"Sources/{kind}/{kind}.swift": templates / "Wrapper.swift",
        "Sources/Demo/Demo.swift": templates / "Demo.swift",
        f"Tests/{kind}Tests/ParityTests.swift": templates / "Tests.swift",
        f"Tests/{kind}Tests/Comparison.swift": TEMPLATES / "Comparison.swift",
    }
    return {place: filled(template.read_text(), words) for place, template in files.items()}


def replace(folder: Path, texts: Mapping[str, str]) -> None:
    """Write the texts of a package by their places, in place of its old Sources and Tests."""
    for part in ("Sources", "Tests"):
        shutil.rmtree(folder / part, ignore_errors=True)
    for place, text in texts.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text)


def noise(model: Model, seed: int = 0) -> dict[str, Any]:
    """Inputs for a model in its default shapes: normal numbers, integers 0 and 1, random pixels."""
    rng, made = np.random.default_rng(seed), {}
    for name, feature in model.inputs.items():
        if feature.kind == "image":
            size = feature.shapes[0] + (() if feature.colour == "GRAYSCALE" else (3,))
            made[name] = Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8))
        elif feature.kind == "array" and feature.dtype.kind == "f":
            made[name] = rng.standard_normal(feature.shapes[0]).astype(feature.dtype)
        elif feature.kind == "array":
            made[name] = rng.integers(0, 2, feature.shapes[0]).astype(feature.dtype)
    return made


def _steps(model: Model, calls: list[Mapping[str, Any]]) -> list[dict]:
    """The calls and what the reference runtime returns for them, in plain form."""
    state = model.make_state() if model.states else None
    steps = []
    for inputs in calls:
        outputs = model.predict(inputs, state)
        missing = [n for n, f in model.inputs.items() if f.kind != "state" and n not in inputs]
        if missing:
            raise ConversionError(f"the example has no input '{missing[0]}'; Swift passes every input")
        plain = {"inputs": inputs, "outputs": outputs}
        steps.append({k: {n: entry(n, x) for n, x in v.items()} for k, v in plain.items()})
    return steps


def entry(name: str, value: Any) -> dict:
    """A value in the form the Swift test reads."""
    entry = {"shape": [], "values": [], "text": "", "keys": []}
    if isinstance(value, str):
        return entry | {"text": value}
    if isinstance(value, dict):
        entry["keys"] = [str(key) for key in value]
        value = list(value.values())
    if isinstance(value, Image.Image):
        value = np.atleast_3d(np.asarray(value))
    array = np.asarray(value, np.float64)
    if not np.isfinite(array).all():
        raise ConversionError(f"'{name}' holds numbers that are not finite; an example needs finite ones")
    return entry | {"shape": list(array.shape), "values": array.reshape(-1).tolist()}


def _words(model: Model, package: Path, kind: str, function: str) -> dict[str, str]:
    """What the templates' placeholders stand for."""
    specification = open_package(package).specification
    description, version = specification.description, specification.specificationVersion
    shown = next((f for f in description.functions if f.name == function), description)
    taken, made = ports(model.inputs, shown.input), ports(model.outputs, shown.output)
    ios, macos = SYSTEMS.get(version, LATEST)
    line = ",\n                ".join(f'"{quoted(p.feature.name)}": {p.value}' for p in taken)
    chosen = f'        configuration.functionName = "{function}"\n' if description.functions else ""
    state = "        let state = network.makeState()\n" if model.states else ""
    return {
        "NAME": kind,
        "IOS": ios,
        "MACOS": macos,
        "SUMMARY": " ".join(description.metadata.shortDescription.split()) or f"The model {package.stem}.",
        "INPUT_FIELDS": "\n".join(p.field for p in taken),
        "PARAMETERS": ", ".join(p.parameter for p in taken),
        "ASSIGNMENTS": "\n".join(f"            self.{p.identifier} = {p.identifier}" for p in taken),
        "BLANKS": ", ".join(f"{p.identifier}: {p.blank(kind)}" for p in taken),
        "FEATURES": f"\n                {line}\n            " if taken else ":",
        "OUTPUT_FIELDS": "\n".join(p.field for p in made),
        "READS": "\n".join(p.read for p in made),
        "FUNCTION": chosen,
        "PREDICTIONS": _predictions(taken, made, bool(model.states), version),
        "MAKE_STATE": state,
        "USING": ", using: state" if model.states else "",
        "TEST_INPUTS": ", ".join(f"{p.identifier}: {p.from_example}" for p in taken),
        "TEST_OUTPUTS": "\n".join(p.compared for p in made),
    }


def _predictions(taken: list[Port], made: list[Port], stateful: bool, version: int) -> str:
    """The methods that run the model: typed, and with tensors where all is arrays and MLTensor exists."""
    using, argument = (", using: state", ", using state: MLState") if stateful else ("", "")
    blocks = []
    if stateful:
        blocks.append(
            "    /// Memory of a series of predictions, zeros at first, for one prediction at a time.\n"
            "    public func makeState() -> MLState {\n        model.makeState()\n    }"
        )
    if version >= ASYNC:
        call = f"model.prediction(from: input.provider(){using}, options: MLPredictionOptions())"
        blocks.append(_method(f"_ input: Input{argument}", "Output", f"await Output({call})"))
    else:  # an asynchronous context would choose the asynchronous call, which these systems lack
        blocks.append(_method("_ input: Input", "Output", "now(input)"))
        blocks.append(
            "    private func now(_ input: Input) throws -> Output {\n"
            "        try Output(model.prediction(from: input.provider()))\n    }"
        )
    if version >= TENSORS and all(p.feature.kind == "array" for p in [*taken, *made]) and taken:
        given = ", ".join(f"{p.identifier}: MLTensor" for p in taken)
        pairs = ", ".join(f'"{quoted(p.feature.name)}": {p.identifier}' for p in taken)
        call = f"await model.prediction(from: [{pairs}]{using})"
        blocks.append(_method(f"{given}{argument}", "[String: MLTensor]", call))
    return "\n\n".join(blocks)


def _method(arguments: str, result: str, body: str) -> str:
    return (
        f"    /// One prediction.\n    public func predict({arguments}) async throws -> {result} {{\n"
        f"        try {body}\n    }}"
    )


def filled(text: str, words: Mapping[str, str]) -> str:
    """A template with its placeholders replaced."""
    return re.sub(r"__([A-Z]+(?:_[A-Z]+)*)__", lambda found: words[found[1]], text)


def check(folder: str | Path) -> str:
    """How far what was written could be checked here, in one sentence that says which tool is missing.

    Errors: ConversionError naming the file and the place that is not valid Swift.
    """
    built = Path(folder) / ".build"
    files = sorted(path for path in Path(folder).rglob("*.swift") if built not in path.parents)
    swift = shutil.which("swift")
    version = native_core_ml.command_output(swift, "--version", seconds=STARTED) if swift else ""
    if version:  # a Mac without tools has a stub of this name, which fails
        number = re.search(r"Swift version (\S+)", version)
        return _by_swift(swift, f"by Swift {number[1] if number else 'of unknown version'}", folder, files)
    if importlib.util.find_spec("tree_sitter_swift") and importlib.util.find_spec("tree_sitter"):
        for path in files:
            if place := _unparsed(path.read_bytes()):
                raise ConversionError(f"{path.name} is not valid Swift at {place}")
        return f"parsed by tree-sitter's Swift grammar ({len(files)} files), compiled by nothing here"
    return "unchecked: no Swift compiler here"


def _by_swift(swift: str, by: str, folder: str | Path, files: list[Path]) -> str:
    """Build on a Mac, the test too where XCTest is; elsewhere parse: there is no Core ML to build with."""
    if not native_core_ml.here():
        failed = _ran([f"{swift}c", "-frontend", "-parse", *map(str, files)])
        return f"not parsed {by}: {failed}" if failed else f"parsed {by}"
    tested = bool(native_core_ml.command_output("xcrun", "--find", "xctest", seconds=30))  # part of Xcode
    more = ["--build-tests"] if tested else []
    failed = _ran([swift, "build", *more, "--package-path", str(folder)])
    if failed:
        return f"not compiled {by}, which could not build here: {failed}"
    return f"compiled {by}" + ("" if tested else "; its test was not built: XCTest comes with Xcode alone")


def _ran(command: list[str]) -> str:
    """Run Swift; with which words it failed for want of a tool, an SDK or time, empty when it did not.

    Errors: ConversionError in Swift's words when they are about the files.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=BUILT, check=False)
    except subprocess.TimeoutExpired:
        return f"it took more than {BUILT:.0f} seconds"
    if not done.returncode:
        return ""
    told = done.stdout + done.stderr
    if LACKING in told:
        return "its SDK has no Core AI, which comes with macOS 27"
    if fault := FAULT.search(told):
        raise ConversionError(f"Swift refuses it: {fault[1]}")
    words = [line.strip() for line in told.splitlines() if "error:" in line]
    return words[0].rpartition("/")[2] if words else "it gave no reason"


def _unparsed(source: bytes) -> str:
    """Where a source does not parse: line and column; empty when it does."""
    import tree_sitter
    import tree_sitter_swift

    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_swift.language()))
    nodes = [parser.parse(source).root_node]
    while nodes:
        node = nodes.pop()
        if node.is_error or node.is_missing:
            return f"line {node.start_point[0] + 1}, column {node.start_point[1] + 1}"
        nodes += node.children
    return ""
