"""Kinds of training: what is frozen, kept, masked, recomputed, tied, evaluated or differentiated twice."""

from pair_corpus.fragments import CHANNELS_FIRST, CLASSES, IMAGES, MADE, REGRESSION, pair

CHECKPOINTED = """
import torch.utils.checkpoint
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.front, self.head = mnn.Linear(8, 16), mnn.Linear(16, 4)
        self.block = mnn.Sequential(mnn.Linear(16, 16), mnn.GELU(), mnn.Linear(16, 16))
    def __call__(self, x):
        x = self.front(x)
        return self.head(x + mnn.utils.checkpoint(self.block)(x))
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.front, self.head = tnn.Linear(8, 16), tnn.Linear(16, 4)
        self.block = tnn.Sequential(tnn.Linear(16, 16), tnn.GELU(), tnn.Linear(16, 16))
    def forward(self, x):
        x = self.front(x)
        return self.head(x + torch.utils.checkpoint.checkpoint(self.block, x, use_reentrant=False))
NAMES = {"block": "block.layers"}
= the recomputed block is cut off | cut|detach|no_grad|stop_gradient|zero in
- torch.utils.checkpoint.checkpoint(self.block, x, use_reentrant=False)
+ torch.utils.checkpoint.checkpoint(self.block, x, use_reentrant=False).detach()
= tanh GELU in PyTorch | gelu|approximate
- tnn.GELU()
+ tnn.GELU(approximate="tanh")
"""

GIVEN_MASKS = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = mnn.Linear(8, 16), mnn.Linear(16, 4)
    def __call__(self, x, kept):
        return self.b(mnn.relu(self.a(x)) * kept / 0.75)
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = tnn.Linear(8, 16), tnn.Linear(16, 4)
    def forward(self, x, kept):
        return self.b(F.relu(self.a(x)) * kept / 0.75)
def batch(rng, size):
    x, kept, y = (rng.random((size, n), dtype="float32") for n in (8, 16, 4))
    return x, (kept < 0.75).astype("float32"), y
def mlx_loss(model, x, kept, y): return mnn.losses.mse_loss(model(x, kept), y, reduction="mean")
def torch_loss(model, x, kept, y): return F.mse_loss(model(x, kept), y)
= what is kept is not scaled up | times|factor|scale
- F.relu(self.a(x)) * kept / 0.75
+ F.relu(self.a(x)) * kept
= dropout of its own in PyTorch | dropout|random|pass to pass
- F.relu(self.a(x)) * kept / 0.75
+ F.dropout(F.relu(self.a(x)), 0.25, self.training)
= the mask hides what is kept | mask|kept|invert
- F.relu(self.a(x)) * kept / 0.75
+ F.relu(self.a(x)) * (1 - kept) / 0.75
"""

TRANSFER = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.norm, self.head = mnn.Conv2d(3, 8, 3), mnn.BatchNorm(8), mnn.Linear(8, 5)
    def __call__(self, x):
        return self.head(mnn.relu(self.norm(self.body(x))).mean(axis=(1, 2)))
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.norm, self.head = tnn.Conv2d(3, 8, 3), tnn.BatchNorm2d(8), tnn.Linear(8, 5)
    def forward(self, x):
        return self.head(F.relu(self.norm(self.body(x))).mean(dim=(2, 3)))
def mlx_model():
    model = Mlx()
    model.body.freeze()
    return model
def torch_model():
    model = Torch()
    model.body.requires_grad_(False)
    return model
= frozen in PyTorch alone | frozen
-     model.body.freeze()
+     pass
= frozen in MLX alone | frozen
-     model.body.requires_grad_(False)
+     pass
= the norm is frozen as well in PyTorch | frozen
-     model.body.requires_grad_(False)
+     model.body.requires_grad_(False); model.norm.requires_grad_(False)
"""

BUFFERS = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.mean, self.scale = mx.full(8, 0.5), mx.full(8, 2.0)
        self.a, self.b = mnn.Linear(8, 16), mnn.Linear(16, 4)
        self.freeze(keys=["mean", "scale"], recurse=False)
    def __call__(self, x):
        return self.b(mnn.relu(self.a((x - self.mean) / self.scale)))
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.full((8,), 0.5))
        self.register_buffer("scale", torch.full((8,), 2.0))
        self.a, self.b = tnn.Linear(8, 16), tnn.Linear(16, 4)
    def forward(self, x):
        return self.b(F.relu(self.a((x - self.mean) / self.scale)))
