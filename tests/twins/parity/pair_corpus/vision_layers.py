"""Layers of vision and audio nets: gates, norms, patches, weight norm, skips, transposed and fine images."""

from pair_corpus.fragments import CHANNELS_FIRST, CLASSES, CLASSIFIER, IMAGE_TO_IMAGE, IMAGES, MADE, pair

AUDIO = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.front = mnn.Conv1d(2, 16, 5, stride=2, padding=2)
        self.wide = mnn.Conv1d(8, 8, 3, padding=4, dilation=4)
        self.head = mnn.Linear(8, 5)
    def __call__(self, x):  # (B, 32, 2)
        x = mnn.glu(self.front(x), axis=-1)  # (B, 16, 8)
        x = x + mx.tanh(self.wide(x))
        return self.head(x.mean(axis=1))
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.front = tnn.Conv1d(2, 16, 5, stride=2, padding=2)
        self.wide = tnn.Conv1d(8, 8, 3, padding=4, dilation=4)
        self.head = tnn.Linear(8, 5)
    def forward(self, x):  # (B, 2, 32)
        x = F.glu(self.front(x), dim=1)
        x = x + torch.tanh(self.wide(x))
        return self.head(x.mean(dim=2))
def torch_layout(x, y): return np.ascontiguousarray(x.transpose(0, 2, 1)), y
def batch(rng, size):
    return rng.standard_normal((size, 32, 2)).astype("float32"), rng.integers(0, 5, size, dtype="int32")
= halves of the GLU exchanged | glu|half|halves|exchang
- x = F.glu(self.front(x), dim=1)
+ gate, x = self.front(x).chunk(2, dim=1)
+         x = x * torch.sigmoid(gate)
= stride of Conv1d | stride
- tnn.Conv1d(2, 16, 5, stride=2, padding=2)
+ tnn.Conv1d(2, 16, 5, padding=2)
= residual missing | plus|residual|not add
- x = x + torch.tanh(self.wide(x))
+ x = torch.tanh(self.wide(x))
"""

SQUEEZE = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.conv = mnn.Conv2d(3, 16, 3, padding=1)
        self.down, self.up, self.head = mnn.Linear(16, 4), mnn.Linear(4, 16), mnn.Linear(16, 5)
    def __call__(self, x):
        x = mnn.elu(self.conv(x))
        gate = mx.sigmoid(self.up(mnn.relu(self.down(x.mean(axis=(1, 2))))))
        return self.head((x * gate[:, None, None]).max(axis=(1, 2)))
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.conv = tnn.Conv2d(3, 16, 3, padding=1)
        self.down, self.up, self.head = tnn.Linear(16, 4), tnn.Linear(4, 16), tnn.Linear(16, 5)
    def forward(self, x):
        x = F.elu(self.conv(x))
        gate = torch.sigmoid(self.up(F.relu(self.down(x.mean(dim=(2, 3))))))
        return self.head((x * gate[:, :, None, None]).amax(dim=(2, 3)))
= hard sigmoid for sigmoid | sigmoid
- torch.sigmoid(
+ F.hardsigmoid(
= the squeeze takes the largest | mean|max|pool
- self.down(x.mean(dim=(2, 3)))
+ self.down(x.amax(dim=(2, 3)))
= the gate is cut off | zero in pytorch|detach|graph is cut|stop_gradient
- gate[:, :, None, None]
+ gate.detach()[:, :, None, None]
"""

NORMS = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.c1, self.g = mnn.Conv2d(3, 16, 3, padding=1), mnn.GroupNorm(4, 16, pytorch_compatible=True)
        self.c2, self.i = mnn.Conv2d(16, 16, 3, padding=1), mnn.InstanceNorm(16, affine=True)
        self.l, self.head = mnn.LayerNorm(16, eps=1e-6), mnn.Linear(16, 5)
    def __call__(self, x):
        x = mnn.silu(self.g(0.1 * self.c1(x)))
        x = mnn.softplus(self.i(0.1 * self.c2(x)))
        return self.head(self.l(0.1 * x.max(axis=(1, 2))))
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.c1, self.g = tnn.Conv2d(3, 16, 3, padding=1), tnn.GroupNorm(4, 16)
        self.c2, self.i = tnn.Conv2d(16, 16, 3, padding=1), tnn.InstanceNorm2d(16, affine=True)
        self.l, self.head = tnn.LayerNorm(16, eps=1e-6), tnn.Linear(16, 5)
    def forward(self, x):
        x = F.silu(self.g(0.1 * self.c1(x)))
        x = F.softplus(self.i(0.1 * self.c2(x)))
        return self.head(self.l(0.1 * x.amax(dim=(2, 3))))
