"""Small models that make images: denoisers, pipelines, decoders, generators."""

import math

import mlx.core as mx

from mlx_coreml.coverage.usage_cases.usage import Kind, Made, call, normal

import mlx.nn as nn  # isort: skip

models = Kind("diffusion model")


def timestep_embedding(t, dims: int):
    """Sinusoids of a time step, (B,) -> (B, dims)."""
    angles = t[:, None].astype(mx.float32) * mx.exp(-math.log(10000) * mx.arange(dims // 2) / (dims // 2))
    return mx.concatenate([mx.cos(angles), mx.sin(angles)], axis=-1)


class Residual(nn.Module):
    """Two convolutions, with a time between them."""

    def __init__(self, dims: int, out: int, time: int):
        super().__init__()
        self.norm1, self.norm2 = (nn.GroupNorm(4, d, pytorch_compatible=True) for d in (dims, out))
        self.conv1, self.conv2 = nn.Conv2d(dims, out, 3, padding=1), nn.Conv2d(out, out, 3, padding=1)
        self.time, self.skip = nn.Linear(time, out), nn.Conv2d(dims, out, 1)

    def __call__(self, x, t):
        y = self.conv1(nn.silu(self.norm1(x))) + self.time(nn.silu(t))[:, None, None]
        return self.skip(x) + self.conv2(nn.silu(self.norm2(y)))


class UNet(nn.Module):
    """A denoiser: a time step, a text that is attended to, one scale down and up again."""

    def __init__(self, channels: int = 4, dims: int = 8):
        super().__init__()
        self.time = nn.Sequential(nn.Linear(16, 32), nn.SiLU(), nn.Linear(32, 32))
        self.first, self.last = (
            nn.Conv2d(channels, dims, 3, padding=1),
            nn.Conv2d(dims, channels, 3, padding=1),
        )
        self.down = nn.Conv2d(dims, dims, 3, stride=2, padding=1)
        self.a, self.b, self.c = (
            Residual(dims, dims, 32),
            Residual(dims, dims, 32),
            Residual(2 * dims, dims, 32),
        )
        self.q, self.kv, self.norm = nn.Linear(dims, dims), nn.Linear(12, 2 * dims), nn.LayerNorm(dims)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")

    def __call__(self, x, timestep, encoder_x, attn_mask=None):
        t = self.time(timestep_embedding(timestep, 16))
        a = self.a(self.first(x), t)
        y = self.b(self.down(a), t)
        b, h, w, c = y.shape
        k, v = mx.split(self.kv(encoder_x), 2, axis=-1)
        q = self.q(self.norm(y.reshape(b, h * w, c)))
        y = y + (mx.softmax(q @ k.swapaxes(1, 2) / math.sqrt(c), axis=-1) @ v).reshape(b, h, w, c)
        return self.last(nn.silu(self.c(mx.concatenate([self.up(y), a], axis=-1), t)))


def unet(precision: str, **options) -> Made:
    """A denoiser, from time step 1 to 999 and 0."""

    def of(t, scale=1.0, size=8):
        return call(scale * normal(1, size, size, 4), mx.array([t]), normal(1, 5, 12), None)

    return Made(UNet(), of(1), [of(999), of(0, 0.0), of(500, 3.0)], {"precision": precision, **options})


@models
def denoiser():
    """A diffusion UNet with a time step and a text"""
    return unet("float32")


@models
def denoiser_half():
    """A diffusion UNet in float16, time steps up to 999"""
    return unet("float16")


class Pipeline:
    """As StableDiffusion's object holds its parts: a step of guidance, in training mode until converted."""

    def __init__(self):
        self.unet, self.sigmas = UNet(), mx.linspace(0.1, 14.0, 10)
        self._cache = {}

    def step(self, x, t, text, cfg_weight: float = 7.5):
        both = self.unet(mx.concatenate([x] * 2), mx.concatenate([t] * 2), encoder_x=text)
        with_text, without = mx.split(both, 2)
        guided = without + cfg_weight * (with_text - without)
        sigma = self.sigmas[t // 100]
        self._cache["last"] = guided
        return x - guided * sigma * mx.rsqrt(sigma.square() + 1)


@models
def guided_step():
    """A step of a pipeline with guidance and a schedule"""

    def of(t):
        return call(normal(1, 8, 8, 4), mx.array([t]), normal(2, 5, 12))

    return Made(Pipeline().step, of(10), [of(999), of(0), of(550)])


@models
def decoder():
    """The decoder of a variational autoencoder, with attention in the middle"""
    enter, leave = nn.Conv2d(4, 16, 3, padding=1), nn.Conv2d(8, 3, 3, padding=1)
    a, norm, attention = Residual(16, 16, 4), nn.GroupNorm(4, 16, pytorch_compatible=True), nn.Linear(16, 48)
    up, b = nn.Upsample(scale_factor=2, mode="nearest"), Residual(16, 8, 4)

    def fn(z):
        none = mx.zeros((z.shape[0], 4))
        y = a(enter(z / 0.18215), none)
        n, h, w, c = y.shape
        q, k, v = mx.split(attention(norm(y).reshape(n, h * w, c)), 3, axis=-1)
        y = y + (mx.softmax(q @ k.swapaxes(1, 2) / 4, axis=-1) @ v).reshape(y.shape)
        return mx.clip(leave(b(up(y), none)) / 2 + 0.5, 0, 1)

    calls = [call(scale * normal(1, 8, 8, 4)) for scale in (1, 1, 0, 4)]
    return Made(fn, calls[0], calls[1:])


@models
def generator():
    """A generator of a GAN with BatchNorm left in training mode"""
    layers = [nn.ConvTranspose2d(16, 16, 4), nn.BatchNorm(16), nn.ReLU()]
    layers += [nn.ConvTranspose2d(16, 8, 4, stride=2, padding=1), nn.BatchNorm(8), nn.ReLU()]
    net = nn.Sequential(*layers, nn.ConvTranspose2d(8, 3, 4, stride=2, padding=1), nn.Tanh())
    for _ in range(2):
        mx.eval(net(normal(8, 1, 1, 16)), net.state)  # BatchNorm has seen some
    calls = [call(scale * normal(2, 1, 1, 16)) for scale in (1, 1, 0)]
    return Made(lambda z: (net(z) + 1) / 2, calls[0], calls[1:])
