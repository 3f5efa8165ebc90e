"""Heads and losses on small bodies: tables, labels of many kinds, masks, triplets, several outputs."""

from pair_corpus.fragments import CHANNELS_FIRST, MADE, MLP, pair

ONE_NUMBER = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = mnn.Linear(8, 16), mnn.Linear(16, 16), mnn.Linear(16, 1)
    def __call__(self, x):
        x = mnn.relu(self.a(x))
        return self.c(mnn.relu(self.b(x)) + x).squeeze(-1)
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = tnn.Linear(8, 16), tnn.Linear(16, 16), tnn.Linear(16, 1)
    def forward(self, x):
        x = F.relu(self.a(x))
        return self.c(F.relu(self.b(x)) + x).squeeze(-1)
def batch(rng, size):
    return rng.standard_normal((size, 8)).astype("float32"), rng.standard_normal(size).astype("float32")
def mlx_loss(model, x, y): return mnn.losses.smooth_l1_loss(model(x), y, beta=0.5, reduction="mean")
def torch_loss(model, x, y): return F.smooth_l1_loss(model(x), y, beta=0.5)
= (n, 1) with (n,) | broadcast|\\(8, 1\\)|squeeze|shape
- F.smooth_l1_loss(model(x), y, beta=0.5)
+ F.smooth_l1_loss(model(x)[:, None], y, beta=0.5)
= (n, 1) is the model's output | squeeze|broadcast|axis|shape
- return self.c(F.relu(self.b(x)) + x).squeeze(-1)
+ return self.c(F.relu(self.b(x)) + x)
= the residual is from before the first layer's activation | relu|residual
- self.c(F.relu(self.b(x)) + x).squeeze(-1)
+ self.c(F.relu(self.b(x) + x)).squeeze(-1)
= beta of the loss | beta|loss
- F.smooth_l1_loss(model(x), y, beta=0.5)
+ F.smooth_l1_loss(model(x), y)
= no bias | bias
- tnn.Linear(16, 1)
+ tnn.Linear(16, 1, bias=False)
= half precision in PyTorch | float16|half|type
- x = F.relu(self.a(x))
+ x = F.relu(self.a(x).half().to(x.dtype))
"""

TABLE = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.shop, self.day = mnn.Embedding(10, 4), mnn.Embedding(7, 3)
        self.norm, self.a, self.b = mnn.BatchNorm(3), mnn.Linear(10, 16), mnn.Linear(16, 1)
    def __call__(self, ids, numbers):
        x = mx.concatenate([self.shop(ids[:, 0]), self.day(ids[:, 1]), self.norm(numbers)], axis=-1)
        return self.b(mnn.relu(self.a(x)))[:, 0]
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.shop, self.day = tnn.Embedding(10, 4), tnn.Embedding(7, 3)
        self.norm, self.a, self.b = tnn.BatchNorm1d(3), tnn.Linear(10, 16), tnn.Linear(16, 1)
    def forward(self, ids, numbers):
        x = torch.cat([self.shop(ids[:, 0]), self.day(ids[:, 1]), self.norm(numbers)], dim=-1)
        return self.b(F.relu(self.a(x)))[:, 0]
def batch(rng, size):
    ids = np.stack([rng.integers(0, 10, size), rng.integers(0, 7, size)], axis=1).astype("int32")
    return ids, 3 * rng.standard_normal((size, 3)).astype("float32") + 1, rng.random(size, dtype="float32")
def mlx_loss(model, ids, numbers, y):
    return mnn.losses.binary_cross_entropy(model(ids, numbers), y, with_logits=True, reduction="mean")
def torch_loss(model, ids, numbers, y): return F.binary_cross_entropy_with_logits(model(ids, numbers), y)
= row 0 is padding in PyTorch | padding_idx
- tnn.Embedding(10, 4)
+ tnn.Embedding(10, 4, padding_idx=0)
= ids up to the number of rows | range|outside|rows|between|below 10|index
- rng.integers(0, 10, size), rng
+ rng.integers(1, 11, size), rng
= what is unknown has the id -1 | negative|below 0|range|outside|between|index
- rng.integers(0, 7, size)]
+ rng.integers(-1, 6, size)]
= joined in another order | ^(?!.*layout).*(concat|order|join)
- torch.cat([self.shop(ids[:, 0]), self.day(ids[:, 1]), self.norm(numbers)], dim=-1)
+ torch.cat([self.day(ids[:, 1]), self.shop(ids[:, 0]), self.norm(numbers)], dim=-1)
= statistics of the batch in evaluation too | track_running_stats|running|statistic
- tnn.BatchNorm1d(3)
+ tnn.BatchNorm1d(3, track_running_stats=False)
"""

