"""Convolutional classifiers: pooling, BatchNorm, residual blocks, depthwise and dilated convolutions."""

from pair_corpus.fragments import CLASSIFIER, IMAGE_TO_IMAGE, pair

MAX_POOLED = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.c1 = mnn.Conv2d(3, 8, 3, padding=1)
        self.c2 = mnn.Conv2d(8, 12, 3)
        self.pool = mnn.MaxPool2d(2, 2)
        self.head = mnn.Linear(12, 5)
    def __call__(self, x):
        x = self.pool(mnn.relu(self.c1(x)))  # (B, 4, 4, 8)
        x = self.pool(mnn.relu(self.c2(x)))  # (B, 1, 1, 12)
        return self.head(x.reshape(x.shape[0], -1))
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.c1 = tnn.Conv2d(3, 8, 3, padding=1)
        self.c2 = tnn.Conv2d(8, 12, 3)
        self.pool = tnn.MaxPool2d(2, 2)
        self.head = tnn.Linear(12, 5)
    def forward(self, x):
        x = self.pool(F.relu(self.c1(x)))
        x = self.pool(F.relu(self.c2(x)))
        return self.head(x.flatten(1))
= average for max pooling | pool|max|average
- tnn.MaxPool2d(2, 2)
+ tnn.AvgPool2d(2, 2)
= BGR for RGB | ^(?!.*layout).*(flip|revers|order)
- F.relu(self.c1(x))
+ F.relu(self.c1(x.flip(1)))
= an activation is missing | relu
- F.relu(self.c2(x))
+ self.c2(x)
"""

FLATTENED = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.conv = mnn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.head = mnn.Linear(96, 5)
    def __call__(self, x):
        x = mnn.gelu(self.conv(x))  # (B, 4, 4, 6)
        return self.head(x.transpose(0, 3, 1, 2).flatten(1))
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.conv = tnn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.head = tnn.Linear(96, 5)
    def forward(self, x):
        x = F.gelu(self.conv(x))
        return self.head(x.flatten(1))
= flattened channels last in MLX | layout|channel|order
- x.transpose(0, 3, 1, 2).flatten(1)
+ x.flatten(1)
= tanh GELU in MLX | gelu
- mnn.gelu(
+ mnn.gelu_approx(
= replicated border | padding.?mode|replicate
- tnn.Conv2d(3, 6, 3, stride=2, padding=1)
+ tnn.Conv2d(3, 6, 3, stride=2, padding=1, padding_mode="replicate")
= the padding is forgotten | padding
- mnn.Conv2d(3, 6, 3, stride=2, padding=1)
+ mnn.Conv2d(3, 6, 3, stride=2)
"""

AVERAGE_POOLED = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.conv = mnn.Conv2d(3, 8, 3, padding=1)
        self.pool = mnn.AvgPool2d(3, 2, 1)
        self.mix = mnn.Conv2d(8, 8, 1)
        self.last = mnn.AvgPool2d(3, 2)
        self.head = mnn.Linear(8, 5)
    def __call__(self, x):
        x = self.pool(mnn.silu(self.conv(x)))  # (B, 4, 4, 8)
        x = self.last(mnn.silu(self.mix(x)))  # (B, 1, 1, 8)
        return self.head(x.mean(axis=(1, 2)))
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.conv = tnn.Conv2d(3, 8, 3, padding=1)
        self.pool = tnn.AvgPool2d(3, 2, 1)
        self.mix = tnn.Conv2d(8, 8, 1)
        self.last = tnn.AvgPool2d(3, 2)
        self.head = tnn.Linear(8, 5)
    def forward(self, x):
        x = self.pool(F.silu(self.conv(x)))
        x = self.last(F.silu(self.mix(x)))
        return self.head(x.mean(dim=(2, 3)))
