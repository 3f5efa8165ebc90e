"""Recurrences written by hand or steered: fused and separate gates, states and lengths given, scans."""

from pair_corpus.fragments import pair
from pair_corpus.sequences.recurrent_layers import CLASSES, TAIL

STEPS = (
    TAIL
    + """
def batch(rng, size):
    x, y = (rng.standard_normal((size, 8, width)).astype("float32") for width in (6, 4))
    return x, y
def mlx_loss(m, x, y): return mnn.losses.mse_loss(m(x), y, reduction="mean")
def torch_loss(m, x, y): return F.mse_loss(m(x), y)
"""
)

LSTM_CELL = """
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.x = mnn.Linear(6, 32); s.h = mnn.Linear(8, 32, bias=False); s.o = mnn.Linear(8, 4)
    def __call__(s, x):
        h = c = mx.zeros((x.shape[0], 8), x.dtype)
        for step in range(x.shape[1]):
            i, f, g, o = mx.split(s.x(x[:, step]) + s.h(h), 4, axis=-1)
            c = mx.sigmoid(f) * c + mx.sigmoid(i) * mx.tanh(g)
            h = mx.sigmoid(o) * mx.tanh(c)
        return s.o(h)
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.x = tnn.ModuleDict({k: tnn.Linear(6, 8) for k in "ifgo"})
        s.h = tnn.ModuleDict({k: tnn.Linear(8, 8, bias=False) for k in "ifgo"})
        s.o = tnn.Linear(8, 4)
    def forward(s, x):
        h = c = x.new_zeros(x.shape[0], 8)
        for now in x.unbind(1):
            i, f, g, o = (s.x[k](now) + s.h[k](h) for k in "ifgo")
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        return s.o(h)
NAMES = {("x.i.weight", "x.f.weight", "x.g.weight", "x.o.weight"): "x.weight",
         ("x.i.bias", "x.f.bias", "x.g.bias", "x.o.bias"): "x.bias",
         ("h.i.weight", "h.f.weight", "h.g.weight", "h.o.weight"): "h.weight"}
= gates in another order in NAMES | names|order|gates
- "x.f.weight", "x.g.weight", "x.o.weight"
+ "x.g.weight", "x.f.weight", "x.o.weight"
- "x.f.bias", "x.g.bias", "x.o.bias"
+ "x.g.bias", "x.f.bias", "x.o.bias"
- "h.f.weight", "h.g.weight", "h.o.weight"
+ "h.g.weight", "h.f.weight", "h.o.weight"
= tanh of the cell missing | tanh
- o.sigmoid() * c.tanh()
+ o.sigmoid() * c
= forget bias of one in PyTorch | forget|plus 1|bias
- c = f.sigmoid()
+ c = (f + 1).sigmoid()
= candidate through a sigmoid | sigmoid|tanh
- mx.tanh(g)
+ mx.sigmoid(g)
"""

GRU_CELL = """
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.xr, s.xz, s.xn = (mnn.Linear(6, 8) for _ in range(3))
        s.hr, s.hz, s.hn = (mnn.Linear(8, 8, bias=False) for _ in range(3))
        s.o = mnn.Linear(8, 4)
    def __call__(s, x):
        h = mx.zeros((x.shape[0], 8), x.dtype)
        for step in range(x.shape[1]):
            now = x[:, step]
            r, z = mx.sigmoid(s.xr(now) + s.hr(h)), mx.sigmoid(s.xz(now) + s.hz(h))
            n = mx.tanh(s.xn(now) + r * s.hn(h))
            h = (1 - z) * n + z * h
        return s.o(h)
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.x = tnn.Linear(6, 24); s.h = tnn.Linear(8, 24, bias=False); s.o = tnn.Linear(8, 4)
    def forward(s, x):
        h = x.new_zeros(x.shape[0], 8)
        for now in x.unbind(1):
            (xr, xz, xn), (hr, hz, hn) = s.x(now).chunk(3, -1), s.h(h).chunk(3, -1)
            z = torch.sigmoid(xz + hz)
            n = torch.tanh(xn + torch.sigmoid(xr + hr) * hn)
            h = (1 - z) * n + z * h
        return s.o(h)
NAMES = {"x.weight": ["xr.weight", "xz.weight", "xn.weight"], "x.bias": ["xr.bias", "xz.bias", "xn.bias"],
         "h.weight": ["hr.weight", "hz.weight", "hn.weight"]}
= reset before the product in MLX | reset|before
- r * s.hn(h)
+ s.hn(r * h)
= update gate the other way round | update gate|1 - z|other way
- h = (1 - z) * n + z * h
-         return s.o(h)
- class
+ h = z * n + (1 - z) * h
+         return s.o(h)
+ class
= reset and update exchanged in NAMES for the hidden weights | names
- ["hr.weight", "hz.weight",
+ ["hz.weight", "hr.weight",
= no reset in PyTorch | reset|gate
- torch.sigmoid(xr + hr) * hn
+ hn
"""