MANY_LABELS = """
def batch(rng, size):
    x = rng.standard_normal((size, 8)).astype("float32")
    return x, (rng.random((size, 4)) < 0.3).astype("float32")
def mlx_loss(model, x, y):
    weights = mx.where(y > 0, mx.array([1.0, 2.0, 3.0, 4.0]), 1.0)
    return mnn.losses.binary_cross_entropy(model(x), y, weights, with_logits=True, reduction="mean")
def torch_loss(model, x, y):
    positive = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=y.dtype)
    return F.binary_cross_entropy_with_logits(model(x), y, pos_weight=positive)
= weights of the positive left out | weight
- F.binary_cross_entropy_with_logits(model(x), y, pos_weight=positive)
+ F.binary_cross_entropy_with_logits(model(x), y)
= labels are weighted, positive or not | weight
- y, pos_weight=positive
+ y, positive
= summed over the labels | \\bsum|times
- F.binary_cross_entropy_with_logits(model(x), y, pos_weight=positive)
+ F.binary_cross_entropy_with_logits(model(x), y, pos_weight=positive, reduction="none").sum(-1).mean()
= probabilities taken for logits in MLX | sigmoid|logit|probabilit
- y, weights, with_logits=True
+ y, weights, with_logits=False
"""

WEIGHTED = """
def batch(rng, size):
    return rng.standard_normal((size, 8)).astype("float32"), rng.integers(0, 4, size, dtype="int32")
def mlx_loss(model, x, y):
    weights = mx.array([1.0, 2.0, 4.0, 8.0])[y]
    losses = mnn.losses.cross_entropy(model(x), y, label_smoothing=0.0)
    return (losses * weights).sum() / weights.sum()
def torch_loss(model, x, y):
    return F.cross_entropy(model(x), y.long(), weight=torch.tensor([1.0, 2.0, 4.0, 8.0]), label_smoothing=0.0)
= class weights on one side | weight
- , weight=torch.tensor([1.0, 2.0, 4.0, 8.0])
+
= divided by the number of examples in MLX | weights|mean|divided|times
- (losses * weights).sum() / weights.sum()
+ (losses * weights).mean()
= labels counted from one | range|outside|label|class|below 4|between
- rng.integers(0, 4, size, dtype="int32")
+ rng.integers(1, 5, size, dtype="int32")
"""

SMOOTHED = """
def batch(rng, size):
    return rng.standard_normal((size, 8)).astype("float32"), rng.integers(0, 4, size, dtype="int32")
def mlx_loss(model, x, y): return mnn.losses.cross_entropy(model(x), y, label_smoothing=0.1, reduction="mean")
def torch_loss(model, x, y): return F.cross_entropy(model(x), y.long(), label_smoothing=0.1)
= no label smoothing in PyTorch | smooth
- , label_smoothing=0.1)
+ )
= other label smoothing | smooth
- F.cross_entropy(model(x), y.long(), label_smoothing=0.1)
+ F.cross_entropy(model(x), y.long(), label_smoothing=0.2)
= softmax before the loss that takes logits | softmax|probabilit|logit
- F.cross_entropy(model(x), y
+ F.cross_entropy(model(x).softmax(-1), y
"""

SEGMENTED = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = mnn.Conv2d(3, 8, 3, padding=1), mnn.Conv2d(8, 4, 1)
    def __call__(self, x):
        return self.b(mnn.gelu(self.a(x)))  # (B, 8, 8, 4)
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = tnn.Conv2d(3, 8, 3, padding=1), tnn.Conv2d(8, 4, 1)
    def forward(self, x):
        return self.b(F.gelu(self.a(x))).permute(0, 2, 3, 1)
def batch(rng, size):
    y = rng.integers(0, 4, (size, 8, 8), dtype="int32")
    y[rng.random(y.shape) < 0.2] = -100  # what nobody has labelled
    return rng.standard_normal((size, 8, 8, 3)).astype("float32"), y
def mlx_loss(model, x, y):
    real = y != -100
    losses = mnn.losses.cross_entropy(model(x), mx.where(real, y, 0))
    return (losses * real).sum() / real.sum()