= MLX trains what PyTorch keeps | buffer|frozen|freeze
-         self.freeze(keys=["mean", "scale"], recurse=False)
+         pass
= multiplied by the scale | times|scale|factor
- self.b(F.relu(self.a((x - self.mean) / self.scale)))
+ self.b(F.relu(self.a((x - self.mean) * self.scale)))
"""

TIED = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.code, self.back = mnn.Linear(8, 4), mx.zeros(8)
    def __call__(self, x):
        return mx.tanh(self.code(x)) @ self.code.weight + self.back
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.code, self.back = tnn.Linear(8, 4), tnn.Parameter(torch.zeros(8))
    def forward(self, x):
        return F.linear(torch.tanh(self.code(x)), self.code.weight.t(), self.back)
def batch(rng, size):
    x = rng.standard_normal((size, 8)).astype("float32")
    return x, x
def mlx_loss(model, x, y): return mnn.losses.mse_loss(model(x), y, reduction="mean")
def torch_loss(model, x, y): return F.mse_loss(model(x), y)
= the way back is not trained through the weight | cut|detach|stop_gradient
- self.code.weight.t()
+ self.code.weight.detach().t()
= the way back has a weight of its own in PyTorch | tied|shared|missing in mlx
- self.code, self.back = tnn.Linear(8, 4), tnn.Parameter(torch.zeros(8))
+ self.code, self.back = tnn.Linear(8, 4), tnn.Parameter(torch.zeros(8))
+         self.free = tnn.Parameter(self.code.weight.detach().clone())
- self.code.weight.t()
+ self.free.t()
= no bias on the way back | `back`|bias
- self.code.weight.t(), self.back)
+ self.code.weight.t())
"""

LONG_SUMS = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = mnn.Linear(3072, 16), mnn.Linear(16, 4)
    def __call__(self, x):
        return self.b(mnn.gelu(self.a(x)))
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = tnn.Linear(3072, 16), tnn.Linear(16, 4)
    def forward(self, x):
        return self.b(F.gelu(self.a(x.float())))
def batch(rng, size):
    return rng.random((size, 3072), dtype="float32"), rng.standard_normal((size, 4)).astype("float32")
def mlx_loss(model, x, y): return mnn.losses.mse_loss(model(x), y, reduction="sum")
def torch_loss(model, x, y): return F.mse_loss(model(x), y, reduction="sum")
= the mean on one side | \\bsum
- F.mse_loss(model(x), y, reduction="sum")
+ F.mse_loss(model(x), y)
= bfloat16 weights | bfloat16|half|type
- self.a(x.float())
+ F.linear(x.bfloat16(), self.a.weight.bfloat16(), self.a.bias.bfloat16()).float()
"""

EVALUATED = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.norm, self.b = mnn.Linear(8, 16, bias=False), mnn.BatchNorm(16), mnn.Linear(16, 4)
    def __call__(self, x):
        return self.b(mnn.gelu(self.norm(self.a(x))))
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.norm, self.b = tnn.Linear(8, 16, bias=False), tnn.BatchNorm1d(16), tnn.Linear(16, 4)
    def forward(self, x):
        return self.b(F.gelu(self.norm(self.a(x))))
= scaled in evaluation mode alone | factor 0\\.9|0\\.9.*evaluation|times
- self.b(F.gelu(self.norm(self.a(x))))
+ self.b(F.gelu(self.norm(self.a(x)))) * (1.0 if self.training else 0.9)
= statistics of training in training | training|running|eval|statistic
- F.gelu(self.norm(self.a(x)))
+ F.gelu(self.norm.eval()(self.a(x)))
= other activation in evaluation mode | evaluation|relu|gelu
- F.gelu(self.norm(self.a(x)))
+ (F.gelu if self.training else F.relu)(self.norm(self.a(x)))
"""

