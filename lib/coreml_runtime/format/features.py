"""The declared inputs and outputs of a model: what a caller may pass, and the form of the results.

Source: https://github.com/apple/coremltools/blob/main/mlmodel/format/FeatureTypes.proto.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from coreml_runtime.format.dtypes import TensorType
from coreml_runtime.format.specification import FeatureTypes_pb2

if TYPE_CHECKING:
    import torch  # loaded by the first value, not by reading a package
    from PIL.Image import Image

_ARRAY_TYPES = {
    "DOUBLE": "float64",
    "FLOAT32": "float32",
    "FLOAT16": "float16",
    "INT32": "int32",
    "INT8": "int8",
}
Shape = tuple[int, ...]
# Pillow's mode for each colour space.
_IMAGE_MODES = {"RGB": "RGB", "BGR": "RGB", "GRAYSCALE": "L", "GRAYSCALE_FLOAT16": "F"}


@dataclass(frozen=True)
class Feature:
    """One input or output as declared: an array (`dtype`), an image (`colour`), or anything else by `kind`.

    `ranges` holds the least and greatest size of each dimension; without them `shapes` lists what is allowed,
    the default first. For images the dimensions are height and width. `default` fills an optional input.
    """

    name: str
    kind: str
    dtype: np.dtype | None = None
    colour: str | None = None
    shapes: tuple[tuple[int, ...], ...] = ()
    ranges: tuple[tuple[int, int], ...] = ()
    optional: bool = False
    default: float = 0.0

    def __str__(self) -> str:
        if self.kind == "image":
            return f"{self.name} ({self.colour} image {self.allowed()})"
        return f"{self.name} ({self.dtype or self.kind} {self.allowed()})".replace(" )", ")")

    def allowed(self) -> str:
        """The shapes that a caller may pass, as text."""
        if self.ranges:
            low_high = (str(low) if low == high else f"{low} to {_bound(high)}" for low, high in self.ranges)
            return f"({', '.join(low_high)})"
        return " or ".join(str(shape) for shape in self.shapes)

    def allows(self, shape: tuple[int, ...]) -> bool:
        """Whether a caller may pass an array of `shape` (an image of that height and width)."""
        if self.ranges:
            within = (
                low <= n and (high < 0 or n <= high)
                for n, (low, high) in zip(shape, self.ranges, strict=False)
            )
            return len(shape) == len(self.ranges) and all(within)
        return not self.shapes or shape in self.shapes


def _bound(high: int) -> str:
    return "any" if high < 0 else str(high)


def read_features(descriptions: Iterable[Any]) -> dict[str, Feature]:
    """The features of protobuf `FeatureDescription`s, by name."""
    return {description.name: _feature(description) for description in descriptions}


def _feature(description: Any) -> Feature:
    kind = description.type.WhichOneof("Type")
    if kind == "stateType":
        return Feature(description.name, "state")
    if kind == "imageType":
        return _image_feature(description.name, description.type.imageType)
    if kind != "multiArrayType":
        return Feature(description.name, kind.removesuffix("Type"))
    array = description.type.multiArrayType
    shapes, ranges = _flexible(array, tuple(array.shape))
    default = array.WhichOneof("defaultOptionalValue")
    return Feature(
        description.name,
        "array",
        dtype=np.dtype(_ARRAY_TYPES[_array_type(array)]),
        shapes=shapes,
        ranges=ranges,
        optional=description.type.isOptional,
        default=getattr(array, default) if default else 0.0,
    )


def _array_type(array: Any) -> str:
    return FeatureTypes_pb2.ArrayFeatureType.ArrayDataType.Name(array.dataType)


def _flexible(array: Any, fixed: Shape) -> tuple[tuple[Shape, ...], tuple[tuple[int, int], ...]]:
    flexibility = array.WhichOneof("ShapeFlexibility")
    if flexibility == "enumeratedShapes":
        listed = (tuple(shape.shape) for shape in array.enumeratedShapes.shapes)
        return tuple(dict.fromkeys([fixed, *listed])), ()
    if flexibility == "shapeRange":
        ranges = tuple((size.lowerBound, size.upperBound) for size in array.shapeRange.sizeRanges)
        return (fixed,), ranges
    return (fixed,), ()


def _image_feature(name: str, image: Any) -> Feature:
    colour = FeatureTypes_pb2.ImageFeatureType.ColorSpace.Name(image.colorSpace)
    flexibility = image.WhichOneof("SizeFlexibility")
    shapes: tuple[Shape, ...] = ((image.height, image.width),)
    ranges: tuple[tuple[int, int], ...] = ()
    if flexibility == "enumeratedSizes":
        shapes = tuple((size.height, size.width) for size in image.enumeratedSizes.sizes)
    elif flexibility == "imageSizeRange":
        bounds = (image.imageSizeRange.heightRange, image.imageSizeRange.widthRange)
        ranges = tuple((bound.lowerBound, bound.upperBound) for bound in bounds)
    return Feature(name, "image", colour=colour, shapes=shapes, ranges=ranges)


def tensor_from(value: Any, feature: Feature, declared: TensorType) -> torch.Tensor:
    """What a caller passed for an input, as a tensor; ValueError or TypeError when it does not fit."""
    if feature.kind == "image":
        return _from_image(value, feature, declared)
    import torch

    array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"input '{feature.name}' is {array.dtype}, which is not numeric; expected {feature}")
    if declared.shape == () and array.size == 1:
        array = array.reshape(())
    elif not feature.allows(array.shape):
        raise ValueError(f"input '{feature.name}' has shape {array.shape}, allowed is {feature.allowed()}")
    fractions = array.dtype.kind == "f" and not np.array_equal(array, np.trunc(array))
    if fractions and feature.dtype is not None and feature.dtype.kind in "iu":
        raise TypeError(f"input '{feature.name}' is {array.dtype} with fractions, expected {feature.dtype}")
    stored = array.astype(feature.dtype)
    if declared.dtype.name == "FLOAT16":
        stored = stored.astype(np.float16)
    return torch.from_numpy(stored).to(declared.dtype.carrier)


def _from_image(value: Any, feature: Feature, declared: TensorType) -> torch.Tensor:
    import torch

    mode = _IMAGE_MODES[feature.colour or "RGB"]
    if not hasattr(value, "getbands"):
        kind = type(value).__name__
        raise TypeError(f"input '{feature.name}' is {kind}, expected a PIL image of mode {mode}")
    if value.mode != mode:
        raise ValueError(f"image '{feature.name}' has mode {value.mode}, {feature.colour} needs mode {mode}")
    if not feature.allows((value.height, value.width)):
        found, allowed = f"height {value.height} and width {value.width}", feature.allowed()
        raise ValueError(f"image '{feature.name}' has {found}, allowed (height, width) is {allowed}")
    pixels = np.atleast_3d(np.asarray(value))  # (H, W, C)
    if feature.colour == "BGR":
        pixels = pixels[..., ::-1]
    batch = pixels.transpose(2, 0, 1)[None].copy()
    return torch.from_numpy(batch).to(declared.dtype.carrier)


def value_for(result: Any, feature: Feature) -> Any:
    """A result of the program in the form the model declares: array, PIL image, label or dictionary."""
    if feature.kind == "image":
        return _to_image(result, feature)
    import torch

    if not isinstance(result, torch.Tensor):
        return result
    if feature.kind in ("int64", "double", "string"):
        return result.item()
    array = result.numpy().astype(feature.dtype, order="C")
    return array.reshape(1) if array.ndim == 0 else array  # Core ML has no arrays of rank 0


def _to_image(result: torch.Tensor, feature: Feature) -> Image:
    from PIL import Image

    pixels = result[0].permute(1, 2, 0).numpy()  # (1, C, H, W) -> (H, W, C)
    if feature.colour == "GRAYSCALE_FLOAT16":
        return Image.fromarray(np.ascontiguousarray(pixels[..., 0], np.float32), mode="F")
    pixels = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    if feature.colour == "BGR":
        pixels = pixels[..., ::-1]
    return Image.fromarray(np.ascontiguousarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels))
