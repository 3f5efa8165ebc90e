"""Whole small models in plain mlx.nn, of the kinds that people ship: vision here, text and sound in
`sequences`, and those that other installed packages add by the entry point "mlx_coreml.coverage".
"""

from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import entry_points

import mlx.core as mx

from mlx_coreml.coverage.cases import sequences
from mlx_coreml.coverage.cases.case import Case, Draw, normal

import mlx.nn as nn  # isort: skip

IMAGE = {"image": normal(1, 32, 32, 3)}


def cases() -> Iterator[Case]:
    """Every whole model."""
    for name, build, inputs in [*MODELS, *sequences.MODELS]:
        yield Case("model", name, build, inputs)
    for added in entry_points(group="mlx_coreml.coverage"):
        yield from added.load()()


def mlp() -> nn.Module:
    """Three linear layers with batch normalisation between."""
    return nn.Sequential(
        nn.Linear(20, 32), nn.BatchNorm(32), nn.ReLU(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 5)
    )


class Flatten(nn.Module):
    """(B, H, W, C) -> (B, H * W * C)"""

    def __call__(self, x):
        return x.reshape(x.shape[0], -1)


def lenet() -> nn.Module:
    """LeCun et al. 1998, with maximum pooling."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(),
        nn.AvgPool2d(2), Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 10), nn.Softmax(),
    )  # fmt: skip


class Residual(nn.Module):
    """He et al. 2015: two convolutions beside a shortcut."""

    def __init__(self, dims: int, out: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(dims, out, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm(out)
        if stride > 1 or dims != out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(dims, out, 1, stride=stride, bias=False), nn.BatchNorm(out)
            )

    def __call__(self, x):
        y = nn.relu(self.norm1(self.conv1(x)))
        return nn.relu(self.norm2(self.conv2(y)) + (self.shortcut(x) if "shortcut" in self else x))


class ResNet(nn.Module):
    """A stem, residual blocks at three resolutions, the mean over places, a linear head."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 7, stride=2, padding=3, bias=False), nn.BatchNorm(8), nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
        )  # fmt: skip
        self.blocks = [Residual(8, 8, 1), Residual(8, 16, 2), Residual(16, 16, 1), Residual(16, 32, 2)]
        self.head = nn.Linear(32, 10)

    def __call__(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(axis=(1, 2)))  # (B, H, W, C) -> (B, 10)


class Inverted(nn.Module):
    """Sandler et al. 2018: wide, by depth, narrow, with squeeze and excitation (Hu et al. 2017)."""

    def __init__(self, dims: int, out: int, stride: int):
        super().__init__()
        wide = 4 * dims
        self.expand = nn.Sequential(nn.Conv2d(dims, wide, 1, bias=False), nn.BatchNorm(wide), nn.Hardswish())
        self.depth = nn.Sequential(
            nn.Conv2d(wide, wide, 3, stride=stride, padding=1, groups=wide, bias=False),
            nn.BatchNorm(wide),
            nn.ReLU6(),
        )
        self.squeeze = nn.Sequential(nn.Linear(wide, dims), nn.ReLU(), nn.Linear(dims, wide), nn.Sigmoid())
        self.project = nn.Sequential(nn.Conv2d(wide, out, 1, bias=False), nn.BatchNorm(out))
        self.same = stride == 1 and dims == out

    def __call__(self, x):
        y = self.depth(self.expand(x))
        y = self.project(y * self.squeeze(y.mean(axis=(1, 2), keepdims=True)))
        return x + y if self.same else y


def mobilenet() -> nn.Module:
    """Inverted residual blocks between a stem and a head."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm(8), nn.Hardswish(), Inverted(8, 8, 1),
        Inverted(8, 16, 2), Inverted(16, 16, 1), nn.AvgPool2d(8), Flatten(), nn.Linear(16, 10),
    )  # fmt: skip


class ViT(nn.Module):
    """Dosovitskiy et al. 2020: patches and a class token through a transformer."""

    def __init__(self, dims: int = 32, heads: int = 4):
        super().__init__()
        self.patches = nn.Conv2d(3, dims, 8, stride=8)
        self.token = mx.zeros((1, 1, dims))
        self.positions = mx.zeros((1, 17, dims))
        self.layers = [
            nn.TransformerEncoderLayer(dims, heads, 2 * dims, activation=nn.gelu) for _ in range(2)
        ]
        self.norm = nn.LayerNorm(dims)
        self.head = nn.Linear(dims, 10)

    def __call__(self, x):
        x = self.patches(x).flatten(1, 2)  # (B, 4, 4, C) -> (B, 16, C)
        token = mx.broadcast_to(self.token, (x.shape[0], 1, x.shape[2]))
        x = mx.concatenate([token, x], axis=1) + self.positions
        for layer in self.layers:
            x = layer(x, None)
        return self.head(self.norm(x[:, 0]))


def double(dims: int, out: int) -> nn.Module:
    """Two convolutions with group normalisation."""
    return nn.Sequential(
        nn.Conv2d(dims, out, 3, padding=1), nn.GroupNorm(4, out, pytorch_compatible=True), nn.SiLU(),
        nn.Conv2d(out, out, 3, padding=1), nn.BatchNorm(out), nn.ReLU(),
    )  # fmt: skip


class UNet(nn.Module):
    """Ronneberger et al. 2015: down, up, and across."""

    def __init__(self, up: Callable[[int, int], nn.Module]):
        super().__init__()
        self.first, self.second, self.third = double(3, 8), double(8, 16), double(16, 32)
        self.up1, self.up2 = up(32, 16), up(16, 8)
        self.fourth, self.fifth = double(32, 16), double(16, 8)
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Conv2d(8, 2, 1)

    def __call__(self, x):
        a = self.first(x)
        b = self.second(self.pool(a))
        x = self.up1(self.third(self.pool(b)))
        x = self.fourth(mx.concatenate([x, b], axis=-1))
        x = self.fifth(mx.concatenate([self.up2(x), a], axis=-1))
        return mx.softmax(self.head(x), axis=-1)


def by_transposed(dims: int, out: int) -> nn.Module:
    """Twice the resolution by a transposed convolution."""
    return nn.ConvTranspose2d(dims, out, 2, stride=2)


def by_nearest(dims: int, out: int) -> nn.Module:
    """Twice the resolution by repetition."""
    return nn.Sequential(nn.Upsample(2), nn.Conv2d(dims, out, 3, padding=1))


def by_linear(dims: int, out: int) -> nn.Module:
    """Twice the resolution by interpolation."""
    return nn.Sequential(nn.Upsample(2, mode="linear", align_corners=True), nn.Conv2d(dims, out, 1))


def autoencoder() -> nn.Module:
    """Convolutions down to a code and transposed ones back."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.LeakyReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.GELU(),
        nn.ConvTranspose2d(16, 8, 4, stride=2, padding=1), nn.PReLU(),
        nn.ConvTranspose2d(8, 3, 3, stride=2, padding=1, output_padding=1), nn.Sigmoid(),
    )  # fmt: skip


