"""Recurrent layers of both frameworks: one, two, in both directions, for tags, with time first.

PyTorch keeps two biases where MLX keeps their sum; a correct port freezes one of them at zero, because two
that both train move twice as far (https://docs.pytorch.org/docs/2.13/generated/torch.nn.LSTM.html).
"""

from pair_corpus.fragments import pair

TAIL = """
def mlx_model(): return M()
def torch_model(): return T()
"""

CLASSES = (
    TAIL
    + """
def batch(rng, size):
    return rng.standard_normal((size, 8, 6)).astype("float32"), rng.integers(0, 4, size, dtype="int32")
def mlx_loss(m, x, y): return mnn.losses.cross_entropy(m(x), y, reduction="mean")
def torch_loss(m, x, y): return F.cross_entropy(m(x), y)
"""
)

LAYER = """
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.r = mnn.LSTM(6, 8); s.o = mnn.Linear(8, 4)
    def __call__(s, x):
        h, c = s.r(x)
        return s.o(h[:, -1])
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.r = tnn.LSTM(6, 8, batch_first=True); s.o = tnn.Linear(8, 4)
        tnn.init.zeros_(s.r.bias_hh_l0).requires_grad_(False)  # MLX has one bias
    def forward(s, x):
        _, (h, c) = s.r(x)
        return s.o(h[-1])
"""

LSTM = (
    LAYER
    + """= batch_first forgotten | batch.?first|time.?first
- 8, batch_first=True)
+ 8)
= cell state instead of hidden state | cell state
- s.o(h[-1])
+ s.o(c[-1])
= first position instead of last | first (position|state|step)
- s.o(h[:, -1])
+ s.o(h[:, 0])
= mean over positions instead of the last | mean|averag|pool
- s.o(h[:, -1])
+ s.o(h.mean(axis=1))
= both biases train | two biases|both biases|twice|bias_hh
- _(s.r.bias_hh_l0).requires_grad_(False)
+ _(s.r.bias_hh_l0)
= tanh on the state | ^(?!.*hard).*tanh
- s.o(h[-1])
+ s.o(torch.tanh(h[-1]))
= dropout on one side | dropout|random
- s.o(h[-1])
+ s.o(F.dropout(h[-1], 0.2))
"""
)

GRU = """
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.r = mnn.GRU(6, 8); s.o = mnn.Linear(8, 4)
        s.r.bhn = mx.zeros(8); s.r.freeze(keys=["bhn"], strict=True)
    def __call__(s, x): return s.o(s.r(x)[:, -1])
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.r = tnn.GRU(6, 8, batch_first=True); s.o = tnn.Linear(8, 4)
        tnn.init.zeros_(s.r.bias_hh_l0).requires_grad_(False)
    def forward(s, x): return s.o(s.r(x)[1][0])
= hidden bias trained in MLX only | frozen|bias_hh|bhn
-  s.r.freeze(keys=["bhn"], strict=True)
+
= batch_first forgotten | batch.?first|time.?first
- 8, batch_first=True)
+ 8)
= read backwards | flip|revers|backward|order|round
- s.o(s.r(x)[1][0])
+ s.o(s.r(x.flip(1))[1][0])
"""

RNN = """
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.r = mnn.RNN(6, 8); s.o = mnn.Linear(8, 4)
    def __call__(s, x): return s.o(mx.mean(s.r(x), axis=1))
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.r = tnn.RNN(6, 8, batch_first=True); s.o = tnn.Linear(8, 4)
        tnn.init.zeros_(s.r.bias_hh_l0).requires_grad_(False)
    def forward(s, x): return s.o(s.r(x)[0].mean(dim=1))
= ReLU in PyTorch | nonlinearity|relu
- tnn.RNN(6, 8, batch
+ tnn.RNN(6, 8, nonlinearity='relu', batch
= sum of states in MLX | times|sum
- mx.mean(s.r(x)
+ mx.sum(s.r(x)
= largest of the states | max|largest
- [0].mean(dim=1)
+ [0].amax(dim=1)
= mean over the width | axis|axes|dim
- [0].mean(dim=1)
+ [0].mean(dim=2)
"""

DIRECTIONS = """
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.f = mnn.LSTM(6, 8, bias=False); s.b = mnn.LSTM(6, 8, bias=False); s.o = mnn.Linear(16, 4)
    def __call__(s, x):
        there, back = s.f(x)[0], s.b(x[:, ::-1])[0][:, ::-1]
        return s.o(mx.concatenate([there, back], axis=-1).mean(axis=1))
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.r = tnn.LSTM(6, 8, bias=False, batch_first=True, bidirectional=True); s.o = tnn.Linear(16, 4)
    def forward(s, x): return s.o(s.r(x)[0].mean(1))
NAMES = {"r.weight_ih_l0": "f.Wx", "r.weight_hh_l0": "f.Wh",
         "r.weight_ih_l0_reverse": "b.Wx", "r.weight_hh_l0_reverse": "b.Wh"}
= directions exchanged | order|directions|exchanged|halves
- [there, back]
+ [back, there]
= both directions read forwards | revers|flip|backward|direction
- s.b(x[:, ::-1])[0][:, ::-1]
+ s.b(x)[0]
= hidden weights of the directions crossed in NAMES | names
- hh_l0": "f.Wh"
+ hh_l0": "b.Wh"
- hh_l0_reverse": "b.Wh"
+ hh_l0_reverse": "f.Wh"
"""

