"""Residual networks of basic blocks, twice: ResNet-20 as for CIFAR, ResNet-18 as for ImageNet.

He et al. 2016, "Deep residual learning for image recognition" (https://arxiv.org/abs/1512.03385): section 4.2
with parameter-free shortcuts (option A), and table 1 with 1 x 1 projections where the shape changes (option
B), strided in the first convolution of a block. Images are NHWC; the PyTorch half takes them as NCHW.
"""

from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import mlx.nn as mnn
import numpy as np
from torch import nn as tnn
from torch.nn import functional as F

NORM: dict[str, Any] = {
    "eps": 1e-5,
    "momentum": 0.1,
}  # momentum: the share of the new batch
STEMS = {"cifar": (3, 1, 1), "imagenet": (7, 2, 2)}  # kernel, stride, stride of the max-pooling after it


@dataclass(frozen=True)
class Config:
    """Sizes of the network: `stages` of `blocks` blocks, each stage twice as wide at half the resolution.

    Errors: ValueError for an unknown stem, or images so small that the last maps have a single number:
    BatchNorm has no variance of one.
    """

    size: int
    channels: int
    classes: int
    width: int
    stages: int
    blocks: int
    stem: str = "cifar"
    projection: bool = False

    def __post_init__(self):
        for size, value in vars(self).items():
            if type(value) is int and value < 1:
                raise ValueError(f"resnet: {size} is {value}; allowed is 1 or more")
        if self.stem not in STEMS:
            raise ValueError(f"resnet: no stem is called {self.stem!r}; known: {', '.join(STEMS)}")
        _, stride, pool = STEMS[self.stem]
        shrunk = stride * pool * 2 ** (self.stages - 1)
        if self.size <= shrunk:
            raise ValueError(
                f"resnet: images of {self.size} x {self.size} end as maps of a single number after "
                f"{self.stages} stages with the {self.stem} stem; sizes allowed are above {shrunk}"
            )

    def plan(self) -> list[tuple[int, int, int]]:
        """Input channels, output channels and stride of every block."""
        widths = [self.width * 2**stage for stage in range(self.stages) for _ in range(self.blocks)]
        before = [self.width, *widths[:-1]]
        return [(i, o, 1 if i == o else 2) for i, o in zip(before, widths, strict=True)]


