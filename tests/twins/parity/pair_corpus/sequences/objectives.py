"""Losses of texts: contrastive, of preferences, distilled, smoothed, shifted, with a cut graph, given masks.

Preferences: Rafailov et al. 2023 (https://arxiv.org/abs/2305.18290); distillation: Hinton et al. 2015
(https://arxiv.org/abs/1503.02531); SimSiam: Chen and He 2020 (https://arxiv.org/abs/2011.10566).
"""

from pair_corpus.fragments import pair
from pair_corpus.sequences.recurrent_layers import TAIL

BAG = (
    TAIL
    + """
class M(mnn.Module):
    def __init__(s):
        super().__init__(); s.t = mnn.Embedding(20, 12); s.f = mnn.Linear(12, 12); s.o = mnn.Linear(12, WIDTH)
    def __call__(s, ids): return s.o(mnn.gelu(s.f(s.t(ids).mean(axis=1))))
class T(tnn.Module):
    def __init__(s):
        super().__init__(); s.t = tnn.Embedding(20, 12); s.f = tnn.Linear(12, 12); s.o = tnn.Linear(12, WIDTH)
    def forward(s, ids): return s.o(F.gelu(s.f(s.t(ids).mean(1))))
"""
)

EACH = (
    BAG.replace("WIDTH", "20")
    .replace("s.t(ids).mean(axis=1)", "s.t(ids)")
    .replace("s.t(ids).mean(1)", "s.t(ids)")
)

CONTRASTIVE = """
class M(mnn.Module):
    def __init__(s):
        super().__init__(); s.t = mnn.Embedding(20, 12); s.a = mnn.Linear(12, 8); s.b = mnn.Linear(12, 8)
        s.heat = mx.array(2.0)
    def __call__(s, one, two):
        a, b = s.a(s.t(one).mean(axis=1)), s.b(s.t(two).mean(axis=1))
        a, b = (x / mx.linalg.norm(x, axis=-1, keepdims=True) for x in (a, b))
        return mx.exp(s.heat) * a @ b.T
class T(tnn.Module):
    def __init__(s):
        super().__init__(); s.t = tnn.Embedding(20, 12); s.a = tnn.Linear(12, 8); s.b = tnn.Linear(12, 8)
        s.heat = tnn.Parameter(torch.tensor(2.0))
    def forward(s, one, two):
        a, b = s.a(s.t(one).mean(1)), s.b(s.t(two).mean(1))
        return s.heat.exp() * F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T
def batch(rng, size):
    one, two = (rng.integers(0, 20, (size, 6), dtype="int32") for _ in range(2))
    return one, two, rng.uniform(0.5, 1.5, size).astype("float32")
def mlx_loss(m, one, two, weight):
    scores, right = m(one, two), mx.arange(len(weight))
    each = mnn.losses.cross_entropy(scores, right) + mnn.losses.cross_entropy(scores.T, right)
    return (weight * each).mean() / 2
def torch_loss(m, one, two, weight):
    scores, right = m(one, two), torch.arange(len(weight))
    each = sum(F.cross_entropy(x, right, reduction="none") for x in (scores, scores.T))
    return (weight * each).mean() / 2
= texts not normalised in PyTorch | normali|norm
- F.normalize(b, dim=-1).T
+ b.T
= normalised over the batch in PyTorch | axis|axes|dim|normali
- F.normalize(b, dim=-1).T
+ F.normalize(b, dim=0).T
= temperature not in an exponent in MLX | ^(?!.*relu).*(exp|temperature|times)
- mx.exp(s.heat)
+ s.heat
= one direction only in PyTorch | direction|transpos|axis|half
- for x in (scores, scores.T))
+ for x in (scores, scores))
= temperature fixed in PyTorch | detach|cut|heat|does not depend
- s.heat.exp()
+ s.heat.detach().exp()
= weights of pairs left out in PyTorch | weight|multiplies by an array
- each = sum(F
+ weight = 1; each = sum(F
"""

