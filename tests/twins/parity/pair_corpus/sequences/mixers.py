"""Sequences without softmax attention: convolutions, Fourier and gated mixing, sums, a diffusion step.

TCN of Bai et al. 2018 (https://arxiv.org/abs/1803.01271), FNet of Lee-Thorp et al. 2021
(https://arxiv.org/abs/2105.03824), gMLP of Liu et al. 2021 (https://arxiv.org/abs/2105.08050),
linear attention of Katharopoulos et al. 2020 (https://arxiv.org/abs/2006.16236), adaLN of Peebles and Xie
2022 (https://arxiv.org/abs/2212.09748).
"""

from pair_corpus.fragments import pair
from pair_corpus.sequences.attention import TOKENS
from pair_corpus.sequences.recurrent_cells import STEPS
from pair_corpus.sequences.recurrent_layers import TAIL

TEXT_CNN = """
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.t = mnn.Embedding(20, 12)
        s.two = mnn.Conv1d(12, 8, 2); s.three = mnn.Conv1d(12, 8, 3); s.o = mnn.Linear(16, 4)
    def __call__(s, ids):
        x = s.t(ids) * (ids != 0)[..., None]  # as padding_idx: row 0 stays zero
        return s.o(mx.concatenate([mnn.gelu(c(x)).max(axis=1) for c in (s.two, s.three)], axis=-1))
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.t = tnn.Embedding(20, 12, padding_idx=0)
        s.two = tnn.Conv1d(12, 8, 2); s.three = tnn.Conv1d(12, 8, 3); s.o = tnn.Linear(16, 4)
    def forward(s, ids):
        x = s.t(ids).transpose(1, 2)
        return s.o(torch.cat([F.gelu(c(x)).amax(dim=2) for c in (s.two, s.three)], dim=-1))
def batch(rng, size):
    ids = rng.integers(0, 20, (size, 8), dtype="int32")
    return ids, rng.integers(0, 4, size, dtype="int32")
def mlx_loss(m, ids, y): return mnn.losses.cross_entropy(m(ids), y, reduction="mean")
def torch_loss(m, ids, y): return F.cross_entropy(m(ids), y)
= row 0 is no padding in PyTorch, but trained | padding_idx|mask .of padding
- , padding_idx=0)
+ ); s.t.weight.data[0] = 0
= the row of padding is another in PyTorch | padding_idx|row|mask .of padding
- padding_idx=0
+ padding_idx=1
= the mean over positions in MLX | mean|max|pool
- .max(axis=1)
+ .mean(axis=1)
= widths in the other order in PyTorch | order|exchang|halves|swap
- for c in (s.two, s.three)], dim
+ for c in (s.three, s.two)], dim
= one convolution is padded in PyTorch | padding
- tnn.Conv1d(12, 8, 3)
+ tnn.Conv1d(12, 8, 3, padding=1)
= the largest of the channels in PyTorch | axis|axes|dim|channel
- amax(dim=2)
+ amax(dim=1).repeat(1, 2)[:, :8]
"""

TCN = """
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.a = mnn.Conv1d(6, 8, 3); s.b = mnn.Conv1d(8, 8, 3, dilation=2); s.o = mnn.Linear(8, 4)
    def __call__(s, x):
        x = mnn.silu(s.a(mx.pad(x, [(0, 0), (2, 0), (0, 0)])))
        x = x + mnn.silu(s.b(mx.pad(x, [(0, 0), (4, 0), (0, 0)])))
        return s.o(x)
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.a = tnn.Conv1d(6, 8, 3); s.b = tnn.Conv1d(8, 8, 3, dilation=2); s.o = tnn.Linear(8, 4)
    def forward(s, x):
        x = F.silu(s.a(F.pad(x.mT, (2, 0))))
        x = x + F.silu(s.b(F.pad(x, (4, 0))))
        return s.o(x.mT)
= padded at the end in PyTorch | pad|causal|future|later
- F.pad(x, (4, 0))
+ F.pad(x, (0, 4))
= padded at both ends in MLX | pad|causal|future|later
- (2, 0), (0, 0)
+ (1, 1), (0, 0)
= dilation of one in PyTorch | dilation
- dilation=2); s.o = tnn
+ dilation=1); s.o = tnn
- F.pad(x, (4, 0))
+ F.pad(x, (2, 0))
= the residual is missing in PyTorch | residual|plus|sum
- x + F.silu(s.b
+ F.silu(s.b
= the kernel is turned round in PyTorch | flip|revers|round
- x + F.silu(s.b(F.pad(x, (4, 0))))
+ x + F.silu(F.conv1d(F.pad(x, (4, 0)), s.b.weight.flip(-1), s.b.bias, dilation=2))
"""