STATES = """
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.r = mnn.LSTM(6, 8, bias=False); s.o = mnn.Linear(8, 4)
    def __call__(s, x, h, c): return s.o(s.r(x, h, c)[0])
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.r = tnn.LSTM(6, 8, bias=False, batch_first=True); s.o = tnn.Linear(8, 4)
    def forward(s, x, h, c): return s.o(s.r(x, (h[None], c[None]))[0])
def batch(rng, size):
    x, h, c = (rng.standard_normal((size, *shape)).astype("float32") for shape in ((7, 6), (8,), (8,)))
    return x, h, c, rng.standard_normal((size, 7, 4)).astype("float32")
def mlx_loss(m, x, h, c, y): return mnn.losses.mse_loss(m(x, h, c), y, reduction="mean")
def torch_loss(m, x, h, c, y): return F.mse_loss(m(x, h, c), y)
= states exchanged | exchanged|swapped|order
- (h[None], c[None])
+ (c[None], h[None])
= states not handed over | state|not (used|given|passed)
- s.r(x, (h[None], c[None]))
+ s.r(x)
= only the hidden state handed over | state|not (used|given|passed)
- s.r(x, h, c)
+ s.r(x, h)
"""

LENGTHS = """
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.t = mnn.Embedding(20, 8); s.r = mnn.GRU(8, 8, bias=False); s.o = mnn.Linear(8, 4)
    def __call__(s, ids, lengths):
        x = s.r(s.t(ids))
        return s.o(mx.take_along_axis(x, (lengths - 1)[:, None, None], axis=1)[:, 0])
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.t = tnn.Embedding(20, 8); s.r = tnn.GRU(8, 8, bias=False, batch_first=True); s.o = tnn.Linear(8, 4)
    def forward(s, ids, lengths):
        x, _ = s.r(s.t(ids))
        return s.o(x[torch.arange(len(x)), lengths - 1])
def batch(rng, size):
    lengths = rng.integers(2, 7, size, dtype="int32")
    return rng.integers(0, 20, (size, 8), dtype="int32"), lengths, rng.integers(0, 4, size, dtype="int32")
def mlx_loss(m, ids, n, y): return mnn.losses.cross_entropy(m(ids, n), y, reduction="mean")
def torch_loss(m, ids, n, y): return F.cross_entropy(m(ids, n), y)
= one position too late | position|off by one|late
- len(x)), lengths - 1]
+ len(x)), lengths]
= the last position, padding or not | last|position
- x[torch.arange(len(x)), lengths - 1]
+ x[:, -1]
= padding_idx in PyTorch only | padding_idx
- tnn.Embedding(20, 8)
+ tnn.Embedding(20, 8, padding_idx=0)
"""