class MlxBlock(mnn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, projection: bool):
        super().__init__()
        self.stride, self.added = stride, outputs - inputs
        self.conv1 = mnn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = mnn.BatchNorm(outputs, **NORM)
        self.conv2 = mnn.Conv2d(outputs, outputs, 3, stride=1, padding=1, bias=False)
        self.norm2 = mnn.BatchNorm(outputs, **NORM)
        if projection and stride > 1:
            self.project = mnn.Conv2d(inputs, outputs, 1, stride, padding=0, bias=False)
            self.project_norm = mnn.BatchNorm(outputs, **NORM)

    def shortcut(self, x):
        if "project" in self:
            return self.project_norm(self.project(x))
        if self.stride == 1:
            return x
        x = x[:, :: self.stride, :: self.stride]  # (B, H, W, C) -> (B, H/2, W/2, C)
        sides = (self.added // 2, self.added - self.added // 2)
        return mx.pad(x, [(0, 0), (0, 0), (0, 0), sides])  # -> (B, H/2, W/2, 2C)

    def __call__(self, x):
        y = mnn.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        return mnn.relu(y + self.shortcut(x))


class MlxResNet(mnn.Module):
    def __init__(self, c: Config):
        super().__init__()
        kernel, stride, pool = STEMS[c.stem]
        self.stem = mnn.Conv2d(c.channels, c.width, kernel, stride, padding=kernel // 2, bias=False)
        self.norm = mnn.BatchNorm(c.width, **NORM)
        self.pool = mnn.MaxPool2d(3, pool, padding=1) if pool > 1 else mnn.Identity()
        self.blocks = [MlxBlock(*sizes, c.projection) for sizes in c.plan()]
        self.head = mnn.Linear(c.plan()[-1][1], c.classes)

    def __call__(self, x):
        x = self.pool(mnn.relu(self.norm(self.stem(x))))
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((1, 2)))  # (B, H, W, C) -> (B, C) -> (B, classes)


class TorchBlock(tnn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, projection: bool):
        super().__init__()
        self.stride, self.added = stride, outputs - inputs
        self.conv1 = tnn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = tnn.BatchNorm2d(outputs, **NORM)
        self.conv2 = tnn.Conv2d(outputs, outputs, 3, stride=1, padding=1, bias=False)
        self.norm2 = tnn.BatchNorm2d(outputs, **NORM)
        self.project = None
        if projection and stride > 1:
            self.project = tnn.Conv2d(inputs, outputs, 1, stride, padding=0, bias=False)
            self.project_norm = tnn.BatchNorm2d(outputs, **NORM)

    def shortcut(self, x):
        if self.project is not None:
            return self.project_norm(self.project(x))
        if self.stride == 1:
            return x
        x = x[:, :, :: self.stride, :: self.stride]  # (B, C, H, W) -> (B, C, H/2, W/2)
        sides = (self.added // 2, self.added - self.added // 2)
        return F.pad(x, (0, 0, 0, 0, *sides))  # -> (B, 2C, H/2, W/2)

    def forward(self, x):
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        y = self.norm2(self.conv2(y))
        y += self.shortcut(x)
        return F.relu(y, inplace=True)


class TorchResNet(tnn.Module):
    def __init__(self, c: Config):
        super().__init__()
        kernel, stride, pool = STEMS[c.stem]
        self.stem = tnn.Conv2d(c.channels, c.width, kernel, stride, padding=kernel // 2, bias=False)
        self.norm = tnn.BatchNorm2d(c.width, **NORM)
        self.pool = tnn.MaxPool2d(3, pool, padding=1) if pool > 1 else tnn.Identity()
        self.blocks = tnn.ModuleList(TorchBlock(*sizes, c.projection) for sizes in c.plan())
        self.head = tnn.Linear(c.plan()[-1][1], c.classes)
        self.apply(initialise)

    def forward(self, x):
        x = self.pool(F.relu(self.norm(self.stem(x)), inplace=True))
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((2, 3)))  # (B, C, H, W) -> (B, C) -> (B, classes)


def initialise(module: tnn.Module) -> None:
    """The start of He et al. 2015 (https://arxiv.org/abs/1502.01852), made in torch and copied to MLX."""
    if isinstance(module, tnn.Conv2d):
        tnn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    if isinstance(module, tnn.Linear):
        tnn.init.normal_(module.weight, std=0.01)
        tnn.init.zeros_(module.bias)


def mlx_loss(model, images, labels):
    """Mean cross-entropy of the class, in nats."""
    return mnn.losses.cross_entropy(model(images), labels, reduction="mean")


def torch_loss(model, images, labels):
    """Mean cross-entropy of the class, in nats."""
    return F.cross_entropy(model(images), labels, reduction="mean")


def torch_layout(images: np.ndarray, *labels: np.ndarray) -> tuple[np.ndarray, ...]:
    """The batch as the PyTorch half takes it: images NHWC -> NCHW."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)), *labels


HALVES = (MlxResNet, TorchResNet)


def tiny(**changes) -> Config:
    """A size for tests: a stage of each kind, trains in milliseconds."""
    sizes = {"size": 8, "channels": 3, "classes": 10, "width": 8, "stages": 2, "blocks": 1}
    return Config(**sizes | changes)


def sized(
    size: int, channels: int, classes: int, width: int, stages: int, blocks: int, projection: bool
) -> Config:
    """A configuration with the stem its images call for: ImageNet's from 64 pixels up."""
    stem = "imagenet" if size >= 64 else "cifar"
    return Config(size, channels, classes, width, stages, blocks, stem, projection)


def resnet20(size: int = 32, channels: int = 3, classes: int = 10) -> Config:
    """ResNet-20 of section 4.2: 3 stages of 3 blocks from 16 channels, 0.27 million parameters."""
    return sized(size, channels, classes, width=16, stages=3, blocks=3, projection=False)


def resnet18(size: int = 224, channels: int = 3, classes: int = 1000) -> Config:
    """ResNet-18 of table 1: 4 stages of 2 blocks from 64 channels, 11.7 million parameters."""
    return sized(size, channels, classes, width=64, stages=4, blocks=2, projection=True)


def example(c: Config, rng: np.random.Generator, batch: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """One batch: images (batch, size, size, channels) float32 and labels (batch,) int32."""
    images = rng.standard_normal((batch, c.size, c.size, c.channels), dtype=np.float32)
    return images, rng.integers(0, c.classes, batch, dtype=np.int32)


def memory(c: Config, batch: int) -> int:
    """Bytes one float32 training step is estimated to hold at its peak.

    Parameters, gradients and AdamW's two moments (16 bytes each); five maps for every convolution: its
    output, BatchNorm's centred and scaled, the activation, and a gradient under way; and the largest input as
    a matrix of windows, which is how many back ends convolve.
    """
    kernel, stride, pool = STEMS[c.stem]
    side = -(-c.size // stride)
    parameters = kernel**2 * c.channels * c.width
    maps, windows = side**2 * c.width, side**2 * kernel**2 * c.channels
    side = -(-side // pool)
    for inputs, outputs, stride in c.plan():
        side = -(-side // stride)
        projected = inputs if c.projection and stride > 1 else 0
        parameters += outputs * (9 * (inputs + outputs) + projected)
        maps += side**2 * outputs * (3 if projected else 2)
        windows = max(windows, side**2 * 9 * outputs)
    return 16 * (parameters + outputs * c.classes) + 4 * batch * (5 * maps + windows)