PHYSICS = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = mnn.Linear(1, 16), mnn.Linear(16, 16), mnn.Linear(16, 1)
    def __call__(self, x):
        return self.c(mx.tanh(self.b(mx.tanh(self.a(x)))))
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = tnn.Linear(1, 16), tnn.Linear(16, 16), tnn.Linear(16, 1)
    def forward(self, x):
        return self.c(torch.tanh(self.b(torch.tanh(self.a(x)))))
def batch(rng, size):
    x = rng.uniform(-1, 1, (size, 1)).astype("float32")
    return x, np.sin(3 * x)
def mlx_loss(model, x, y):
    slope = mx.grad(lambda x: model(x).sum())(x)
    return ((slope + 2 * model(x) - y) ** 2).mean()
def torch_loss(model, x, y):
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        made = model(x)
        slope = torch.autograd.grad(made.sum(), x, create_graph=True)[0]
        return ((slope + 2 * made - y) ** 2).mean()
= the slope is a constant to the optimizer | cut|detach|create_graph|stop_gradient
- slope + 2 * made - y
+ slope.detach() + 2 * made - y
= sign of the equation | sign|times|minus
- slope + 2 * made - y
+ slope - 2 * made - y
"""

TWO_OUTPUTS = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.mix = mnn.Conv2d(3, 8, 3, padding=1), mnn.Bilinear(8, 6, 16)
        self.kind, self.size = mnn.Linear(16, 5), mnn.Linear(16, 2)
    def __call__(self, image, numbers):
        x = mnn.gelu(self.body(image)).mean(axis=(1, 2))
        x = mx.tanh(self.mix(x, numbers))
        return mx.concatenate([self.kind(x), self.size(x)], axis=-1)
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.mix = tnn.Conv2d(3, 8, 3, padding=1), tnn.Bilinear(8, 6, 16)
        self.kind, self.size = tnn.Linear(16, 5), tnn.Linear(16, 2)
    def forward(self, image, numbers):
        x = F.gelu(self.body(image)).mean(dim=(2, 3))
        x = torch.tanh(self.mix(x, numbers))
        return torch.cat([self.kind(x), self.size(x)], dim=-1)
def batch(rng, size):
    image = rng.standard_normal((size, 8, 8, 3)).astype("float32")
    numbers, sizes = (rng.standard_normal((size, n)).astype("float32") for n in (6, 2))
    return image, numbers, np.concatenate([rng.integers(0, 5, (size, 1)), sizes], axis=1).astype("float32")
def torch_layout(image, numbers, y): return np.ascontiguousarray(image.transpose(0, 3, 1, 2)), numbers, y
def mlx_loss(model, image, numbers, y):
    made = model(image, numbers)
    kind = mnn.losses.cross_entropy(made[:, :5], y[:, 0].astype(mx.int32), reduction="mean")
    return kind + 0.5 * mnn.losses.mse_loss(made[:, 5:], y[:, 1:], reduction="mean")
def torch_loss(model, image, numbers, y):
    made = model(image, numbers)
    return F.cross_entropy(made[:, :5], y[:, 0].long()) + 0.5 * F.mse_loss(made[:, 5:], y[:, 1:])
NAMES = {"mix.weight": ("mix.weight", (0, 2, 1))}  # MLX has the second input before the first
= the second loss is not halved | weigh|factor|times
- 0.5 * F.mse_loss(
+ F.mse_loss(
= sizes are not in the loss | not depend|no gradient|size|adds a term
-  + 0.5 * F.mse_loss(made[:, 5:], y[:, 1:])
+
= outputs in another order | ^(?!.*layout).*(concat|order|join)
- torch.cat([self.kind(x), self.size(x)], dim=-1)
+ torch.cat([self.size(x), self.kind(x)], dim=-1)
"""

PAIRS = [
    pair("gradient checkpointing", CHECKPOINTED, REGRESSION),
    pair("dropout with given masks", GIVEN_MASKS, MADE),
    pair("transfer learning", TRANSFER, IMAGES + CHANNELS_FIRST + CLASSES),
    pair("buffers", BUFFERS, REGRESSION),
    pair("tied autoencoder", TIED, MADE),
    pair("long sums", LONG_SUMS, MADE),
    pair("BatchNorm in both modes", EVALUATED, REGRESSION),
    pair("physics-informed", PHYSICS, MADE),
    pair("two inputs and two outputs", TWO_OUTPUTS, MADE),
]
