"""A Swift package around a Core AI asset: a typed wrapper, a demo, and a test on every compute unit.

    folder = write("Network.aimodel", "build/shipped/ios/Network", source=network)
    print(swift_package.check(folder))

`swift test` in that folder, on macOS 27 or a device of iOS 27, runs the asset on the CPU, the GPU and the
Neural Engine, as far as the device has them, and compares each with values computed here: assets in fp16 are
reported to give other numbers under hardware acceleration, in silence (apple/coreai-torch#115 and #116).
The interface is that of Apple's own Swift code (https://github.com/apple/coreai-models).
"""

import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlx_coreml.backends.coreai import installed
from mlx_coreml.conversion.tolerance import LIMITS
from mlx_coreml.ir.errors import ConversionError
from mlx_coreml.swift.swift_package import TEMPLATES, entry, replace, sources
from mlx_coreml.swift.swift_ports import quoted, swift_names, type_name

SCALARS = {"float32": "Float", "float16": "Float16", "int32": "Int32"}  # by the type of an asset's end
OWN = {"arrays", "function", "gather", "outputs"}  # names that a generated file uses beside swift_ports.OWN
SUFFIX = ".aimodel"


@dataclass(frozen=True)
class End:
    """An input or output: its name in the asset and in Swift, its type and its shape."""

    name: str
    identifier: str
    type: np.dtype
    shape: tuple[int, ...]

    @property
    def scalar(self) -> str:
        """The Swift type of its numbers."""
        return SCALARS[str(self.type)]

    @property
    def field(self) -> str:
        """The declaration of its property, with what it holds."""
        told = f"{self.type} {list(self.shape)}, by row"
        return f"        /// {' '.join(self.name.split())}: {told}\n        public var {self.parameter}"

    @property
    def parameter(self) -> str:
        """Name and type."""
        return f"{self.identifier}: [{self.scalar}]"

    @property
    def blank(self) -> str:
        """Zeros."""
        return f"{self.identifier}: [{self.scalar}](repeating: 0, count: {math.prod(self.shape)})"

    @property
    def array(self) -> str:
        """Its entry in the dictionary that Core AI takes."""
        return f'"{quoted(self.name)}": NDArray(scalars: {self.identifier}, shape: {list(self.shape)})'

    @property
    def read(self) -> str:
        """Statements that read its property from `outputs`."""
        name, kind = quoted(self.name), str(self.type)
        return (
            f'            guard let array{self.identifier} = outputs.remove("{name}")?.ndArray\n'
            f'            else {{ throw Failure.missingOutput("{name}") }}\n'
            f"            guard array{self.identifier}.scalarType == .{kind}\n"
            f'            else {{ throw Failure.otherType("{name}") }}\n'
            f"            var numbers{self.identifier}: [{self.scalar}] = []\n"
            f"            array{self.identifier}.view(as: {self.scalar}.self).withUnsafePointer "
            "{ start, shape, strides in\n"
            f"                gather(start, shape, strides, into: &numbers{self.identifier})\n"
            "            }\n"
            f"            self.{self.identifier} = numbers{self.identifier}"
        )

    @property
    def from_example(self) -> str:
        """An expression that makes it from the entry of a stored step."""
        stored = f'XCTUnwrap(step.inputs["{quoted(self.name)}"])'
        return f"{self.identifier}: try {stored}.values.map {{ {self.scalar}($0) }}"

    @property
    def compared(self) -> str:
        """A statement that compares it with the entry of a stored step."""
        found = f"output.{self.identifier}.map {{ Double($0) }}"
        return f'            try compare("{quoted(self.name)}", {found}, step, example.tolerance, unit)'


def write(
    asset: str | Path,
    folder: str | Path,
    name: str | None = None,
    source: Callable | None = None,
    examples: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    tolerance: float | None = None,
) -> Path:
    """Write a Swift package around an asset and give its folder back.

    `source` is the MLX callable that the asset was made of: it computes the expected values; without it Core
    AI's interpreter does, which adds fp16 products in half precision. `examples` are inputs by name, one
    call or several; without them noise is made. `tolerance` is rms-relative, by default that of the
    precision the asset was converted with, or of float16 where it does not say. The folder's Sources and
    Tests are replaced. Errors: ConversionError where the extra coreai is missing, for types that Swift has
    none for here, and for expected values that are not finite.
    """
    installed.require()
    from mlx_coreml.backends.coreai.interpreter import Interpreter

    asset, folder = Path(asset), Path(folder)
    model = Interpreter(asset)
    try:
        taken, made = _ends(model)
        calls = [examples] if isinstance(examples, Mapping) else list(examples or [_noise(taken)])
        steps = [_step(model, taken, made, source, call) for call in calls]
    finally:
        model.close()
    limit = tolerance or LIMITS[_precision(asset)]
    kind = type_name(name or asset.stem)
    words = _words(kind, asset, taken, made)
    texts = sources(kind, words, TEMPLATES / "core_ai")
    stored = json.dumps({"tolerance": limit, "steps": steps}, allow_nan=False)
    texts[f"Tests/{kind}Tests/Resources/example.json"] = stored
    replace(folder, texts)
    shutil.copytree(asset, folder / "Sources" / kind / "Resources" / f"Model{SUFFIX}")
    return folder