= GroupNorm as MLX groups by default | pytorch_compatible
- mnn.GroupNorm(4, 16, pytorch_compatible=True)
+ mnn.GroupNorm(4, 16)
= PyTorch's default epsilon of LayerNorm | eps
- tnn.LayerNorm(16, eps=1e-6)
+ tnn.LayerNorm(16)
= epsilon of InstanceNorm | eps
- tnn.InstanceNorm2d(16, affine=True)
+ tnn.InstanceNorm2d(16, affine=True, eps=1e-3)
= two groups | groups
- tnn.GroupNorm(4, 16)
+ tnn.GroupNorm(2, 16)
"""

HAND_NORMS = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.head, self.scale = mnn.Linear(192, 16), mnn.Linear(16, 5), mx.ones(16)
    def __call__(self, x):
        x = self.a(x.reshape(len(x), -1))
        x = x / mx.sqrt((x * x).mean(axis=-1, keepdims=True) + 1e-3) * self.scale  # RMSNorm
        x = mx.tanh(x)
        x = (x - x.mean(axis=-1, keepdims=True)) / mx.sqrt(x.var(axis=-1, keepdims=True) + 1e-3)
        return self.head(x)
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.head = tnn.Linear(192, 16), tnn.Linear(16, 5)
        self.scale = tnn.Parameter(torch.ones(16))
    def forward(self, x):
        x = self.a(x.flatten(1))
        x = x / torch.sqrt((x * x).mean(dim=-1, keepdim=True) + 1e-3) * self.scale
        x = torch.tanh(x)
        x = (x - x.mean(dim=-1, keepdim=True)) / torch.sqrt(x.var(dim=-1, keepdim=True, correction=0) + 1e-3)
        return self.head(x)
= epsilon outside the root | eps|1e-3|0\\.001
- torch.sqrt((x * x).mean(dim=-1, keepdim=True) + 1e-3) * self.scale
+ (torch.sqrt((x * x).mean(dim=-1, keepdim=True)) + 1e-3) * self.scale
= variance divided by n - 1 | biased|n - 1|correction
- , correction=0)
+ )
= the scale is forgotten | not depend|scale
- * self.scale  # RMSNorm
+
"""

WEIGHT_NORM = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.v, self.g = 0.1 * mx.random.normal((8, 3, 3, 3)), mx.ones(8)  # out, height, width, in
        self.bias, self.head = mx.zeros(8), mnn.Linear(8, 5)
    def __call__(self, x):
        norm = mx.sqrt((self.v * self.v).sum(axis=(1, 2, 3), keepdims=True))
        x = mx.conv2d(x, self.g[:, None, None, None] * self.v / norm, padding=1) + self.bias
        return self.head(mnn.mish(x).mean(axis=(1, 2)))
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.v, self.g = tnn.Parameter(0.1 * torch.randn(8, 3, 3, 3)), tnn.Parameter(torch.ones(8))
        self.bias, self.head = tnn.Parameter(torch.zeros(8)), tnn.Linear(8, 5)
    def forward(self, x):
        norm = torch.linalg.vector_norm(self.v, dim=(1, 2, 3), keepdim=True)
        x = F.conv2d(x, self.g[:, None, None, None] * self.v / norm, self.bias, padding=1)
        return self.head(F.mish(x).mean(dim=(2, 3)))
