"""Convolutional networks of the kinds phones run, small enough to convert in seconds; torchvision is not
needed.

Each is the block that makes its family: inverted bottleneck (MobileNetV2), basic residual block (ResNet),
squeeze and excitation (EfficientNet), depthwise 7x7 with layer norm (ConvNeXt), skip connections across
scales (U-Net).
"""

import torch
import torch.nn.functional as F
from torch import nn


def conv(
    channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1, act=nn.ReLU
) -> nn.Sequential:
    """Convolution, batch norm, activation; `same` padding."""
    layer = nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(out), *([act()] if act else []))


class Residual(nn.Module):
    """A body added to its input, through a 1x1 convolution where the shapes differ."""

    def __init__(self, body: nn.Module, skip: nn.Module | None = None):
        super().__init__()
        self.body, self.skip = body, skip or nn.Identity()

    def forward(self, x):
        return self.skip(x) + self.body(x)


class Excite(nn.Module):
    """Squeeze and excitation: channels weighted by a gate computed from their means."""

    def __init__(self, channels: int):
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, channels // 4, 1),
            nn.SiLU(),
            nn.Conv2d(channels // 4, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x):
        return x * self.gate(x)


class ConvNeXtBlock(nn.Module):
    """Depthwise 7x7, layer norm over channels, two pointwise layers with GELU."""

    def __init__(self, channels: int):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.expand = nn.Linear(channels, 4 * channels)
        self.project = nn.Linear(4 * channels, channels)

    def forward(self, x):
        y = self.depthwise(x).permute(0, 2, 3, 1)  # (B, C, H, W) -> (B, H, W, C)
        y = self.project(F.gelu(self.expand(self.norm(y))))
        return x + y.permute(0, 3, 1, 2)  # (B, H, W, C) -> (B, C, H, W)


class UNet(nn.Module):
    """Two scales down and up, with skip connections."""

    def __init__(self, width: int = 24):
        super().__init__()
        sizes, scales = ((3, width), (width, 2 * width), (2 * width, 4 * width)), (2 * width, width)
        self.down = nn.ModuleList(conv(*size, 3) for size in sizes)
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * size, size, 2, 2) for size in scales)
        self.merge = nn.ModuleList(conv(2 * size, size, 3) for size in scales)
        self.head = nn.Conv2d(width, 4, 1)

    def forward(self, x):
        fine = self.down[0](x)
        middle = self.down[1](F.max_pool2d(fine, 2))
        coarse = self.down[2](F.max_pool2d(middle, 2))
        middle = self.merge[0](torch.cat([self.up[0](coarse), middle], dim=1))
        return self.head(self.merge[1](torch.cat([self.up[1](middle), fine], dim=1)))


def classifier(*body: nn.Module, channels: int) -> nn.Sequential:
    """A body, the mean over space and 100 classes."""
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 100))


def inverted(channels: int, out: int, stride: int, excite: bool = False, act=nn.ReLU6) -> nn.Module:
    """Expand six times, filter depthwise, project; residual where the shape stays."""
    wide = 6 * channels
    layers = [conv(channels, wide, 1, act=act), conv(wide, wide, 3, stride, groups=wide, act=act)]
    body = nn.Sequential(*layers, *([Excite(wide)] if excite else []), conv(wide, out, 1, act=None))
    return Residual(body) if stride == 1 and channels == out else body


def mobilenet() -> nn.Module:
    """Five inverted bottlenecks after MobileNetV2's stem."""
    blocks = [inverted(16, 24, 2), inverted(24, 24, 1), inverted(24, 40, 2), inverted(40, 40, 1)]
    return classifier(conv(3, 16, 3, 2, act=nn.ReLU6), *blocks, conv(40, 160, 1), channels=160)


def efficientnet() -> nn.Module:
    """Inverted bottlenecks with squeeze and excitation and SiLU."""
    blocks = [inverted(*sizes, True, nn.SiLU) for sizes in ((16, 24, 2), (24, 24, 1), (24, 40, 2))]
    return classifier(conv(3, 16, 3, 2, act=nn.SiLU), *blocks, conv(40, 160, 1, act=nn.SiLU), channels=160)


def resnet() -> nn.Module:
    """A stem with max pooling and six basic blocks at three scales."""

    def block(channels, out, stride):
        body = nn.Sequential(conv(channels, out, 3, stride), conv(out, out, 3, act=None))
        skip = None if stride == 1 else conv(channels, out, 1, stride, act=None)
        return nn.Sequential(Residual(body, skip), nn.ReLU())

    sizes = ((32, 32, 1), (32, 32, 1), (32, 64, 2), (64, 64, 1), (64, 128, 2), (128, 128, 1))
    blocks = [block(*each) for each in sizes]
    return classifier(conv(3, 32, 7, 2), nn.MaxPool2d(3, 2, 1), *blocks, channels=128)


def convnext() -> nn.Module:
    """A patch stem, two blocks, downsampling, two blocks."""
    fine, coarse = ([ConvNeXtBlock(width) for _ in range(2)] for width in (48, 96))
    return classifier(nn.Conv2d(3, 48, 4, 4), *fine, nn.Conv2d(48, 96, 2, 2), *coarse, channels=96)