PREFERENCES = """
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.t = mnn.Embedding(20, 20); s.known = mnn.Embedding(20, 20); s.known.freeze()
    def likely(s, table, ids):
        found = mnn.log_softmax(table(ids[:, :-1]), axis=-1)
        return mx.take_along_axis(found, ids[:, 1:, None], axis=-1).sum(axis=(1, 2))
    def __call__(s, good, bad):
        return mx.stack([s.likely(s.t, x) - s.likely(s.known, x) for x in (good, bad)], axis=1)
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.t = tnn.Embedding(20, 20); s.known = tnn.Embedding(20, 20).requires_grad_(False)
    def likely(s, table, ids):
        found = table(ids[:, :-1]).log_softmax(-1)
        return found.gather(-1, ids[:, 1:, None]).sum((1, 2))
    def forward(s, good, bad):
        return torch.stack([s.likely(s.t, x) - s.likely(s.known, x) for x in (good, bad)], dim=1)
def batch(rng, size):
    good, bad = (rng.integers(0, 20, (size, 6), dtype="int32") for _ in range(2))
    return good, bad, rng.uniform(0, 0.2, size).astype("float32")
def mlx_loss(m, good, bad, margin):
    a, b = m(good, bad).T
    return -mnn.log_sigmoid(0.1 * (a - b) - margin).mean()
def torch_loss(m, good, bad, margin):
    a, b = m(good, bad).T
    return -F.logsigmoid(0.1 * (a - b) - margin).mean()
= the reference trains in PyTorch | frozen|freez|train
- tnn.Embedding(20, 20).requires_grad_(False)
+ tnn.Embedding(20, 20)
= the reference trains in MLX | frozen|freez|train
- ; s.known.freeze()
+
= good and bad exchanged in PyTorch's loss | sign|exchang|order|swap
- -F.logsigmoid(0.1 * (a - b)
+ -F.logsigmoid(0.1 * (b - a)
= another beta in MLX | 0\\.1|0\\.5|beta|times|factor
- -mnn.log_sigmoid(0.1
+ -mnn.log_sigmoid(0.5
= no margin in PyTorch | margin|batch|not used|subtracts an array
- F.logsigmoid(0.1 * (a - b) - margin)
+ F.logsigmoid(0.1 * (a - b))
= mean over the tokens in PyTorch | mean|sum|times
- .sum((1, 2))
+ .mean((1, 2))
= the token itself is scored in PyTorch | shift|off by one|next|position
- found.gather(-1, ids[:, 1:, None])
+ found.gather(-1, ids[:, :-1, None])
= the loss is the sum in MLX | sum|times|mean
- - margin).mean()
- def torch_loss
+ - margin).sum()
+ def torch_loss
"""

DISTILLED = """
def batch(rng, size):
    return rng.integers(0, 20, (size, 6), dtype="int32"), rng.standard_normal((size, 6, 20)).astype("float32")
def mlx_loss(m, ids, teacher):
    student, teacher = mnn.log_softmax(m(ids) / 2, axis=-1), mnn.log_softmax(teacher / 2, axis=-1)
    return 4 * mnn.losses.kl_div_loss(student, teacher, reduction="mean")
def torch_loss(m, ids, teacher):
    student, teacher = (F.log_softmax(x.flatten(0, 1) / 2, dim=-1) for x in (m(ids), teacher))
    return 4 * F.kl_div(student, teacher, reduction="batchmean", log_target=True)
= arguments of the divergence exchanged in MLX | argument|exchang|revers|direction|swap
- kl_div_loss(student, teacher,
+ kl_div_loss(teacher, student,
= mean over the classes as well in PyTorch | batchmean|mean|times|0\\.05
- "batchmean"
+ "mean"
= temperature squared left out in MLX | times|temperature|4
- 4 * mnn.losses
+ mnn.losses
= another temperature in PyTorch | temperature|scale|divid
- flatten(0, 1) / 2, dim
+ flatten(0, 1) / 3, dim
= mean over texts only in PyTorch | mean|sum|times
- x.flatten(0, 1) / 2
+ x / 2
"""