def wide(dims: int, inner: int) -> nn.Module:
    """Two linear layers with a GELU between."""
    return nn.Sequential(nn.Linear(dims, inner), nn.GELU(), nn.Linear(inner, dims))


class Mixer(nn.Module):
    """Tolstikhin et al. 2021: layers over places and over channels in turn."""

    def __init__(self, places: int = 16, dims: int = 24):
        super().__init__()
        self.patches = nn.Conv2d(3, dims, 8, stride=8)
        self.norms = [nn.LayerNorm(dims) for _ in range(4)]
        self.over_places = [wide(places, 32) for _ in range(2)]
        self.over_channels = [wide(dims, 48) for _ in range(2)]
        self.head = nn.Linear(dims, 10)

    def __call__(self, x):
        x = self.patches(x).reshape(x.shape[0], -1, 24)  # (B, 4, 4, C) -> (B, 16, C)
        for i, (places, channels) in enumerate(zip(self.over_places, self.over_channels, strict=True)):
            x = x + places(self.norms[2 * i](x).swapaxes(1, 2)).swapaxes(1, 2)
            x = x + channels(self.norms[2 * i + 1](x))
        return self.head(x.mean(axis=1))


class ConvNext(nn.Module):
    """Liu et al. 2022: one block, then a shuffle of pixels (Shi et al. 2016) that doubles the resolution."""

    def __init__(self, dims: int = 12):
        super().__init__()
        self.stem = nn.Conv2d(3, dims, 4, stride=4)
        self.depth = nn.Conv2d(dims, dims, 7, padding=3, groups=dims)
        self.norm = nn.LayerNorm(dims)
        self.up, self.down = nn.Linear(dims, 4 * dims), nn.Linear(4 * dims, dims)
        self.scale = mx.full((dims,), 0.1)

    def __call__(self, x):
        x = self.stem(x)
        x = x + self.scale * self.down(nn.gelu(self.up(self.norm(self.depth(x)))))
        B, H, W, C = x.shape
        x = x.reshape(B, H, W, 2, 2, C // 4).transpose(0, 1, 3, 2, 4, 5)
        return x.reshape(B, 2 * H, 2 * W, C // 4)


def diffusion_step(image: mx.array, noise: mx.array, time: mx.array) -> mx.array:
    """A function, no module: one step of a sampler, with the time as an input."""
    angle = time[:, None] * mx.exp(-mx.arange(8) / 8)[None]
    mix = mx.mean(mx.concatenate([mx.sin(angle), mx.cos(angle)], axis=-1))
    return mx.clip(mx.sqrt(1 - mix**2 / 4) * image - mix * noise, -1, 1)


MODELS: list[tuple[str, Callable, dict[str, Draw]]] = [
    ("mlp", mlp, {"x": normal(4, 20)}),
    ("lenet", lenet, {"image": normal(1, 28, 28, 1)}),
    ("resnet", ResNet, IMAGE),
    ("mobilenet", mobilenet, IMAGE),
    ("vit", ViT, IMAGE),
    ("unet, transposed convolution", partial(UNet, by_transposed), IMAGE),
    ("unet, nearest upsampling", partial(UNet, by_nearest), IMAGE),
    ("unet, linear upsampling", partial(UNet, by_linear), IMAGE),
    ("autoencoder", autoencoder, IMAGE),
    ("mixer", Mixer, IMAGE),
    ("convnext with pixel shuffle", ConvNext, IMAGE),
    (
        "diffusion step",
        lambda: diffusion_step,
        {"image": normal(1, 8, 8, 3), "noise": normal(1, 8, 8, 3), "time": normal(1)},
    ),
]
