"""Opens what Core ML saves: the manifest of an `.mlpackage`, the specification it names, its weight files.

Source of the format: https://github.com/apple/coremltools/blob/main/mlmodel/format/Model.proto.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

from coremltools.proto import Model_pb2
from google.protobuf.message import DecodeError

from twins.coreml.reference.weights import WeightFile

# iOS15 introduced ML Programs with version 6; iOS26 writes 10.
SPECIFICATION_VERSIONS = range(6, 11)
_PREFIX = "@model_path/"


@dataclass(frozen=True)
class Package:
    """A saved model: `path` as given, `folder` the weights are relative to, the parsed `specification`."""

    path: Path
    folder: Path
    specification: Model_pb2.Model
    opened: dict[str, WeightFile] = field(default_factory=dict)

    def weight_file(self, name: str) -> WeightFile:
        """The weight file a constant names, opened once."""
        if name not in self.opened:
            self.opened[name] = WeightFile(self.folder / name.removeprefix(_PREFIX))
        return self.opened[name]


def open_package(path: str | Path) -> Package:
    """Open the ML Program saved at `path`.

    FileNotFoundError for a missing file; ValueError for anything but an ML Program of a supported version.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no package at {path}")
    file = _root_model(path) if path.is_dir() else path
    specification = _parse(file, path)
    _check(specification, path)
    return Package(path, file.parent, specification)


def _root_model(path: Path) -> Path:
    manifest = path / "Manifest.json"
    if path.suffix == ".mlmodelc":
        raise ValueError(f"{path} is a compiled model; give the .mlpackage it was compiled from")
    if not manifest.is_file():
        raise ValueError(f"{path} is not a package: it has no Manifest.json")
    try:
        entries = json.loads(manifest.read_text())
        name = entries["itemInfoEntries"][entries["rootModelIdentifier"]]["path"]
    except (json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"{manifest} is not the manifest of a package: {error!r}") from error
    file = path / "Data" / name
    if not file.is_file():
        raise FileNotFoundError(f"{path} names the specification {name}, which is missing")
    return file


def _parse(file: Path, path: Path) -> Model_pb2.Model:
    specification = Model_pb2.Model()
    try:
        specification.ParseFromString(file.read_bytes())
    except DecodeError as error:
        raise ValueError(f"{path} is not a Core ML model: {file.name} does not parse") from error
    return specification


def _check(specification: Model_pb2.Model, path: Path) -> None:
    kind = specification.WhichOneof("Type")
    version = specification.specificationVersion
    if kind is None:
        raise ValueError(f"{path} is not a Core ML model: its specification holds no model")
    if kind.startswith("neuralNetwork"):
        raise ValueError(
            f"{path} is a neural network model ({kind}, specification {version}), the format before "
            "ML Programs; convert the source again with convert_to='mlprogram'"
        )
    if kind != "mlProgram":
        raise ValueError(f"{path} holds a model of type {kind}; only an mlProgram can be run")
    if version not in SPECIFICATION_VERSIONS:
        first, last = SPECIFICATION_VERSIONS[0], SPECIFICATION_VERSIONS[-1]
        raise ValueError(f"{path} has specification version {version}; supported are {first} to {last}")