SMOOTHED = """
def batch(rng, size):
    return rng.integers(0, 20, (size, 6), dtype="int32"), rng.integers(0, 5, size, dtype="int32")
def mlx_loss(m, ids, y):
    scores = m(ids)
    whole = 0.01 * (mx.logsumexp(scores, axis=-1) ** 2).mean()
    return mnn.losses.cross_entropy(scores, y, label_smoothing=0.1, reduction="mean") + whole
def torch_loss(m, ids, y):
    scores = m(ids)
    return F.cross_entropy(scores, y, label_smoothing=0.1) + 0.01 * scores.logsumexp(-1).square().mean()
= labels not smoothed in PyTorch | label_smoothing|smooth
- y, label_smoothing=0.1) +
+ y) +
= labels smoothed more in MLX | label_smoothing|smooth
- label_smoothing=0.1, reduction
+ label_smoothing=0.2, reduction
= no term of the normaliser in PyTorch | logsumexp|z.?loss|term|regular
- + 0.01 * scores.logsumexp(-1).square().mean()
+
= sum over examples in MLX | sum
- reduction="mean") + whole
+ reduction="sum") + 8 * whole
"""

SHIFTED = """
def batch(rng, size):
    ids = rng.integers(0, 20, (size, 7), dtype="int32")
    ids[np.arange(7) >= rng.integers(3, 8, (size, 1))] = 0  # what follows the text
    return ids, ids
def mlx_loss(m, ids, y):
    each = mnn.losses.cross_entropy(m(ids)[:, :-1], y[:, 1:])
    real = y[:, 1:] != 0
    return ((each * real).sum(axis=1) / mx.maximum(real.sum(axis=1), 1)).mean()
def torch_loss(m, ids, y):
    each = F.cross_entropy(m(ids)[:, :-1].mT, y[:, 1:], ignore_index=0, reduction="none")
    return (each.sum(1) / (y[:, 1:] != 0).sum(1).clamp(min=1)).mean()
= mean over tokens, not over texts in PyTorch | mean|token|text|sequence|axis 1 in MLX and over axes
- (each.sum(1) / (y[:, 1:] != 0).sum(1).clamp(min=1)).mean()
+ each.sum() / (y[:, 1:] != 0).sum()
= the token itself is the target in PyTorch | shift|off by one|position|target
- m(ids)[:, :-1].mT
+ m(ids)[:, 1:].mT
= the past is the target in MLX | shift|off by one|position|target
- m(ids)[:, :-1], y[:, 1:])
+ m(ids)[:, 1:], y[:, :-1])
= padding is not left out in PyTorch | ignore_index|padd|mask
- , ignore_index=0
+
= mean over every place in MLX | mean|times|count|length|mask
- mx.maximum(real.sum(axis=1), 1)
+ real.shape[1]
"""

