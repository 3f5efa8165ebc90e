"""Vision networks in both frameworks, for comparing how they convert: LeNet, MobileNetV2's blocks, a U-Net.

LeCun et al. 1998; Sandler et al. 2018 (https://arxiv.org/abs/1801.04381); Ronneberger et al. 2015
(https://arxiv.org/abs/1505.04597). Sizes are small: the operations are those of the full networks.
"""

from twins.frameworks import mx  # not from mlx: the fast BLAS comes first

import mlx.nn as mnn  # isort: skip
import torch  # isort: skip
from torch import nn as tnn  # isort: skip
from torch.nn import functional as F  # isort: skip

STAGES = ((24, 2), (24, 1), (40, 2), (40, 1))  # channels and stride of MobileNet's bottlenecks


class MlxLeNet(mnn.Module):
    """Two convolutions with pooling, three linear layers."""

    def __init__(self):
        super().__init__()
        self.convs = [mnn.Conv2d(1, 6, 5, padding=2), mnn.Conv2d(6, 16, 5)]
        self.pool = mnn.MaxPool2d(2)
        self.layers = [mnn.Linear(400, 120), mnn.Linear(120, 84), mnn.Linear(84, 10)]

    def __call__(self, x):
        for conv in self.convs:
            x = self.pool(mnn.relu(conv(x)))
        x = x.reshape(x.shape[0], -1)
        for layer in self.layers[:-1]:
            x = mnn.relu(layer(x))
        return self.layers[-1](x)


class TorchLeNet(tnn.Module):
    """Two convolutions with pooling, three linear layers."""

    def __init__(self):
        super().__init__()
        self.convs = tnn.ModuleList([tnn.Conv2d(1, 6, 5, padding=2), tnn.Conv2d(6, 16, 5)])
        self.pool = tnn.MaxPool2d(2)
        self.layers = tnn.ModuleList([tnn.Linear(400, 120), tnn.Linear(120, 84), tnn.Linear(84, 10)])

    def forward(self, x):
        for conv in self.convs:
            x = self.pool(F.relu(conv(x)))
        x = x.flatten(1)
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


class MlxConv(mnn.Module):
    """Convolution, BatchNorm and, if `active`, ReLU6."""

    def __init__(self, channels, out, size, stride=1, groups=1, active=True):
        super().__init__()
        self.conv = mnn.Conv2d(channels, out, size, stride, size // 2, groups=groups, bias=False)
        self.norm = mnn.BatchNorm(out)
        self.active = active

    def __call__(self, x):
        x = self.norm(self.conv(x))
        return mnn.relu6(x) if self.active else x


class TorchConv(tnn.Module):
    """Convolution, BatchNorm and, if `active`, ReLU6."""

    def __init__(self, channels, out, size, stride=1, groups=1, active=True):
        super().__init__()
        self.conv = tnn.Conv2d(channels, out, size, stride, size // 2, groups=groups, bias=False)
        self.norm = tnn.BatchNorm2d(out)
        self.active = active

    def forward(self, x):
        x = self.norm(self.conv(x))
        return F.relu6(x) if self.active else x


class MlxMobileNet(mnn.Module):
    """A stem, four inverted bottlenecks, a pointwise layer, the mean over space, ten classes."""

    def __init__(self):
        super().__init__()
        self.stem, self.blocks, channels = MlxConv(3, 16, 3, 2), [], 16
        for out, stride in STAGES:
            wide = 6 * channels
            filtered = MlxConv(wide, wide, 3, stride, groups=wide)
            self.blocks.append([MlxConv(channels, wide, 1), filtered, MlxConv(wide, out, 1, active=False)])
            channels = out
        self.last, self.head = MlxConv(channels, 160, 1), mnn.Linear(160, 10)

    def __call__(self, x):
        x = self.stem(x)
        for expand, filtered, project in self.blocks:
            y = project(filtered(expand(x)))
            x = x + y if x.shape == y.shape else y
        return self.head(self.last(x).mean(axis=(1, 2)))


class TorchMobileNet(tnn.Module):
    """A stem, four inverted bottlenecks, a pointwise layer, the mean over space, ten classes."""

    def __init__(self):
        super().__init__()
        self.stem, self.blocks, channels = TorchConv(3, 16, 3, 2), tnn.ModuleList(), 16
        for out, stride in STAGES:
            wide = 6 * channels
            filtered = TorchConv(wide, wide, 3, stride, groups=wide)
            parts = [TorchConv(channels, wide, 1), filtered, TorchConv(wide, out, 1, active=False)]
            self.blocks.append(tnn.ModuleList(parts))
            channels = out
        self.last, self.head = TorchConv(channels, 160, 1), tnn.Linear(160, 10)

    def forward(self, x):
        x = self.stem(x)
        for expand, filtered, project in self.blocks:
            y = project(filtered(expand(x)))
            x = x + y if x.shape == y.shape else y
        return self.head(self.last(x).mean(dim=(2, 3)))


class MlxUNet(mnn.Module):
    """Four scales down and up again, two convolutions at each, joined across (Ronneberger 2015)."""

    def __init__(self, width: int = 8, scales: int = 4):
        super().__init__()
        sizes = [width << i for i in range(scales + 1)]

        def twice(channels: int, out: int):
            return mnn.Sequential(MlxConv(channels, out, 3), MlxConv(out, out, 3))

        self.down = [twice(channels, out) for channels, out in zip([3, *sizes], sizes, strict=False)]
        self.pool = mnn.MaxPool2d(2)
        self.up = [mnn.ConvTranspose2d(2 * size, size, 2, 2) for size in sizes[-2::-1]]
        self.merge = [twice(2 * size, size) for size in sizes[-2::-1]]
        self.head = mnn.Conv2d(width, 4, 1)

    def __call__(self, x):
        across = [self.down[0](x)]
        for block in self.down[1:]:
            across.append(block(self.pool(across[-1])))
        x = across.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(mx.concatenate([up(x), across.pop()], axis=-1))
        return self.head(x)


class TorchUNet(tnn.Module):
    """Four scales down and up again, two convolutions at each, joined across (Ronneberger 2015)."""

    def __init__(self, width: int = 8, scales: int = 4):
        super().__init__()
        sizes = [width << i for i in range(scales + 1)]

        def twice(channels: int, out: int):
            return tnn.Sequential(TorchConv(channels, out, 3), TorchConv(out, out, 3))

        self.down = tnn.ModuleList(
            twice(channels, out) for channels, out in zip([3, *sizes], sizes, strict=False)
        )
        self.pool = tnn.MaxPool2d(2)
        self.up = tnn.ModuleList(tnn.ConvTranspose2d(2 * size, size, 2, 2) for size in sizes[-2::-1])
        self.merge = tnn.ModuleList(twice(2 * size, size) for size in sizes[-2::-1])
        self.head = tnn.Conv2d(width, 4, 1)

    def forward(self, x):
        across = [self.down[0](x)]
        for block in self.down[1:]:
            across.append(block(self.pool(across[-1])))
        x = across.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat([up(x), across.pop()], dim=1))
        return self.head(x)
