"""What `make bench` compares our ResNet-18 with: the same network as plain compositions of layers.

For torch in the shape of torchvision's resnet.py (https://github.com/pytorch/vision), ReLU in place; for MLX
in that of mlx-examples' cifar (https://github.com/ml-explore/mlx-examples). Optimizer and clipping are ours.
"""

from dataclasses import replace

from twins.frameworks import MLX, TORCH
from twins.models import resnet
from twins.timing import variants
from twins.timing.harness import Variant
from twins.timing.statistics import AGAIN
from twins.training import train
from twins.training.train import Half, Recipe

import mlx.core as mx  # isort: skip  (after twins.frameworks: the BLAS)
import mlx.nn as mnn  # isort: skip
from torch import nn as tnn  # isort: skip


class TorchBasic(tnn.Module):
    """A basic block with its layers as modules."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = tnn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = tnn.BatchNorm2d(outputs)
        self.relu = tnn.ReLU(inplace=True)
        self.conv2 = tnn.Conv2d(outputs, outputs, 3, stride=1, padding=1, bias=False)
        self.bn2 = tnn.BatchNorm2d(outputs)
        self.downsample = None
        if stride > 1:
            project = tnn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
            self.downsample = tnn.Sequential(project, tnn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)


class MlxBasic(mnn.Module):
    """A basic block with its layers as modules."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = mnn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = mnn.BatchNorm(outputs)
        self.conv2 = mnn.Conv2d(outputs, outputs, kernel_size=3, stride=1, padding=1, bias=False)
        self.bn2 = mnn.BatchNorm(outputs)
        self.downsample = []
        if stride > 1:
            project = mnn.Conv2d(inputs, outputs, kernel_size=1, stride=stride, bias=False)
            self.downsample = [project, mnn.BatchNorm(outputs)]

    def __call__(self, x):
        y = self.bn2(self.conv2(mnn.relu(self.bn1(self.conv1(x)))))
        for layer in self.downsample:
            x = layer(x)
        return mnn.relu(y + x)


class MlxMean(mnn.Module):
    """The mean over both axes of a map."""

    def __call__(self, x):
        return mx.mean(x, axis=[1, 2])


def torch_resnet(c: resnet.Config) -> tnn.Module:
    """Our configuration (projections, CIFAR's stem) as one torch.nn.Sequential."""
    stem = tnn.Conv2d(c.channels, c.width, 3, stride=1, padding=1, bias=False)
    blocks = [TorchBasic(*sizes) for sizes in c.plan()]
    head = tnn.AdaptiveAvgPool2d(1), tnn.Flatten(), tnn.Linear(c.plan()[-1][1], c.classes)
    return tnn.Sequential(stem, tnn.BatchNorm2d(c.width), tnn.ReLU(inplace=True), *blocks, *head)


def mlx_resnet(c: resnet.Config) -> mnn.Module:
    """Our configuration (projections, CIFAR's stem) as one mlx.nn.Sequential."""
    stem = mnn.Conv2d(c.channels, c.width, kernel_size=3, stride=1, padding=1, bias=False)
    blocks = [MlxBasic(*sizes) for sizes in c.plan()]
    head = MlxMean(), mnn.Linear(c.plan()[-1][1], c.classes)
    return mnn.Sequential(stem, mnn.BatchNorm(c.width), mnn.relu, *blocks, *head)


def peer(sizes: resnet.Config, recipe: Recipe, framework) -> Half:
    """The plain composition with our loss, layout, optimizer and clipping."""
    ours = train.half(resnet, sizes, recipe, framework)
    if framework is MLX:
        return replace(ours, model=mlx_resnet(sizes), optimizer=train.mlx_optimizer(recipe))
    made = torch_resnet(sizes).to(TORCH.device)
    return replace(ours, model=made, optimizer=train.torch_optimizer(recipe, made))


def step_variants(size: int, batch: int, framework: str, compiled: bool) -> dict[str, Variant]:
    """Our ResNet-18's step, again for A/A, and the plain composition's, on the same batches."""
    each = {"mlx": MLX, "torch": TORCH}[framework]
    sizes, recipe = resnet.resnet18(size, classes=10), Recipe()
    halves = {variant: train.half(resnet, sizes, recipe, each) for variant in ("ours", "ours" + AGAIN)}
    halves[f"a plain composition of {framework}.nn"] = peer(sizes, recipe, each)
    batches = variants.examples("resnet", vars(sizes), batch)
    return {variant: variants.step_variant(half, batches, compiled) for variant, half in halves.items()}