def torch_loss(model, x, y): return F.cross_entropy(model(x).permute(0, 3, 1, 2), y.long(), ignore_index=-100)
= what is not labelled counts as class 0 in PyTorch | ignore|mask|clamp
- y.long(), ignore_index=-100)
+ y.long().clamp(min=0))
= the mean is over all places in MLX | mask|mean|divided|times|ignore
- (losses * real).sum() / real.sum()
+ (losses * real).mean()
= no mask in MLX | -100|ignore|range|outside|negative|below 0
- mx.where(real, y, 0))
-     return (losses * real).sum() / real.sum()
+ y)
+     return losses.mean()
= rows and columns exchanged before the loss | transpos|order|axes|exchang|layout
- F.cross_entropy(model(x).permute(0, 3, 1, 2)
+ F.cross_entropy(model(x).permute(0, 3, 2, 1)
"""

QUANTILES = """
def batch(rng, size):
    return rng.standard_normal((size, 8)).astype("float32"), rng.standard_normal(size).astype("float32")
def mlx_loss(model, x, y):
    share, error = mx.array([0.1, 0.5, 0.9, 0.99]), y[:, None] - model(x)
    return mx.maximum(share * error, (share - 1) * error).mean()
def torch_loss(model, x, y):
    share, error = torch.tensor([0.1, 0.5, 0.9, 0.99]), y[:, None] - model(x)
    return torch.maximum(share * error, (share - 1) * error).mean()
= error with another sign | sign|minus|order|error
- torch.tensor([0.1, 0.5, 0.9, 0.99]), y[:, None] - model(x)
+ torch.tensor([0.1, 0.5, 0.9, 0.99]), model(x) - y[:, None]
= summed over the quantiles | \\bsum|times
- torch.maximum(share * error, (share - 1) * error).mean()
+ torch.maximum(share * error, (share - 1) * error).sum(dim=-1).mean()
"""

CONTRASTIVE = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = mnn.Linear(8, 16), mnn.Linear(6, 16)
    def __call__(self, x, y):
        x, y = self.a(x), self.b(y)
        x = x / mx.linalg.norm(x, axis=-1, keepdims=True)
        y = y / mx.linalg.norm(y, axis=-1, keepdims=True)
        return x @ y.T / 0.2
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = tnn.Linear(8, 16), tnn.Linear(6, 16)
    def forward(self, x, y):
        x, y = F.normalize(self.a(x), dim=-1), F.normalize(self.b(y), dim=-1)
        return x @ y.t() / 0.2
def batch(rng, size):
    x, y = (rng.standard_normal((size, n)).astype("float32") for n in (8, 6))
    return x, y, np.ones(size, dtype="float32")
def mlx_loss(model, x, y, weights):
    logits, own = model(x, y), mx.arange(len(x))
    both = mnn.losses.cross_entropy(logits, own) + mnn.losses.cross_entropy(logits.T, own)
    return 0.5 * (both * weights).mean()
def torch_loss(model, x, y, weights):
    logits, own = model(x, y), torch.arange(len(x))
    both = F.cross_entropy(logits, own, reduction="none") + F.cross_entropy(logits.t(), own, reduction="none")
    return 0.5 * (both * weights).mean()
= multiplied by the temperature | times|temperature|factor
- x @ y.t() / 0.2
+ x @ y.t() * 0.2
= one vector is not normalised | norm|length
- F.normalize(self.b(y), dim=-1)
+ self.b(y)
= normalised over the batch | norm.*(axis|dim)|(axis|dim).*norm
- F.normalize(self.b(y), dim=-1)
+ F.normalize(self.b(y), dim=0)
= one direction alone | transpos|direction|logits
- F.cross_entropy(logits.t(), own, reduction="none")
+ F.cross_entropy(logits, own, reduction="none")
"""

TRIPLET = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = mnn.Linear(8, 16), mnn.Linear(16, 8)
    def embed(self, x):
        return self.b(mx.tanh(self.a(x)))
    def __call__(self, anchor, near, far):
        return mx.stack([self.embed(x) for x in (anchor, near, far)], axis=1)  # (B, 3, 8)
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = tnn.Linear(8, 16), tnn.Linear(16, 8)
    def embed(self, x):
        return self.b(torch.tanh(self.a(x)))
    def forward(self, anchor, near, far):
        return torch.stack([self.embed(x) for x in (anchor, near, far)], dim=1)
def batch(rng, size):
    return *rng.standard_normal((3, size, 8)).astype("float32"), rng.random(size).astype("float32")
def mlx_loss(model, anchor, near, far, margin):
    a, n, f = model(anchor, near, far).swapaxes(0, 1)
    near, far = (mnn.losses.cosine_similarity_loss(a, other, axis=-1) for other in (n, f))
    return mx.maximum(0, margin - near + far).mean()
def torch_loss(model, anchor, near, far, margin):
    a, n, f = model(anchor, near, far).unbind(1)
    closer = F.cosine_similarity(a, n, dim=-1) - F.cosine_similarity(a, f, dim=-1)
    return F.relu(margin - closer).mean()
= the graph of the anchor is cut | cut|detach|stop_gradient
- F.cosine_similarity(a, n, dim=-1) - F.cosine_similarity(a, f, dim=-1)
+ F.cosine_similarity(a.detach(), n, dim=-1) - F.cosine_similarity(a.detach(), f, dim=-1)
= near and far exchanged | order|sign|exchang
- a, n, f = model(anchor, near, far).unbind(1)
+ a, f, n = model(anchor, near, far).unbind(1)
= the loss has no lower bound | relu|maximum|clamp
- F.relu(margin - closer).mean()
+ (margin - closer).mean()
"""

PAIRS = [
    pair("MLP of one number", ONE_NUMBER, MADE),
    pair("table with embeddings", TABLE, MADE),
    pair("many labels", MANY_LABELS, MLP + MADE),
    pair("class weights", WEIGHTED, MLP + MADE),
    pair("label smoothing", SMOOTHED, MLP + MADE),
    pair("segmentation with an ignored label", SEGMENTED, MADE + CHANNELS_FIRST),
    pair("quantiles", QUANTILES, MLP + MADE),
    pair("contrastive", CONTRASTIVE, MADE),
    pair("triplets by cosine", TRIPLET, MADE),
]
