"""A Core ML model's inputs and outputs as Swift declares, fills and reads them.

https://developer.apple.com/documentation/coreml/mlshapedarray
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from coreml_runtime.format.features import Feature
from mlx_coreml.ir.errors import ConversionError
from mlx_coreml.ir.names import identifiers

# https://docs.swift.org/swift-book/documentation/the-swift-programming-language/lexicalstructure/
WORDS = """associatedtype borrowing class consuming deinit enum extension fileprivate func import init inout
    internal let nonisolated open operator private precedencegroup protocol public rethrows static struct
    subscript typealias var break case catch continue default defer do else fallthrough for guard if in
    repeat return throw switch where while Any as await false is nil self Self super throws true try
    async actor some any Type Protocol"""
KEYWORDS = set(WORDS.split())
# names that a generated file uses itself, and types a type of that name would hide
OWN = {"provider", "blank", "model", "state", "load", "predict", "pixels"}
HIDDEN = """Array Bool Bundle Character Data Date Demo Dictionary Double Error Example Failure Float Float16
    Foundation CoreML CoreVideo Input Int Int32 Int64 Int8 Output ParityTests Result Set String Swift URL
    XCTest XCTestCase XCTUnwrap Model Package PackageDescription Resources Accelerate AppKit Charts Combine
    Contacts CoreImage Darwin Metal Network Observation Photos Security Speech SwiftUI System Testing UIKit
    Vision AIModel ComputeUnitKind CoreAI InferenceFunction NDArray Span SpecializationOptions"""
TYPES = set(HIDDEN.split())
SCALARS = {"float16": "Float16", "float32": "Float", "float64": "Double", "int32": "Int32", "int8": "Int8"}
FORMATS = {
    "RGB": "kCVPixelFormatType_32BGRA",
    "BGR": "kCVPixelFormatType_32BGRA",
    "GRAYSCALE": "kCVPixelFormatType_OneComponent8",
}


def swift_names(wanted: Sequence[str], taken: Collection[str] = ()) -> list[str]:
    """The names as different Swift identifiers: none a keyword, taken, or used by the generated file."""
    used, made = KEYWORDS | OWN | TYPES | set(taken), []
    for name in identifiers(wanted):
        word = name if name.strip("_") else f"value{name}"
        while word in used:
            word += "_"
        used.add(word)
        made.append(word)
    return made


def type_name(wanted: str) -> str:
    """A name for a Swift type and its module: a capital first, none that hides a type of the system."""
    word = identifiers([wanted])[0].strip("_") or "Net"
    word = word[0].upper() + word[1:] if word[0].isalpha() else f"Net{word}"
    return f"{word}Net" if word in TYPES or word in KEYWORDS or word.startswith(("ML", "CV")) else word


@dataclass(frozen=True)
class Port:
    """One input or output: as the model declares it, its Swift name and type, a dictionary's keys."""

    feature: Feature
    identifier: str
    type: str
    keys: str = ""

    @property
    def field(self) -> str:
        """The declaration of its property, with what a caller may pass."""
        told = " ".join(f"{self.feature.name}: {_told(self.feature)}".split())
        return f"        /// {told}\n        public var {self.parameter}"

    @property
    def parameter(self) -> str:
        """Name and type."""
        return f"{self.identifier}: {self.type}"

    @property
    def value(self) -> str:
        """The MLFeatureValue of its property."""
        kind = "pixelBuffer" if self.feature.kind == "image" else "shapedArray"
        return f"MLFeatureValue({kind}: {self.identifier})"

    def blank(self, owner: str) -> str:
        """An expression for zeros, or a black picture made by a type's `pixels`, in the default shape."""
        shape = self.feature.shapes[0]
        if self.feature.kind == "image":
            height, width = shape
            made = f"width: {width}, height: {height}, format: {FORMATS[self.feature.colour]}"
            return f"try {owner}.pixels({made})"
        return f"{self.type}(repeating: 0, shape: {list(shape)})"

    @property
    def read(self) -> str:
        """Statements that read its property from `provider`."""
        scalar = SCALARS.get(str(self.feature.dtype), "")
        found = {
            "array": f"shapedArrayValue(of: {scalar}.self)",
            "image": "imageBufferValue",
            "string": "stringValue",
            "int64": "int64Value",
            "double": "doubleValue",
            "dictionary": f"dictionaryValue as? {self.type}",
        }[self.feature.kind]
        call = f'provider.featureValue(for: "{quoted(self.feature.name)}")?.{found}'
        missing = f'throw Failure.missingOutput("{quoted(self.feature.name)}")'
        return (
            f"            guard let {self.identifier} = {call}\n            else {{ {missing} }}\n"
            f"            self.{self.identifier} = {self.identifier}"
        )

    @property
    def from_example(self) -> str:
        """An expression that makes it from the entry of a stored step."""
        entry = f'XCTUnwrap(step.inputs["{quoted(self.feature.name)}"])'
        if self.feature.kind == "image":
            return f"try picture({entry}, format: {FORMATS[self.feature.colour]})"
        scalar = SCALARS[str(self.feature.dtype)]
        return f"try {self.type}(scalars: {entry}.values.map {{ {scalar}($0) }}, shape: {entry}.shape)"

    @property
    def compared(self) -> str:
        """A statement that compares it with the entry of a stored step."""
        name, mine = quoted(self.feature.name), f"output.{self.identifier}"
        if self.feature.kind == "string":
            return f'            XCTAssertEqual({mine}, step.outputs["{name}"]?.text)'
        channels = 1 if self.feature.colour == "GRAYSCALE" else 3
        keys = f'XCTUnwrap(step.outputs["{name}"]).keys'
        keys += "" if self.keys == "String" else ".map { Int64($0) ?? -1 }"
        found = {
            "array": f"{mine}.scalars.map {{ Double($0) }}",
            "image": f"values({mine}, channels: {channels})",
            "int64": f"[Double({mine})]",
            "double": f"[{mine}]",
            "dictionary": f"{keys}.map {{ {mine}[$0] ?? .nan }}",
        }[self.feature.kind]
        return f'            try compare("{name}", {found}, step, example.tolerance)'


def ports(features: dict[str, Feature], descriptions: Sequence) -> list[Port]:
    """The ports of a model's features; states have none. Errors: ConversionError for other kinds."""
    kept = [f for f in features.values() if f.kind != "state"]
    keys = {d.name: d.type.dictionaryType.WhichOneof("KeyType") for d in descriptions}
    made = []
    for feature, identifier in zip(kept, swift_names([f.name for f in kept]), strict=True):
        key = "Int64" if keys.get(feature.name) == "int64KeyType" else "String"
        types = {"image": "CVPixelBuffer", "string": "String", "int64": "Int64", "double": "Double"}
        types["dictionary"] = f"[{key}: Double]"
        types["array"] = f"MLShapedArray<{SCALARS.get(str(feature.dtype))}>"
        if feature.kind not in types or (feature.kind == "image" and feature.colour not in FORMATS):
            raise ConversionError(
                f"'{feature.name}' is {feature.colour or feature.kind}; Swift is written for "
                f"{', '.join(types)} and images of {', '.join(FORMATS)}"
            )
        made.append(Port(feature, identifier, types[feature.kind], key))
    return made


def quoted(name: str) -> str:
    """A name inside a Swift string."""
    return name.replace("\\", "\\\\").replace('"', '\\"')


def _told(feature: Feature) -> str:
    """What may be passed, in a comment of one line."""
    return str(feature)[len(feature.name) + 2 : -1]