SCAN = """
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.up = mnn.Linear(6, 24); s.decay = mnn.Linear(6, 12); s.skip = mx.ones(12); s.o = mnn.Linear(12, 4)
    def __call__(s, x):
        u, gate = mx.split(s.up(x), 2, axis=-1)
        a = mx.exp(-mnn.softplus(s.decay(x)))
        h, states = mx.zeros_like(u[:, 0]), []
        for step in range(x.shape[1]):
            h = a[:, step] * h + (1 - a[:, step]) * u[:, step]
            states.append(h)
        y = mx.stack(states, axis=1) + s.skip * u
        return s.o(y * mnn.silu(gate))
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.up = tnn.Linear(6, 24); s.decay = tnn.Linear(6, 12); s.o = tnn.Linear(12, 4)
        s.skip = tnn.Parameter(torch.ones(12))
    def forward(s, x):
        u, gate = s.up(x).chunk(2, dim=-1)
        a = torch.exp(-F.softplus(s.decay(x)))
        h, states = torch.zeros_like(u[:, 0]), []
        for now, keep in zip(u.unbind(1), a.unbind(1)):
            h = torch.lerp(now, h, keep)
            states.append(h)
        y = torch.stack(states, dim=1) + s.skip * u
        return s.o(y * F.silu(gate))
= decay without softplus in MLX | softplus|exp
- mx.exp(-mnn.softplus(s.decay(x)))
+ mx.exp(-mx.abs(s.decay(x)))
= input and gate exchanged | exchanged|swapped|order|halves|gate
- u, gate = s.up(x).chunk(2, dim=-1)
+ gate, u = s.up(x).chunk(2, dim=-1)
= gate through a sigmoid | silu|sigmoid
- y * F.silu(gate)
+ y * torch.sigmoid(gate)
= states of one step earlier | shift|step earlier|off by one|order|roll|exclusive
- torch.stack(states, dim=1)
+ torch.stack([torch.zeros_like(h)] + states[:-1], dim=1)
"""

TRANSLATION = """
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.source = mnn.Embedding(20, 8); s.target = mnn.Embedding(22, 8)
        s.e = mnn.GRU(8, 8, bias=False); s.d = mnn.GRU(8, 8, bias=False); s.o = mnn.Linear(8, 22)
    def __call__(s, ids, known):
        states = s.e(s.source(ids))
        return s.o(s.d(s.target(known), states[:, -1]))
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.source = tnn.Embedding(20, 8); s.target = tnn.Embedding(22, 8)
        s.e = tnn.GRU(8, 8, bias=False, batch_first=True)
        s.d = tnn.GRU(8, 8, bias=False, batch_first=True)
        s.o = tnn.Linear(8, 22)
    def forward(s, ids, known):
        _, state = s.e(s.source(ids))
        x, _ = s.d(s.target(known), state)
        return s.o(x)
def batch(rng, size):
    ids, y = rng.integers(0, 20, (size, 6), dtype="int32"), rng.integers(2, 22, (size, 5), dtype="int32")
    known = np.concatenate([np.ones((size, 1), "int32"), y[:, :-1]], axis=1)  # teacher forcing after a start
    return ids, known, y
def mlx_loss(m, ids, known, y): return mnn.losses.cross_entropy(m(ids, known), y, reduction="mean")
def torch_loss(m, ids, known, y): return F.cross_entropy(m(ids, known).transpose(1, 2), y)
= the decoder starts from zeros in PyTorch | state|zero
- x, _ = s.d(s.target(known), state)
+ x, _ = s.d(s.target(known))
= the source is read backwards in PyTorch | flip|revers|backward|order|round
- _, state = s.e(s.source(ids))
+ _, state = s.e(s.source(ids.flip(1)))
= source embedded by the target's table | table|embedding|layer|target
- states = s.e(s.source(ids))
+ states = s.e(s.target(ids))
= mean of the source's states | mean|averag|last
- states[:, -1]
+ states.mean(axis=1)
= targets of the wrong step in PyTorch | shift|target|off by one|position
- m(ids, known).transpose(1, 2), y)
+ m(ids, known)[:, :-1].transpose(1, 2), y[:, 1:])
"""

PAIRS = (
    pair("LSTM cell by hand, one layer for all gates in MLX and one for each in PyTorch", LSTM_CELL, CLASSES),
    pair("GRU cell by hand, one layer for all gates in PyTorch and one for each in MLX", GRU_CELL, CLASSES),
    pair("LSTM whose first states come with the batch, without biases", STATES, TAIL),
    pair("GRU without biases, read at the last real position of each text", LENGTHS, TAIL),
    pair("a gated scan with decays of its input, as in Mamba", SCAN, STEPS),
    pair("translation by two GRUs, teacher forcing", TRANSLATION, TAIL),
)