NAMES = {"v": ("v", (0, 2, 3, 1))}  # in, height, width -> height, width, in
= norm over the kernel's places alone | norm|axis|axes|dim
- torch.linalg.vector_norm(self.v, dim=(1, 2, 3)
+ torch.linalg.vector_norm(self.v, dim=(2, 3)
= rows and columns of the kernel exchanged | transpos|swapp|axes|order|layout
- {"v": ("v", (0, 2, 3, 1))}
+ {"v": ("v", (0, 3, 2, 1))}
"""

PATCHES = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.patch, self.place = mnn.Conv2d(3, 16, 4, stride=4), 0.1 * mx.random.normal((4, 16))
        self.n1, self.n2 = mnn.LayerNorm(16), mnn.LayerNorm(16)
        self.qkv, self.out = mnn.Linear(16, 48), mnn.Linear(16, 16)
        self.up, self.down, self.head = mnn.Linear(16, 32), mnn.Linear(32, 16), mnn.Linear(16, 5)
    def __call__(self, x):
        x = self.patch(x).flatten(1, 2) + self.place  # (B, 4, 16)
        q, k, v = mx.split(self.qkv(self.n1(x)), 3, axis=-1)
        x = x + self.out(mx.softmax(q @ k.swapaxes(1, 2) / 4, axis=-1) @ v)
        x = x + self.down(mnn.gelu(self.up(self.n2(x))))
        return self.head(x.mean(axis=1))
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.patch, self.place = tnn.Conv2d(3, 16, 4, stride=4), tnn.Parameter(0.1 * torch.randn(4, 16))
        self.n1, self.n2 = tnn.LayerNorm(16), tnn.LayerNorm(16)
        self.qkv, self.out = tnn.Linear(16, 48), tnn.Linear(16, 16)
        self.up, self.down, self.head = tnn.Linear(16, 32), tnn.Linear(32, 16), tnn.Linear(16, 5)
    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2) + self.place
        q, k, v = self.qkv(self.n1(x)).chunk(3, dim=-1)
        x = x + self.out((q @ k.transpose(1, 2) / 4).softmax(dim=-1) @ v)
        x = x + self.down(F.gelu(self.up(self.n2(x))))
        return self.head(x.mean(dim=1))
= patches in columns | order|transpos|layout
- self.patch(x).flatten(2)
+ self.patch(x).transpose(2, 3).flatten(2)
= softmax over the queries | softmax.*(axis|axes|dim)|(axis|axes|dim).*softmax
- .softmax(dim=-1)
+ .softmax(dim=1)
= the norm after the residual is read | residual|n2|norm
- x = x + self.down(F.gelu(self.up(self.n2(x))))
+ x = self.n2(x); x = x + self.down(F.gelu(self.up(x)))
= no places are added | `place`|plus|not add
- .transpose(1, 2) + self.place
+ .transpose(1, 2)
"""

UNET = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.c1, self.c2 = mnn.Conv2d(3, 8, 3, padding=1), mnn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.c3 = mnn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.u2 = mnn.ConvTranspose2d(8, 8, 2, stride=2)
        self.u1 = mnn.ConvTranspose2d(16, 8, 4, stride=2, padding=1)
        self.out = mnn.Conv2d(16, 3, 1)
    def __call__(self, x):
        a = mnn.relu(self.c1(x))
        b = mnn.relu(self.c2(a))
        y = mnn.relu(self.u2(mnn.relu(self.c3(b))))
        y = mnn.relu(self.u1(mx.concatenate([b, y], axis=-1)))
        return self.out(mx.concatenate([a, y], axis=-1))
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.c1, self.c2 = tnn.Conv2d(3, 8, 3, padding=1), tnn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.c3 = tnn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.u2 = tnn.ConvTranspose2d(8, 8, 2, stride=2)
        self.u1 = tnn.ConvTranspose2d(16, 8, 4, stride=2, padding=1)
        self.out = tnn.Conv2d(16, 3, 1)
    def forward(self, x):
        a = F.relu(self.c1(x))
        b = F.relu(self.c2(a))
        y = F.relu(self.u2(F.relu(self.c3(b))))
        y = F.relu(self.u1(torch.cat([b, y], dim=1)))
        return self.out(torch.cat([a, y], dim=1)).permute(0, 2, 3, 1)
= the skip joins in another order | ^(?!.*layout).*(concat|order|join)
- torch.cat([b, y], dim=1)
+ torch.cat([y, b], dim=1)
= the skip is taken before its activation | relu|c1
- torch.cat([a, y], dim=1)
+ torch.cat([self.c1(x), y], dim=1)
= rows and columns exchanged | layout|order|transpos|permut|axes
- .permute(0, 2, 3, 1)
+ .permute(0, 3, 2, 1)
"""

SUPER_RESOLUTION = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.mix = mnn.Conv2d(3, 8, 3, padding=1), mnn.Conv2d(8, 12, 3, padding=1)
        self.up = mnn.Upsample(2, mode="linear", align_corners=False)
    def __call__(self, x):  # (B, 8, 8, 3) -> (B, 16, 16, 3)
        y = self.mix(mnn.relu(self.conv(x)))
        b, h, w, _ = y.shape
        y = y.reshape(b, h, w, 3, 2, 2).transpose(0, 1, 4, 2, 5, 3).reshape(b, 2 * h, 2 * w, 3)
        return y + self.up(x)
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.mix = tnn.Conv2d(3, 8, 3, padding=1), tnn.Conv2d(8, 12, 3, padding=1)
        self.up = tnn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
    def forward(self, x):
        y = F.pixel_shuffle(self.mix(F.relu(self.conv(x))), 2)
        return (y + self.up(x)).permute(0, 2, 3, 1)
def batch(rng, size):
    y = rng.standard_normal((size, 16, 16, 3)).astype("float32")
    return y[:, ::2, ::2].copy(), y
def mlx_loss(model, x, y): return mnn.losses.mse_loss(model(x), y, reduction="mean")
def torch_loss(model, x, y): return F.mse_loss(model(x), y)
= the channels of the pixel shuffle last | order|shuffle|layout|channel
- .reshape(b, h, w, 3, 2, 2).transpose(0, 1, 4, 2, 5, 3)
+ .reshape(b, h, w, 2, 2, 3).transpose(0, 1, 3, 2, 4, 5)
= align_corners | align_corners
- mode="bilinear", align_corners=False
+ mode="bilinear", align_corners=True
= nearest for bilinear | nearest|mode
- mode="bilinear", align_corners=False
+ mode="nearest"
"""

PAIRS = [
    pair("Conv1d audio net", AUDIO, MADE + CLASSES),
    pair("squeeze and excitation", SQUEEZE, CLASSIFIER),
    pair("GroupNorm, InstanceNorm, LayerNorm", NORMS, CLASSIFIER),
    pair("norms written by hand", HAND_NORMS, MADE + IMAGES + CLASSES),
    pair("weight-normed convolution", WEIGHT_NORM, CLASSIFIER),
    pair("ViT of four patches", PATCHES, CLASSIFIER),
    pair("U-Net with transposed convolution", UNET, IMAGE_TO_IMAGE),
    pair("super-resolution", SUPER_RESOLUTION, MADE + CHANNELS_FIRST),
]