STACKED = """
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.one = mnn.LSTM(6, 8); s.two = mnn.LSTM(8, 8); s.o = mnn.Linear(8, 4)
    def __call__(s, x):
        x, _ = s.one(x)
        x, _ = s.two(x)
        return s.o(x[:, -1])
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.r = tnn.LSTM(6, 8, num_layers=2, batch_first=True); s.o = tnn.Linear(8, 4)
        for bias in (s.r.bias_hh_l0, s.r.bias_hh_l1): tnn.init.zeros_(bias).requires_grad_(False)
    def forward(s, x): return s.o(s.r(x)[0][:, -1])
NAMES = {"r.weight_ih_l0": "one.Wx", "r.weight_hh_l0": "one.Wh", ("r.bias_ih_l0", "r.bias_hh_l0"): "one.bias",
         "r.weight_ih_l1": "two.Wx", "r.weight_hh_l1": "two.Wh", ("r.bias_ih_l1", "r.bias_hh_l1"): "two.bias"}
= dropout between layers in PyTorch | dropout|random
- layers=2,
+ layers=2, dropout=0.3,
= hidden weights of the layers crossed in NAMES | names
- hh_l0": "one.Wh"
+ hh_l0": "two.Wh"
- hh_l1": "two.Wh"
+ hh_l1": "one.Wh"
= biases of the layers crossed in NAMES | names
- _hh_l0"): "one.bias"
+ _hh_l0"): "two.bias"
- _hh_l1"): "two.bias"
+ _hh_l1"): "one.bias"
= a residual in MLX only | residual|plus|added
- x, _ = s.two(x)
+ x = x + s.two(x)[0]
"""

TAGGER = """
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.t = mnn.Embedding(20, 8); s.r = mnn.LSTM(8, 8); s.o = mnn.Linear(8, 5)
    def __call__(s, ids): return s.o(s.r(s.t(ids))[0])
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.t = tnn.Embedding(20, 8); s.r = tnn.LSTM(8, 8, batch_first=True); s.o = tnn.Linear(8, 5)
        tnn.init.zeros_(s.r.bias_ih_l0).requires_grad_(False)
    def forward(s, ids): return s.o(s.r(s.t(ids))[0])
def batch(rng, size):
    tags = rng.integers(0, 5, (size, 7), dtype="int32")
    tags[np.arange(7) >= rng.integers(3, 8, (size, 1))] = -100
    return rng.integers(0, 20, (size, 7), dtype="int32"), tags
def mlx_loss(m, ids, y):
    real = y != -100
    each = mnn.losses.cross_entropy(m(ids), mx.where(real, y, 0))
    return (each * real).sum() / real.sum()
def torch_loss(m, ids, y): return F.cross_entropy(m(ids).flatten(0, 1), y.flatten(), ignore_index=-100)
= labels of -100 outside the classes, no mask in MLX | -100|ignore_index|below 0|negative|range
- mx.where(real, y, 0))
+ y)
- (each * real).sum() / real.sum()
+ each.mean()
= padded labels count as tag 0 in MLX | ignore_index|-100|padded|mask
- (each * real).sum() / real.sum()
+ each.mean()
= mean over padded places too | mean|times|valid|ignored|count
- / real.sum()
+ / real.size
= the sum over tags in PyTorch | sum
- ignore_index=-100)
+ reduction='sum')
= ids outside the table, equal to its length | 20|range|vocabulary
- (0, 20, (size
+ (0, 21, (size
"""

TIME_FIRST = (
    LAYER.replace("8, batch_first=True)", "8)")
    + """def torch_layout(x, y): return np.ascontiguousarray(x.transpose(1, 0, 2)), y
= the axes are not exchanged in PyTorch | batch.?first|time.?first
- np.ascontiguousarray(x.transpose(1, 0, 2))
+ x
"""
)

PAIRS = (
    pair("LSTM, last state", LSTM, CLASSES),
    pair("GRU, last state", GRU, CLASSES),
    pair("Elman network, mean of its states", RNN, CLASSES),
    pair("LSTM in both directions, two layers in MLX", DIRECTIONS, CLASSES),
    pair("two stacked LSTM layers", STACKED, CLASSES),
    pair("LSTM tagger, padded labels are left out by a mask", TAGGER, TAIL),
    pair("LSTM that is given time first in PyTorch", TIME_FIRST, CLASSES),
)