= borders are not counted | count_include_pad
- tnn.AvgPool2d(3, 2, 1)
+ tnn.AvgPool2d(3, 2, 1, count_include_pad=False)
= ceil_mode | ceil_mode
- tnn.AvgPool2d(3, 2)
+ tnn.AvgPool2d(3, 2, ceil_mode=True)
= pooling stride | stride
- tnn.AvgPool2d(3, 2, 1)
+ tnn.AvgPool2d(3, 1, 1)
"""

VGG_BN = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.features = mnn.Sequential(
            mnn.Conv2d(3, 8, 3, padding=1), mnn.BatchNorm(8), mnn.ReLU(), mnn.MaxPool2d(2, 2),
            mnn.Conv2d(8, 16, 3, padding=1), mnn.BatchNorm(16), mnn.ReLU(), mnn.MaxPool2d(2, 2))
        self.head = mnn.Linear(16, 5)
    def __call__(self, x):
        return self.head(self.features(x).mean(axis=(1, 2)))
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.features = tnn.Sequential(
            tnn.Conv2d(3, 8, 3, padding=1), tnn.BatchNorm2d(8), tnn.ReLU(), tnn.MaxPool2d(2, 2),
            tnn.Conv2d(8, 16, 3, padding=1), tnn.BatchNorm2d(16), tnn.ReLU(), tnn.MaxPool2d(2, 2))
        self.head = tnn.Linear(16, 5)
    def forward(self, x):
        return self.head(self.features(x).mean(dim=(2, 3)))
NAMES = {"features": "features.layers"}
= epsilon of BatchNorm | eps
- tnn.BatchNorm2d(8)
+ tnn.BatchNorm2d(8, eps=1e-3)
= momentum the other way round | momentum
- tnn.BatchNorm2d(16)
+ tnn.BatchNorm2d(16, momentum=0.9)
= BatchNorm keeps no statistics in MLX | track_running_stats|running|missing in MLX
- mnn.BatchNorm(16)
+ mnn.BatchNorm(16, track_running_stats=False)
"""

RESNET = """
class MlxBlock(mnn.Module):
    def __init__(self, a, b, stride):
        super().__init__()
        self.c1, self.n1 = mnn.Conv2d(a, b, 3, stride=stride, padding=1, bias=False), mnn.BatchNorm(b)
        self.c2, self.n2 = mnn.Conv2d(b, b, 3, stride=1, padding=1, bias=False), mnn.BatchNorm(b)
        self.down = mnn.Conv2d(a, b, 1, stride=stride, bias=False)
    def __call__(self, x):
        y = self.n2(self.c2(mnn.relu(self.n1(self.c1(x)))))
        return mnn.relu(y + self.down(x))
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.stem = mnn.Conv2d(3, 8, 3, padding=1)
        self.blocks = [MlxBlock(8, 8, 1), MlxBlock(8, 16, 2)]
        self.head = mnn.Linear(16, 5)
    def __call__(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(axis=(1, 2)))
class TorchBlock(tnn.Module):
    def __init__(self, a, b, stride):
        super().__init__()
        self.c1, self.n1 = tnn.Conv2d(a, b, 3, stride=stride, padding=1, bias=False), tnn.BatchNorm2d(b)
        self.c2, self.n2 = tnn.Conv2d(b, b, 3, stride=1, padding=1, bias=False), tnn.BatchNorm2d(b)
        self.down = tnn.Conv2d(a, b, 1, stride=stride, bias=False)
    def forward(self, x):
        y = self.n2(self.c2(F.relu(self.n1(self.c1(x)))))
        return F.relu(y + self.down(x))
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.stem = tnn.Conv2d(3, 8, 3, padding=1)
        self.blocks = tnn.ModuleList([TorchBlock(8, 8, 1), TorchBlock(8, 16, 2)])
        self.head = tnn.Linear(16, 5)
    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(dim=(2, 3)))
= the shortcut is missing | plus|residual|shortcut|down|not add
- F.relu(y + self.down(x))
+ F.relu(y)
= ReLU before the sum | relu
- F.relu(y + self.down(x))
+ F.relu(y) + self.down(x)
= stride in the second convolution | stride
- self.c1, self.n1 = tnn.Conv2d(a, b, 3, stride=stride,
+ self.c1, self.n1 = tnn.Conv2d(a, b, 3, stride=1,
- self.c2, self.n2 = tnn.Conv2d(b, b, 3, stride=1,
+ self.c2, self.n2 = tnn.Conv2d(b, b, 3, stride=stride,
"""

