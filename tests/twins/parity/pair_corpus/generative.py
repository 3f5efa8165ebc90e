"""Networks that generate: decoders, VAE, diffusion, discriminator, coupling flow; noise is in the batch."""

from pair_corpus.fragments import IMAGE_TO_IMAGE, MADE, pair

AUTOENCODER = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.enc = mnn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.mid = mnn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.up = mnn.ConvTranspose2d(8, 8, 3, stride=2, padding=1, output_padding=1)
        self.dec = mnn.ConvTranspose2d(8, 3, 4, stride=2, padding=1)
    def __call__(self, x):
        return mx.sigmoid(self.dec(mnn.gelu(self.up(mnn.gelu(self.mid(mnn.gelu(self.enc(x))))))))
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.enc = tnn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.mid = tnn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.up = tnn.ConvTranspose2d(8, 8, 3, stride=2, padding=1, output_padding=1)
        self.dec = tnn.ConvTranspose2d(8, 3, 4, stride=2, padding=1)
    def forward(self, x):
        x = self.dec(F.gelu(self.up(F.gelu(self.mid(F.gelu(self.enc(x)))))))
        return torch.sigmoid(x).permute(0, 2, 3, 1)
= output_padding forgotten | output_padding
- tnn.ConvTranspose2d(8, 8, 3, stride=2, padding=1, output_padding=1)
+ tnn.ConvTranspose2d(8, 8, 3, stride=2, padding=1)
= padding of the decoder | padding
- mnn.ConvTranspose2d(8, 3, 4, stride=2, padding=1)
+ mnn.ConvTranspose2d(8, 3, 4, stride=2)
= no sigmoid at the end | sigmoid
- return mx.sigmoid(self.dec(mnn.gelu(self.up(mnn.gelu(self.mid(mnn.gelu(self.enc(x))))))))
+ return self.dec(mnn.gelu(self.up(mnn.gelu(self.mid(mnn.gelu(self.enc(x)))))))
"""

WAVE_DECODER = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.front, self.up = mnn.Linear(6, 32), mnn.ConvTranspose1d(8, 8, 4, stride=2, padding=1)
        self.snake, self.last = mx.ones(8), mnn.Conv1d(8, 1, 5, padding=2)
    def __call__(self, z):
        x = self.up(self.front(z).reshape(-1, 4, 8))  # (B, 8, 8)
        x = x + mx.sin(self.snake * x) ** 2 / (self.snake + 0.1)
        return mx.tanh(self.last(x)).squeeze(-1)
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.front, self.up = tnn.Linear(6, 32), tnn.ConvTranspose1d(8, 8, 4, stride=2, padding=1)
        self.snake, self.last = tnn.Parameter(torch.ones(8)), tnn.Conv1d(8, 1, 5, padding=2)
    def forward(self, z):
        x = self.up(self.front(z).view(-1, 4, 8).transpose(1, 2))
        x = x + torch.sin(self.snake[:, None] * x) ** 2 / (self.snake[:, None] + 0.1)
        return torch.tanh(self.last(x)).squeeze(1)
def batch(rng, size):
    return rng.standard_normal((size, 6)).astype("float32"), rng.standard_normal((size, 8)).astype("float32")
def mlx_loss(model, z, y): return mnn.losses.l1_loss(model(z), y, reduction="mean")
def torch_loss(model, z, y): return F.l1_loss(model(z), y)
= channels and times of the latent exchanged | layout|order|channel|transpos
- .view(-1, 4, 8).transpose(1, 2)
+ .view(-1, 8, 4)
= L2 for L1 | squared|mse|l1|absolute
- F.l1_loss(model(z), y)
+ F.mse_loss(model(z), y)
= loss summed | \\bsum
- F.l1_loss(model(z), y)
+ F.l1_loss(model(z), y, reduction="sum")
"""

VAE = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.enc, self.mean, self.logvar = mnn.Linear(8, 16), mnn.Linear(16, 4), mnn.Linear(16, 4)
        self.dec, self.out = mnn.Linear(4, 16), mnn.Linear(16, 8)
    def latent(self, x):
        h = mx.tanh(self.enc(x))
        return self.mean(h), self.logvar(h)
    def decode(self, z):
        return self.out(mx.tanh(self.dec(z)))
    def __call__(self, x, noise):
        mean, logvar = self.latent(x)
        return self.decode(mean + mx.exp(0.5 * logvar) * noise)
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.enc, self.mean, self.logvar = tnn.Linear(8, 16), tnn.Linear(16, 4), tnn.Linear(16, 4)
        self.dec, self.out = tnn.Linear(4, 16), tnn.Linear(16, 8)
    def latent(self, x):
        h = torch.tanh(self.enc(x))
        return self.mean(h), self.logvar(h)
    def decode(self, z):
        return self.out(torch.tanh(self.dec(z)))
    def forward(self, x, noise):
        mean, logvar = self.latent(x)
        return self.decode(mean + torch.exp(0.5 * logvar) * noise)