SOUND = """
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.a = mnn.Conv1d(1, 8, 5, stride=2, padding=2); s.b = mnn.Conv1d(8, 12, 3, stride=2, padding=1)
        s.n = mnn.GroupNorm(2, 12, pytorch_compatible=True); s.o = mnn.Linear(12, 4)
    def __call__(s, x):
        x = mnn.gelu(s.a(x[..., None]))
        x = mnn.gelu(s.n(s.b(x)))
        return s.o(x.mean(axis=1))
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.a = tnn.Conv1d(1, 8, 5, stride=2, padding=2); s.b = tnn.Conv1d(8, 12, 3, stride=2, padding=1)
        s.n = tnn.GroupNorm(2, 12); s.o = tnn.Linear(12, 4)
    def forward(s, x):
        x = F.gelu(s.a(x[:, None]))
        x = F.gelu(s.n(s.b(x)))
        return s.o(x.mean(dim=-1))
def batch(rng, size):
    return rng.standard_normal((size, 40)).astype("float32"), rng.integers(0, 4, size, dtype="int32")
def mlx_loss(m, x, y): return mnn.losses.cross_entropy(m(x), y, reduction="mean")
def torch_loss(m, x, y): return F.cross_entropy(m(x), y)
= groups of every other channel in MLX | pytorch_compatible|group
- , pytorch_compatible=True
+
= stride of the first layer in PyTorch | stride
- 5, stride=2, padding=2); s.b = tnn
+ 5, stride=1, padding=2); s.b = tnn
= padding of the first layer in PyTorch | padding
- 5, stride=2, padding=2); s.b = tnn
+ 5, stride=2, padding=1); s.b = tnn
= tanh GELU in PyTorch | gelu
- F.gelu(s.a(x[:, None]))
+ F.gelu(s.a(x[:, None]), approximate="tanh")
= three groups in PyTorch | group
- tnn.GroupNorm(2, 12)
+ tnn.GroupNorm(3, 12)
"""

FOURIER = """
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.t = mnn.Embedding(16, 8); s.n = mnn.LayerNorm(8); s.up = mnn.Linear(8, 24); s.o = mnn.Linear(12, 16)
        s.mix = mnn.Linear(6, 6); s.mix.bias = mx.ones(6)
    def __call__(s, ids):
        x = s.t(ids)
        x = s.n(x + mx.real(mx.fft.fft2(x)))
        u, v = mx.split(mnn.gelu(s.up(x)), 2, axis=-1)
        return s.o(u * s.mix(v.swapaxes(1, 2)).swapaxes(1, 2))
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.t = tnn.Embedding(16, 8); s.n = tnn.LayerNorm(8); s.up = tnn.Linear(8, 24); s.o = tnn.Linear(12, 16)
        s.mix = tnn.Linear(6, 6); tnn.init.ones_(s.mix.bias)
    def forward(s, ids):
        x = s.t(ids)
        x = s.n(x + torch.fft.fft2(x).real)
        u, v = F.gelu(s.up(x)).chunk(2, dim=-1)
        return s.o(u * s.mix(v.mT).mT)
= the transform is scaled in PyTorch | ortho|fft|scale|norm
- torch.fft.fft2(x)
+ torch.fft.fft2(x, norm="ortho")
= the transform of the width only in MLX | fft|axis|axes
- mx.fft.fft2(x)
+ mx.fft.fft(x)
= the imaginary part in PyTorch | imag|real
- fft2(x).real
+ fft2(x).imag
= halves exchanged in PyTorch | exchang|order|halves|swap
- u, v = F.gelu
+ v, u = F.gelu
= no GELU before the split in PyTorch | gelu|called
- u, v = F.gelu(s.up(x))
+ u, v = s.up(x)
"""

SUMS = """
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.t = mnn.Embedding(16, 12); s.q, s.k, s.v, s.o = (mnn.Linear(12, 12) for _ in range(4))
        s.p = mx.random.normal((6, 12)); s.out = mnn.Linear(12, 16)
    def __call__(s, ids):
        x = s.t(ids) + s.p
        q, k, v = mnn.elu(s.q(x)) + 1, mnn.elu(s.k(x)) + 1, s.v(x)
        state = mx.cumsum(k[..., None] * v[..., None, :], axis=1)
        total = (q * mx.cumsum(k, axis=1)).sum(axis=-1, keepdims=True)
        return s.out(x + s.o((q[..., None] * state).sum(axis=2) / total))
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.t = tnn.Embedding(16, 12); s.q, s.k, s.v, s.o = (tnn.Linear(12, 12) for _ in range(4))
        s.p = tnn.Parameter(torch.randn(1, 6, 12)); s.out = tnn.Linear(12, 16)
    def forward(s, ids):
        x = s.t(ids) + s.p
        q, k, v = F.elu(s.q(x)) + 1, F.elu(s.k(x)) + 1, s.v(x)
        state = torch.einsum("blk,blv->blkv", k, v).cumsum(dim=1)
        total = (q * k.cumsum(dim=1)).sum(-1, keepdim=True)
        return s.out(x + s.o(torch.einsum("blk,blkv->blv", q, state) / total))
NAMES = {"p": ("p", "reshape")}
= sums without the position itself in MLX | inclusive|exclusive|cumsum|shift
- v[..., None, :], axis=1)
+ v[..., None, :], axis=1, inclusive=False)
= sums from the end in MLX | revers|cumsum|causal
- v[..., None, :], axis=1)
+ v[..., None, :], axis=1, reverse=True)
= not divided by the total in PyTorch | total|divid|normali
- , q, state) / total
+ , q, state)
= features not raised by one in PyTorch | plus 1|elu|raised|one
- F.elu(s.q(x)) + 1
+ F.elu(s.q(x)).exp()
= the sum of all positions in PyTorch | cumsum|causal|sum
- k, v).cumsum(dim=1)
+ k, v).sum(dim=1, keepdim=True).expand(-1, 6, -1, -1)
= keys and values exchanged in PyTorch | exchang|order|swap|transpos
- "blk,blv->blkv", k, v
+ "blk,blv->blkv", v, k
"""