CUT = """
class M(mnn.Module):
    def __init__(s):
        super().__init__(); s.t = mnn.Embedding(20, 12); s.f = mnn.Linear(12, 12); s.p = mnn.Linear(12, 12)
    def seen(s, ids): return mnn.gelu(s.f(s.t(ids).mean(axis=1)))
    def __call__(s, one): return s.p(s.seen(one))
class T(tnn.Module):
    def __init__(s):
        super().__init__(); s.t = tnn.Embedding(20, 12); s.f = tnn.Linear(12, 12); s.p = tnn.Linear(12, 12)
    def seen(s, ids): return F.gelu(s.f(s.t(ids).mean(1)))
    def forward(s, one): return s.p(s.seen(one))
def batch(rng, size): return tuple(rng.integers(0, 20, (size, 6), dtype="int32") for _ in range(2))
def mlx_loss(m, one, two):
    return -mnn.losses.cosine_similarity_loss(m(one), mx.stop_gradient(m.seen(two)), reduction="mean")
def torch_loss(m, one, two): return -F.cosine_similarity(m(one), m.seen(two).detach(), dim=-1).mean()
= the graph is not cut in PyTorch | detach|cut|stop_gradient
- m.seen(two).detach()
+ m.seen(two)
= the graph is cut at the other text in PyTorch | detach|cut|stop_gradient|does not depend
- m(one), m.seen(two).detach()
+ m(one).detach(), m.seen(two)
= products instead of cosines in PyTorch | cosine|norm
- F.cosine_similarity(m(one), m.seen(two).detach(), dim=-1)
+ (m(one) * m.seen(two).detach()).sum(-1)
"""

MASKED = """
class M(mnn.Module):
    def __init__(s):
        super().__init__(); s.t = mnn.Embedding(20, 12); s.f = mnn.Linear(12, 12); s.o = mnn.Linear(12, 1)
    def __call__(s, ids, kept):
        x = mnn.gelu(s.f(s.t(ids).mean(axis=1)))
        return s.o(mx.where(kept, x / 0.8, 0.0) if s.training else x)
class T(tnn.Module):
    def __init__(s):
        super().__init__(); s.t = tnn.Embedding(20, 12); s.f = tnn.Linear(12, 12); s.o = tnn.Linear(12, 1)
    def forward(s, ids, kept):
        x = F.gelu(s.f(s.t(ids).mean(1)))
        return s.o(x * kept / 0.8 if s.training else x)
def batch(rng, size):
    y = rng.standard_normal(size).astype("float32")
    return rng.integers(0, 20, (size, 6), dtype="int32"), rng.uniform(size=(size, 12)) < 0.8, y
def mlx_loss(m, ids, kept, y): return mnn.losses.huber_loss(m(ids, kept).squeeze(-1), y, reduction="mean")
def torch_loss(m, ids, kept, y): return F.huber_loss(m(ids, kept).squeeze(-1), y)
= kept values are not raised in PyTorch | times|0\\.8|scale|1\\.25
- x * kept / 0.8
+ x * kept
= the mask is inverted in PyTorch | invert
- x * kept / 0.8
+ x * ~kept / 0.8
= the mask holds in evaluation too in PyTorch | evaluat|training
- x * kept / 0.8 if s.training else x
+ x * kept / 0.8
= scaled in evaluation only in PyTorch | evaluat|factor 0.9
- else x)
- def batch
+ else 0.9 * x)
+ def batch
= evaluation forgets the activation in MLX | evaluat|exact GELU
- 0.0) if s.training else x)
+ 0.0) if s.training else s.f(s.t(ids).mean(axis=1)))
= every value minus every target in PyTorch | broadcast
- m(ids, kept).squeeze(-1), y)
-
- def mlx_model
+ m(ids, kept), y)
+
+ def mlx_model
= every value minus every target in MLX | broadcast
- m(ids, kept).squeeze(-1), y, reduction
+ m(ids, kept), y, reduction
= another bend of Huber's loss in MLX | delta|huber
- y, reduction="mean")
- def torch
+ y, 0.3, reduction="mean")
+ def torch
"""

PAIRS = (
    pair("contrastive texts with a learned temperature", CONTRASTIVE, TAIL),
    pair("preferences against a frozen reference", PREFERENCES, TAIL),
    pair("distillation by divergence at a temperature", DISTILLED, EACH),
    pair("smoothed labels and a term of the normaliser", SMOOTHED, BAG.replace("WIDTH", "5")),
    pair("targets shifted in the loss, mean by text", SHIFTED, EACH),
    pair("a cut graph between two texts", CUT, TAIL),
    pair("dropout by masks of the batch", MASKED, TAIL),
)