def batch(rng, size):
    x, noise = (rng.standard_normal((size, n)).astype("float32") for n in (8, 4))
    return x, noise, x
def mlx_loss(model, x, noise, y):
    mean, logvar = model.latent(x)
    kl = -0.5 * (1 + logvar - mean**2 - mx.exp(logvar)).sum(axis=-1).mean()
    return mnn.losses.mse_loss(model(x, noise), y, reduction="mean") + 0.1 * kl
def torch_loss(model, x, noise, y):
    mean, logvar = model.latent(x)
    kl = -0.5 * (1 + logvar - mean**2 - logvar.exp()).sum(dim=-1).mean()
    return F.mse_loss(model(x, noise), y) + 0.1 * kl
= the variance in place of the deviation | exp|factor|0\\.5|half|twice|variance
- torch.exp(0.5 * logvar) * noise
+ torch.exp(logvar) * noise
= the noise is subtracted | noise|sign|minus|subtract
- mean + torch.exp(0.5 * logvar) * noise
+ mean - torch.exp(0.5 * logvar) * noise
= divergence averaged over the latent | sum|mean|times
- .sum(dim=-1).mean()
+ .mean()
= weight of the divergence | times|factor|weigh
- F.mse_loss(model(x, noise), y) + 0.1 * kl
+ F.mse_loss(model(x, noise), y) + kl
"""

DIFFUSION = """
STEPS = 50
BETAS = np.linspace(1e-4, 0.02, STEPS, dtype="float32")
ALPHAS = np.cumprod(1 - BETAS).astype("float32")
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.c1, self.norm = mnn.Conv2d(3, 16, 3, padding=1), mnn.GroupNorm(4, 16, pytorch_compatible=True)
        self.time, self.c2 = mnn.Linear(16, 16), mnn.Conv2d(16, 3, 3, padding=1)
    def __call__(self, x, noise, t):
        a = mx.array(ALPHAS)[t][:, None, None, None]
        x = mx.sqrt(a) * x + mx.sqrt(1 - a) * noise
        angle = t[:, None].astype(x.dtype) * mx.exp(-math.log(1e4) / 8 * mx.arange(8))
        time = mnn.silu(self.time(mx.concatenate([mx.sin(angle), mx.cos(angle)], axis=-1)))
        return self.c2(mnn.silu(self.norm(self.c1(x)) + time[:, None, None]))
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.c1, self.norm = tnn.Conv2d(3, 16, 3, padding=1), tnn.GroupNorm(4, 16)
        self.time, self.c2 = tnn.Linear(16, 16), tnn.Conv2d(16, 3, 3, padding=1)
        self.register_buffer("alphas", torch.from_numpy(ALPHAS), persistent=False)
    def forward(self, x, noise, t):
        a = self.alphas[t][:, None, None, None]
        x = a.sqrt() * x + (1 - a).sqrt() * noise
        angle = t[:, None].to(x.dtype) * torch.exp(-math.log(1e4) / 8 * torch.arange(8))
        time = F.silu(self.time(torch.cat([angle.sin(), angle.cos()], dim=-1)))
        return self.c2(F.silu(self.norm(self.c1(x)) + time[:, :, None, None])).permute(0, 2, 3, 1)
def batch(rng, size):
    x, noise = rng.standard_normal((2, size, 8, 8, 3)).astype("float32")
    return x, noise, rng.integers(0, STEPS, size, dtype="int32"), noise