def _ends(model: Any) -> tuple[list[End], list[End]]:
    """The inputs and outputs of a loaded asset. Errors: ConversionError for a type without one in Swift."""
    about = model.function.desc
    sides = []
    for names, describe in (
        (about.input_names, about.input_descriptor),
        (about.output_names, about.output_descriptor),
    ):
        ends = []
        for name, identifier in zip(names, swift_names(list(names), OWN), strict=True):
            end = describe(name)
            kind = np.dtype(end.dtype)
            if str(kind) not in SCALARS:
                raise ConversionError(f"'{name}' is {kind}; Swift is written for {', '.join(SCALARS)}")
            ends.append(End(name, identifier, kind, tuple(end.shape)))
        sides.append(ends)
    return sides[0], sides[1]


def _noise(taken: Sequence[End], seed: int = 0) -> dict[str, np.ndarray]:
    """Normal numbers; integers 0 and 1."""
    rng = np.random.default_rng(seed)
    return {
        end.name: (
            rng.standard_normal(end.shape) if end.type.kind == "f" else rng.integers(0, 2, end.shape)
        ).astype(end.type)
        for end in taken
    }


def _step(
    model: Any, taken: Sequence[End], made: Sequence[End], source: Callable | None, inputs: Mapping[str, Any]
) -> dict:
    """A call and what is expected of it, in plain form. Errors: ConversionError for an absent input."""
    if missing := [end.name for end in taken if end.name not in inputs]:
        raise ConversionError(f"the example has no input '{missing[0]}'; Swift passes every input")
    given = {end.name: np.asarray(inputs[end.name], end.type).reshape(end.shape) for end in taken}
    found = model.predict(given)
    if source is not None:
        found = _by_mlx(source, given, made)
    plain = {"inputs": given, "outputs": {end.name: found[end.name] for end in made}}
    return {side: {name: entry(name, value) for name, value in each.items()} for side, each in plain.items()}


def _by_mlx(source: Callable, given: Mapping[str, np.ndarray], made: Sequence[End]) -> dict[str, np.ndarray]:
    """What MLX computes. Errors: ConversionError where the asset is not of this callable."""
    import mlx.core as mx

    from mlx_coreml.verification.side_by_side import by_mlx

    found = by_mlx(source, [mx.array(each) for each in given.values()])
    shapes = [tuple(np.atleast_1d(each).shape) for each in found]
    if shapes != [end.shape for end in made]:
        raise ConversionError(
            f"the source gives arrays of {shapes}, the asset of {[end.shape for end in made]}; "
            "they must be of one function"
        )
    return {end.name: each for end, each in zip(made, found, strict=True)}


def _precision(asset: Path) -> str:
    """The precision an asset was converted with, as its metadata say; float16 where they do not."""
    found = json.loads((asset / "metadata.json").read_text()).get("creatorDefinedMetadata", {})
    told = found.get("precision") if isinstance(found, dict) else None
    return told if told in LIMITS else "float16"


def _words(kind: str, asset: Path, taken: Sequence[End], made: Sequence[End]) -> dict[str, str]:
    """What the templates' placeholders stand for."""
    return {
        "NAME": kind,
        "SUMMARY": f"The model {asset.stem}.",
        "INPUT_FIELDS": "\n".join(end.field for end in taken),
        "PARAMETERS": ", ".join(end.parameter for end in taken),
        "ASSIGNMENTS": "\n".join(f"            self.{end.identifier} = {end.identifier}" for end in taken),
        "BLANKS": ", ".join(end.blank for end in taken),
        "ARRAYS": ",\n                ".join(end.array for end in taken),
        "OUTPUT_FIELDS": "\n".join(end.field for end in made),
        "READS": "\n".join(end.read for end in made),
        "TEST_INPUTS": ", ".join(end.from_example for end in taken),
        "TEST_OUTPUTS": "\n".join(end.compared for end in made),
    }