MOBILE = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.grow = mnn.Conv2d(3, 16, 1)
        self.deep = mnn.Conv2d(16, 16, 3, stride=2, padding=1, groups=16)
        self.shrink = mnn.Conv2d(16, 8, 1, groups=2)
        self.head = mnn.Linear(8, 5)
    def __call__(self, x):
        x = mnn.hardswish(self.deep(mnn.relu6(4 * self.grow(x))))  # (B, 4, 4, 16)
        return self.head(self.shrink(x).mean(axis=(1, 2)))
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.grow = tnn.Conv2d(3, 16, 1)
        self.deep = tnn.Conv2d(16, 16, 3, stride=2, padding=1, groups=16)
        self.shrink = tnn.Conv2d(16, 8, 1, groups=2)
        self.head = tnn.Linear(8, 5)
    def forward(self, x):
        x = F.hardswish(self.deep(F.relu6(4 * self.grow(x))))
        return self.head(self.shrink(x).mean(dim=(2, 3)))
= ReLU for ReLU6 | relu6|clip
- F.relu6(
+ F.relu(
= SiLU for hardswish | hard.?swish|silu
- F.hardswish(
+ F.silu(
= groups of the last convolution | groups
- tnn.Conv2d(16, 8, 1, groups=2)
+ tnn.Conv2d(16, 8, 1)
"""

DILATED = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.near = mnn.Conv2d(3, 8, 3, padding=1)
        self.wide = mnn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=2)
        self.head = mnn.Linear(16, 5)
    def __call__(self, x):
        near = mnn.leaky_relu(self.near(x), 0.1)
        wide = mnn.leaky_relu(self.wide(near), 0.1)
        return self.head(mx.concatenate([near, wide], axis=-1).max(axis=(1, 2)))
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.near = tnn.Conv2d(3, 8, 3, padding=1)
        self.wide = tnn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=2)
        self.head = tnn.Linear(16, 5)
    def forward(self, x):
        near = F.leaky_relu(self.near(x), 0.1)
        wide = F.leaky_relu(self.wide(near), 0.1)
        return self.head(torch.cat([near, wide], dim=1).amax(dim=(2, 3)))
= dilation forgotten | dilation
- tnn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=2)
+ tnn.Conv2d(8, 8, 3, padding=1, groups=2)
= channels joined in another order | ^(?!.*layout).*(concat|order|join)
- torch.cat([near, wide], dim=1)
+ torch.cat([wide, near], dim=1)
= mean for max over places | mean|max
- .amax(dim=(2, 3))
+ .mean(dim=(2, 3))
= slope of the leaky ReLU | leaky|slope
- mnn.leaky_relu(self.near(x), 0.1)
+ mnn.leaky_relu(self.near(x))
"""

STYLE = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = mnn.Conv2d(3, 8, 3), mnn.InstanceNorm(8)
        self.up, self.last = mnn.Upsample(2, mode="nearest"), mnn.Conv2d(8, 3, 3, stride=2, padding=1)
    def __call__(self, x):
        x = mx.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], mode="edge")
        return self.last(self.up(mnn.relu(self.norm(self.conv(x)))))
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = tnn.Conv2d(3, 8, 3), tnn.InstanceNorm2d(8)
        self.up, self.last = tnn.Upsample(scale_factor=2), tnn.Conv2d(8, 3, 3, stride=2, padding=1)
    def forward(self, x):
        x = F.pad(x, (1, 1, 1, 1), mode="replicate")
        return self.last(self.up(F.relu(self.norm(self.conv(x))))).permute(0, 2, 3, 1)
= zeros at the border | padding|pad|border|edge|replicate
- F.pad(x, (1, 1, 1, 1), mode="replicate")
+ F.pad(x, (1, 1, 1, 1))
= bilinear for nearest | nearest|mode|linear
- tnn.Upsample(scale_factor=2)
+ tnn.Upsample(scale_factor=2, mode="bilinear")
= norm and activation exchanged | relu|norm
- F.relu(self.norm(self.conv(x)))
+ self.norm(F.relu(self.conv(x)))
"""

PAIRS = [
    pair("ConvNet with max pooling", MAX_POOLED, CLASSIFIER),
    pair("flattened convolution", FLATTENED, CLASSIFIER),
    pair("ConvNet with average pooling", AVERAGE_POOLED, CLASSIFIER),
    pair("VGG with BatchNorm", VGG_BN, CLASSIFIER),
    pair("ResNet", RESNET, CLASSIFIER),
    pair("MobileNet", MOBILE, CLASSIFIER),
    pair("dilated and grouped convolution", DILATED, CLASSIFIER),
    pair("style transfer", STYLE, IMAGE_TO_IMAGE),
]