def torch_layout(*b): return *(np.ascontiguousarray(a.transpose(0, 3, 1, 2)) for a in b[:2]), *b[2:]
def mlx_loss(model, x, noise, t, y): return mnn.losses.mse_loss(model(x, noise, t), y, reduction="mean")
def torch_loss(model, x, noise, t, y): return F.mse_loss(model(x, noise, t), y)
= cosines before sines | ^(?!.*layout).*(order|concat|join|\\bcos)
- torch.cat([angle.sin(), angle.cos()], dim=-1)
+ torch.cat([angle.cos(), angle.sin()], dim=-1)
= no root over the noise's share | root|sqrt
- (1 - a).sqrt() * noise
+ (1 - a) * noise
= frequencies over one fewer | factor|times|angle|frequenc
- -math.log(1e4) / 8 * torch.arange(8)
+ -math.log(1e4) / 7 * torch.arange(8)
= groups in memory's order in MLX | pytorch_compatible
- mnn.GroupNorm(4, 16, pytorch_compatible=True)
+ mnn.GroupNorm(4, 16)
"""

DISCRIMINATOR = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.c1, self.c2 = mnn.Conv2d(3, 8, 4, stride=2, padding=1), mnn.Conv2d(8, 16, 4, stride=2, padding=1)
        self.head = mnn.Linear(64, 1)
    def __call__(self, real, made):
        x = mx.concatenate([real, made], axis=0)
        x = mnn.leaky_relu(self.c2(mnn.leaky_relu(self.c1(x), 0.2)), 0.2)  # (2 B, 2, 2, 16)
        return self.head(x.transpose(0, 3, 1, 2).reshape(len(x), -1)).squeeze(-1)
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.c1, self.c2 = tnn.Conv2d(3, 8, 4, stride=2, padding=1), tnn.Conv2d(8, 16, 4, stride=2, padding=1)
        self.head = tnn.Linear(64, 1)
    def forward(self, real, made):
        x = torch.cat([real, made])
        x = F.leaky_relu(self.c2(F.leaky_relu(self.c1(x), 0.2)), 0.2)
        return self.head(x.flatten(1)).squeeze(-1)
def batch(rng, size):
    real, made = rng.standard_normal((2, size, 8, 8, 3)).astype("float32")
    return real, made, rng.uniform(0.8, 1.0, size).astype("float32")
def torch_layout(a, b, y): return *(np.ascontiguousarray(x.transpose(0, 3, 1, 2)) for x in (a, b)), y
def mlx_loss(model, real, made, y):
    logits, target = model(real, made), mx.concatenate([y, mx.zeros_like(y)])
    return mnn.losses.binary_cross_entropy(logits, target, with_logits=True, reduction="mean")
def torch_loss(model, real, made, y):
    logits, target = model(real, made), torch.cat([y, torch.zeros_like(y)])
    return F.binary_cross_entropy_with_logits(logits, target)
= slope of 0.01 | leaky|slope
- F.leaky_relu(self.c1(x), 0.2)
+ F.leaky_relu(self.c1(x))
= logits taken for probabilities of logits | sigmoid|logit
- F.binary_cross_entropy_with_logits(logits, target)
+ F.binary_cross_entropy_with_logits(torch.sigmoid(logits), target)
= no smoothing of the real labels | label|target|smooth
- torch.cat([y, torch.zeros_like(y)])
+ torch.cat([torch.ones_like(y), torch.zeros_like(y)])
"""

COUPLING = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.nets = [[mnn.Linear(4, 16), mnn.Linear(16, 8)] for _ in range(2)]
    def __call__(self, x):
        a, b = mx.split(x, 2, axis=-1)
        total = 0
        for first, second in self.nets:
            scale, shift = mx.split(second(mnn.relu(first(a))), 2, axis=-1)
            scale = mx.tanh(scale)
            total = total + scale.sum(axis=-1, keepdims=True)
            a, b = b * mx.exp(scale) + shift, a
        return mx.concatenate([a, b, total], axis=-1)
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        make = lambda: tnn.ModuleList([tnn.Linear(4, 16), tnn.Linear(16, 8)])
        self.nets = tnn.ModuleList([make(), make()])
    def forward(self, x):
        a, b = x.chunk(2, dim=-1)
        total = 0
        for first, second in self.nets:
            scale, shift = second(F.relu(first(a))).chunk(2, dim=-1)
            scale = torch.tanh(scale)
            total = total + scale.sum(dim=-1, keepdim=True)
            a, b = b * scale.exp() + shift, a
        return torch.cat([a, b, total], dim=-1)
def batch(rng, size):
    x = rng.standard_normal((size, 8)).astype("float32")
    return x, x
def mlx_loss(model, x, y):
    z = model(x)
    return (0.5 * (z[:, :8] ** 2).sum(axis=-1) - z[:, 8]).mean()
def torch_loss(model, x, y):
    z = model(x)
    return (0.5 * (z[:, :8] ** 2).sum(dim=-1) - z[:, 8]).mean()
= sign of the log-determinant | sign|minus|times|subtract
- (0.5 * (z[:, :8] ** 2).sum(dim=-1) - z[:, 8]).mean()
+ (0.5 * (z[:, :8] ** 2).sum(dim=-1) + z[:, 8]).mean()
= scale and shift exchanged | exchang|order|scale|halves
- scale, shift = second(F.relu(first(a))).chunk(2, dim=-1)
+ shift, scale = second(F.relu(first(a))).chunk(2, dim=-1)
= halves are not exchanged | exchang|order|halves|the input of `nets.0.0`
- a, b = b * scale.exp() + shift, a
+ b = b * scale.exp() + shift
"""

PAIRS = [
    pair("autoencoder with transposed convolution", AUTOENCODER, IMAGE_TO_IMAGE),
    pair("waveform decoder", WAVE_DECODER, MADE),
    pair("VAE", VAE, MADE),
    pair("diffusion step", DIFFUSION, MADE),
    pair("GAN discriminator", DISCRIMINATOR, MADE),
    pair("coupling flow", COUPLING, MADE),
]
