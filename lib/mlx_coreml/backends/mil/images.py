"""Image inputs: Core ML passes a picture with channels first, and MLX models take channels last.

https://apple.github.io/coremltools/docs-guides/source/image-inputs.html
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import coremltools as ct
import mlx.core as mx
import numpy as np

from mlx_coreml.ir.errors import ConversionError, dictionary
from mlx_coreml.ir.graph import Graph, Node, Tensor

CHANNELS = {"RGB": 3, "BGR": 3, "GRAYSCALE": 1}
TO_LAST = (0, 2, 3, 1)


@dataclass(frozen=True)
class Image:
    """How pixels (0 to 255) become an input's numbers: pixel * scale + bias (one, or one per channel)."""

    scale: float = 1.0
    bias: float | Sequence[float] = 0.0
    color: str = "RGB"

    @property
    def biases(self) -> list[float]:
        """The bias of every channel."""
        return [float(b) for b in np.broadcast_to(self.bias, CHANNELS[self.color])]

    def feature(self, name: str, shape: Any) -> ct.ImageType:
        """The input's description for coremltools; `shape` is (1, channels, height, width)."""
        bias = self.biases[0] if self.color == "GRAYSCALE" else self.biases
        return ct.ImageType(
            name=name,
            shape=shape,
            scale=float(self.scale),
            bias=bias,
            color_layout=getattr(ct.colorlayout, self.color),
            channel_first=True,
        )

    def numbers(self, pixels: mx.array) -> mx.array:
        """The MLX model's input that Core ML makes of a picture's pixels (H, W) or (H, W, C)."""
        channels_last = pixels.reshape(1, *pixels.shape[:2], -1).astype(mx.float32)
        if self.color == "BGR":
            channels_last = channels_last[..., ::-1]
        return channels_last * self.scale + mx.array(self.biases)


def read_images(given: Mapping[str, Mapping[str, Any]], graph: Graph) -> dict[str, Image]:
    """The images of `convert(image_inputs=...)` by input name.

    Errors: ConversionError for an input that does not exist or is not (1, height, width, channels) of
    floating-point numbers, and for unknown keys or colors.
    """
    inputs, images = {tensor.name: tensor for tensor in graph.inputs}, {}
    for name, options in dictionary(given, "image_inputs").items():
        if name not in inputs:
            raise ConversionError(f"image_inputs names '{name}'; the inputs are {', '.join(inputs)}")
        for key in set(dictionary(options, f"image_inputs['{name}']")) - set(Image.__dataclass_fields__):
            known = ", ".join(Image.__dataclass_fields__)
            raise ConversionError(f"image_inputs['{name}'] has key '{key}'; known are {known}")
        images[name] = image = Image(**options)
        _check(inputs[name], image)
    return images


def _check(tensor: Tensor, image: Image) -> None:
    if image.color not in CHANNELS:
        known = ", ".join(CHANNELS)
        raise ConversionError(f"image input '{tensor.name}' has color '{image.color}'; known are {known}")
    channels = CHANNELS[image.color]
    fits = tensor.rank == 4 and (tensor.shape[0], tensor.shape[3]) == (1, channels)
    if not (fits and tensor.is_float):
        raise ConversionError(
            f"image input '{tensor.name}' is {tensor.dtype}{list(tensor.shape)}; "
            f"{image.color} needs floating-point [1, height, width, {channels}]"
        )
    for option, value in (("scale", image.scale), ("bias", image.bias)):
        if np.asarray(value).dtype.kind not in "iuf" or (option == "scale" and np.ndim(value)):
            raise ConversionError(
                f"image input '{tensor.name}' has {option} {value!r}; allowed is a number"
                + (", or one per channel" if option == "bias" else "")
            )
    if np.size(image.bias) not in (1, channels):
        raise ConversionError(
            f"image input '{tensor.name}' has {np.size(image.bias)} biases; "
            f"{image.color} takes 1 or {channels}"
        )


def channels_first(graph: Graph, images: Mapping[str, Image]) -> None:
    """Give image inputs their channels first, and bring the channels last in a node of the graph."""
    for i, tensor in enumerate(graph.inputs):
        if tensor.name in images:
            n, h, w, c = tensor.shape
            graph.inputs[i] = Tensor(tensor.name, (n, c, h, w), tensor.dtype)
            graph.nodes.insert(0, Node("Transpose", [graph.inputs[i]], [tensor], (TO_LAST,)))


def from_pixels(flat: Callable, names: Sequence[str], images: Mapping[str, Image]) -> Callable:
    """The flat function with pixels as its inputs in place of the numbers that are made of them."""

    def fed(*arrays: mx.array) -> list[mx.array]:
        pairs = zip(names, arrays, strict=True)
        return flat(*[images[n].numbers(array) if n in images else array for n, array in pairs])

    return fed