DIFFUSION = """
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s._f = mx.exp(-math.log(1000.0) * mx.arange(4) / 4)
        s.time = mnn.Linear(8, 12); s.six = mnn.Linear(12, 36); s.n = mnn.LayerNorm(12, affine=False)
        s.i = mnn.Linear(6, 12); s.o = mnn.Linear(12, 6)
        s.up = mnn.Linear(12, 24); s.down = mnn.Linear(24, 12)
    def __call__(s, x, noise, t):
        keep = t[:, None, None]
        x = s.i(mx.sqrt(keep) * x + mx.sqrt(1 - keep) * noise)
        angles = 10.0 * t[:, None] * s._f
        time = mnn.silu(s.time(mx.concatenate([mx.cos(angles), mx.sin(angles)], axis=-1)))
        shift, scale, gate = mx.split(s.six(time)[:, None], 3, axis=-1)
        y = s.n(x) * (1 + scale) + shift
        return s.o(x + gate * s.down(mnn.gelu_approx(s.up(y))))
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.register_buffer("f", torch.exp(-math.log(1000.0) * torch.arange(4) / 4))
        s.time = tnn.Linear(8, 12); s.six = tnn.Linear(12, 36)
        s.n = tnn.LayerNorm(12, elementwise_affine=False)
        s.i = tnn.Linear(6, 12); s.o = tnn.Linear(12, 6)
        s.up = tnn.Linear(12, 24); s.down = tnn.Linear(24, 12)
    def forward(s, x, noise, t):
        keep = t[:, None, None]
        x = s.i(keep.sqrt() * x + (1 - keep).sqrt() * noise)
        angles = 10.0 * t[:, None] * s.f
        time = F.silu(s.time(torch.cat([angles.cos(), angles.sin()], dim=-1)))
        shift, scale, gate = s.six(time)[:, None].chunk(3, dim=-1)
        y = s.n(x) * (1 + scale) + shift
        return s.o(x + gate * s.down(F.gelu(s.up(y), approximate="tanh")))
def batch(rng, size):
    x, noise = (rng.standard_normal((size, 7, 6)).astype("float32") for _ in range(2))
    return x, noise, rng.uniform(0.05, 0.95, size).astype("float32"), noise
def mlx_loss(m, x, noise, t, y): return mnn.losses.mse_loss(m(x, noise, t), y, reduction="mean")
def torch_loss(m, x, noise, t, y): return F.mse_loss(m(x, noise, t), y)
= shift and scale exchanged in PyTorch | exchang|order|swap|shift
- shift, scale, gate = s.six(time)[:, None].chunk
+ scale, shift, gate = s.six(time)[:, None].chunk
= scale without one in MLX | scale|plus 1|adds 1|one
- s.n(x) * (1 + scale) + shift
-         return s.o(x + gate * s.down(mnn
+ s.n(x) * scale + shift
+         return s.o(x + gate * s.down(mnn
= cosine and sine exchanged in PyTorch | cos|sin|order|exchang|halves
- [angles.cos(), angles.sin()]
+ [angles.sin(), angles.cos()]
= cosine and sine in turns in PyTorch | interleav|order|cos|sin|in turns
- torch.cat([angles.cos(), angles.sin()], dim=-1)
+ torch.stack([angles.cos(), angles.sin()], dim=-1).flatten(-2)
= another base of the frequencies in PyTorch | base|frequenc|1000|`f`|buffer
- -math.log(1000.0) * torch
+ -math.log(10000.0) * torch
= frequencies trained in MLX | frozen|buffer|underscore|trained
- s._f = mx
+ s.f = mx
- [:, None] * s._f
+ [:, None] * s.f
= noise is not under a root in PyTorch | sqrt|root|noise
- (1 - keep).sqrt() * noise
+ (1 - keep) * noise
= no activation of time in MLX | silu|activation
- mnn.silu(s.time(mx.concatenate([mx.cos(angles), mx.sin(angles)], axis=-1)))
+ s.time(mx.concatenate([mx.cos(angles), mx.sin(angles)], axis=-1))
"""

PAIRS = (
    pair("convolutions over text, with a row of padding", TEXT_CNN, TAIL),
    pair("causal dilated convolutions", TCN, STEPS),
    pair("strided convolutions over sound", SOUND, TAIL),
    pair("Fourier mixing and a spatial gate", FOURIER, TOKENS),
    pair("linear attention by running sums, reshaped positions", SUMS, TOKENS),
    pair("a diffusion step with adaptive norms", DIFFUSION, TAIL),
)
