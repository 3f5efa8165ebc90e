"""Networks of sets, graphs, coordinates and experts: what is gathered, summed, sorted or expanded by hand."""

from pair_corpus.fragments import CLASSES, MADE, REGRESSION, pair

DENSE_GRAPH = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = mnn.Linear(6, 16), mnn.Linear(16, 5)
    def __call__(self, x, near):  # (B, N, 6), (B, N, N)
        near = near + mx.eye(near.shape[-1])
        root = mx.rsqrt(near.sum(axis=-1))
        near = root[:, :, None] * near * root[:, None]
        x = mnn.relu(near @ self.a(x))
        return self.b(near @ x).mean(axis=1)
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = tnn.Linear(6, 16), tnn.Linear(16, 5)
    def forward(self, x, near):
        near = near + torch.eye(near.shape[-1])
        root = near.sum(dim=-1).rsqrt()
        near = root[:, :, None] * near * root[:, None]
        x = F.relu(near @ self.a(x))
        return self.b(near @ x).mean(dim=1)
def batch(rng, size):
    near = np.triu(rng.random((size, 7, 7)) < 0.4, 1) | np.eye(7, k=1, dtype=bool)
    near = (near | near.transpose(0, 2, 1)).astype("float32")
    return rng.standard_normal((size, 7, 6)).astype("float32"), near, rng.integers(0, 5, size, dtype="int32")
def mlx_loss(model, x, near, y): return mnn.losses.cross_entropy(model(x, near), y, reduction="mean")
def torch_loss(model, x, near, y): return F.cross_entropy(model(x, near), y.long())
= no loops at the nodes | eye|loop|diagonal|identity
- near + torch.eye(near.shape[-1])
+ near
= normalised by rows alone | root|rsqrt|normali|broadcast
- root = near.sum(dim=-1).rsqrt()
-         near = root[:, :, None] * near * root[:, None]
+ near = near / near.sum(dim=-1, keepdim=True)
"""

EDGES = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.message, self.own, self.head = mnn.Linear(9, 16), mnn.Linear(6, 16), mnn.Linear(16, 4)
    def __call__(self, x, senders, receivers, edges):  # (B, N, 6), (B, E), (B, E), (B, E, 3)
        rows = mx.arange(len(x))[:, None]
        sent = mx.concatenate([x[rows, senders], edges], axis=-1)
        messages = mnn.relu(self.message(sent))
        heard = mx.zeros((*x.shape[:2], 16), dtype=x.dtype).at[rows, receivers].add(messages)
        return self.head(mx.tanh(self.own(x) + heard)).sum(axis=1)
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.message, self.own, self.head = tnn.Linear(9, 16), tnn.Linear(6, 16), tnn.Linear(16, 4)
    def forward(self, x, senders, receivers, edges):
        rows = torch.arange(len(x))[:, None]
        sent = torch.cat([x[rows, senders.long()], edges], dim=-1)
        messages = F.relu(self.message(sent))
        places = receivers.long()[..., None].expand_as(messages)
        heard = x.new_zeros(*x.shape[:2], 16).scatter_add(1, places, messages)
        return self.head(torch.tanh(self.own(x) + heard)).sum(dim=1)
def batch(rng, size):
    x, edges = (rng.standard_normal((size, *n)).astype("float32") for n in ((6, 6), (10, 3)))
    ends = rng.integers(0, 6, (2, size, 10), dtype="int32")
    return x, ends[0], ends[1], edges, rng.standard_normal((size, 4)).astype("float32")
def mlx_loss(model, *batch): return mnn.losses.mse_loss(model(*batch[:-1]), batch[-1], reduction="mean")
def torch_loss(model, *batch): return F.mse_loss(model(*batch[:-1]), batch[-1])
= senders and receivers exchanged | sender|receiver|exchang|swapp
- places = receivers.long()[..., None].expand_as(messages)
+ places = senders.long()[..., None].expand_as(messages)
= the mean of messages for their sum | mean|sum|average
- .scatter_add(1, places, messages)
+ .scatter_reduce(1, places, messages, "mean", include_self=False)
= mean over nodes | mean|sum|times
- + heard)).sum(dim=1)
+ + heard)).mean(dim=1)
"""

GRAPH_ATTENTION = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.value, self.left, self.right = mnn.Linear(6, 8), mnn.Linear(8, 1), mnn.Linear(8, 1, bias=False)
        self.head = mnn.Linear(8, 5)
    def __call__(self, x, near):
        h = self.value(x)
        scores = mnn.leaky_relu(self.left(h) + self.right(h).swapaxes(1, 2), 0.2)  # (B, N, N)
        weights = mx.softmax(mx.where(near, scores, -1e9), axis=-1)
        return self.head(mnn.elu(weights @ h).mean(axis=1))
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.value, self.left, self.right = tnn.Linear(6, 8), tnn.Linear(8, 1), tnn.Linear(8, 1, bias=False)
        self.head = tnn.Linear(8, 5)
    def forward(self, x, near):
        h = self.value(x)
        scores = F.leaky_relu(self.left(h) + self.right(h).transpose(1, 2), 0.2)
        weights = scores.masked_fill(~near, -1e9).softmax(dim=-1)
        return self.head(F.elu(weights @ h).mean(dim=1))
def batch(rng, size):
    near = (rng.random((size, 7, 7)) < 0.4) | np.eye(7, dtype=bool)
    return rng.standard_normal((size, 7, 6)).astype("float32"), near, rng.integers(0, 5, size, dtype="int32")
def mlx_loss(model, x, near, y): return mnn.losses.cross_entropy(model(x, near), y, reduction="mean")
def torch_loss(model, x, near, y): return F.cross_entropy(model(x, near), y.long())
= softmax over who looks | softmax.*(axis|axes|dim)|(axis|axes|dim).*softmax
- .softmax(dim=-1)
+ .softmax(dim=1)
= the neighbours are hidden | invert|mask|near
- ~near
+ near
= edges are read backwards | transpos|order|near|left|right
- self.left(h) + self.right(h).transpose(1, 2)
+ self.left(h).transpose(1, 2) + self.right(h)
= all look at all | mask
- scores.masked_fill(~near, -1e9).softmax
+ scores.softmax
"""

POINTS = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.turn, self.a = mnn.Linear(3, 9), mnn.Conv1d(3, 16, 1)
        self.norm, self.b, self.head = mnn.BatchNorm(16), mnn.Conv1d(16, 16, 1), mnn.Linear(16, 5)
    def __call__(self, x):  # (B, points, 3)
        turn = self.turn(x.mean(axis=1)).reshape(-1, 3, 3) + mx.eye(3)
        x = mnn.relu(self.norm(self.a(x @ turn)))
        return self.head(self.b(x).max(axis=1))
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.turn, self.a = tnn.Linear(3, 9), tnn.Conv1d(3, 16, 1)
        self.norm, self.b, self.head = tnn.BatchNorm1d(16), tnn.Conv1d(16, 16, 1), tnn.Linear(16, 5)
    def forward(self, x):  # (B, 3, points)
        turn = self.turn(x.mean(dim=2)).view(-1, 3, 3) + torch.eye(3)
        x = torch.bmm(x.transpose(1, 2), turn).transpose(1, 2)
        x = F.relu(self.norm(self.a(x)))
        return self.head(self.b(x).amax(dim=2))
def batch(rng, size):
    return rng.standard_normal((size, 12, 3)).astype("float32"), rng.integers(0, 5, size, dtype="int32")
def torch_layout(x, y): return np.ascontiguousarray(x.transpose(0, 2, 1)), y
= the mean of the points for the largest | mean|max
- self.b(x).amax(dim=2)
+ self.b(x).mean(dim=2)
= the turn is transposed | transpos|turn|axis is split
- torch.bmm(x.transpose(1, 2), turn)
+ torch.bmm(x.transpose(1, 2), turn.transpose(1, 2))
= momentum of BatchNorm | momentum
- tnn.BatchNorm1d(16)
+ tnn.BatchNorm1d(16, momentum=0.01)
"""

DEEP_SETS = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = mnn.Linear(4, 16), mnn.Linear(16, 16), mnn.Linear(16, 3)
    def __call__(self, x, real):  # (B, members, 4), (B, members)
        x = self.b(mnn.celu(self.a(x), 0.5)) * real[..., None]
        return self.head(mnn.elu(x.sum(axis=1) / real.sum(axis=1, keepdims=True)))
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = tnn.Linear(4, 16), tnn.Linear(16, 16), tnn.Linear(16, 3)
    def forward(self, x, real):
        x = self.b(F.celu(self.a(x), 0.5)) * real[..., None]
        return self.head(F.elu(x.sum(dim=1) / real.sum(dim=1, keepdim=True)))
def batch(rng, size):
    real = (np.arange(6) < rng.integers(1, 7, (size, 1))).astype("float32")
    x = rng.standard_normal((size, 6, 4)).astype("float32")
    return x, real, rng.integers(0, 3, size, dtype="int32")
def mlx_loss(model, x, real, y): return mnn.losses.cross_entropy(model(x, real), y, reduction="mean")
def torch_loss(model, x, real, y): return F.cross_entropy(model(x, real), y.long())
= mean over what is padded too | mean|mask|padd
- x.sum(dim=1) / real.sum(dim=1, keepdim=True)
+ x.mean(dim=1)
= what is padded counts | mask|padd
- self.b(F.celu(self.a(x), 0.5)) * real[..., None]
+ self.b(F.celu(self.a(x), 0.5))
= alpha of the CELU | celu|alpha
- F.celu(self.a(x), 0.5)
+ F.celu(self.a(x))
"""

FOURIER = """
DRAWN = np.random.RandomState(0).standard_normal((3, 8)).astype("float32")
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self._drawn = mx.array(DRAWN)
        self.a, self.b, self.out = mnn.Linear(16, 16), mnn.Linear(32, 16), mnn.Linear(16, 4)
    def __call__(self, x):
        angle = 2 * math.pi * (x @ self._drawn)
        x = mx.concatenate([mx.sin(angle), mx.cos(angle)], axis=-1)
        h = mnn.relu(self.a(x))
        return mx.sigmoid(self.out(mnn.relu(self.b(mx.concatenate([h, x], axis=-1)))))
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("drawn", torch.from_numpy(DRAWN))
        self.a, self.b, self.out = tnn.Linear(16, 16), tnn.Linear(32, 16), tnn.Linear(16, 4)
    def forward(self, x):
        angle = 2 * math.pi * (x @ self.drawn)
        x = torch.cat([angle.sin(), angle.cos()], dim=-1)
        h = F.relu(self.a(x))
        return torch.sigmoid(self.out(F.relu(self.b(torch.cat([h, x], dim=-1)))))
def batch(rng, size):
    return rng.random((size, 3), dtype="float32"), rng.random((size, 4), dtype="float32")
def mlx_loss(model, x, y): return mnn.losses.mse_loss(model(x), y, reduction="mean")
def torch_loss(model, x, y): return F.mse_loss(model(x), y)
= angles without two pi | 6\\.28|pi|times|factor|frequenc
- 2 * math.pi * (x @ self.drawn)
+ x @ self.drawn
= cosines first | ^(?!.*layout).*(order|concat|join|\\bcos)
- torch.cat([angle.sin(), angle.cos()], dim=-1)
+ torch.cat([angle.cos(), angle.sin()], dim=-1)
"""

SPLINES = """
GRID = np.linspace(-4, 4, 9, dtype="float32")
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.base, self.coefficients = mnn.Linear(8, 4), 0.3 * mx.random.normal((8, 5, 4))
    def __call__(self, x):
        grid, at = mx.array(GRID), x[..., None]
        bases = ((at >= grid[:-1]) & (at < grid[1:])).astype(x.dtype)
        for k in (1, 2, 3):  # de Boor's recursion
            left = (at - grid[: -k - 1]) / (grid[k:-1] - grid[: -k - 1])
            right = (grid[k + 1 :] - at) / (grid[k + 1 :] - grid[1:-k])
            bases = left * bases[..., :-1] + right * bases[..., 1:]
        return self.base(mnn.silu(x)) + mx.einsum("bik,iko->bo", bases, self.coefficients)
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.base, self.coefficients = tnn.Linear(8, 4), tnn.Parameter(0.3 * torch.randn(8, 5, 4))
    def forward(self, x):
        grid, at = torch.from_numpy(GRID), x[..., None]
        bases = ((at >= grid[:-1]) & (at < grid[1:])).to(x.dtype)
        for k in (1, 2, 3):
            left = (at - grid[: -k - 1]) / (grid[k:-1] - grid[: -k - 1])
            right = (grid[k + 1 :] - at) / (grid[k + 1 :] - grid[1:-k])
            bases = left * bases[..., :-1] + right * bases[..., 1:]
        return self.base(F.silu(x)) + torch.einsum("bik,iko->bo", bases, self.coefficients)
= no base function | silu
- self.base(F.silu(x))
+ self.base(x)
= half of the base's weight | times|factor|plus
- self.base(F.silu(x)) + torch
+ 0.5 * self.base(F.silu(x)) + torch
"""

EXPERTS = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.gate, self.up = mnn.Linear(8, 4), 0.3 * mx.random.normal((4, 8, 12))
        self.down = 0.3 * mx.random.normal((4, 12, 4))
    def __call__(self, x):
        weights = mx.softmax(self.gate(x), axis=-1)
        weights = mx.where(weights >= mx.sort(weights, axis=-1)[:, -2:-1], weights, 0)
        weights = weights / weights.sum(axis=-1, keepdims=True)
        made = mnn.gelu(mx.einsum("bi,eio->beo", x, self.up))
        return (weights[..., None] * mx.einsum("bei,eio->beo", made, self.down)).sum(axis=1)
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.gate, self.up = tnn.Linear(8, 4), tnn.Parameter(0.3 * torch.randn(4, 8, 12))
        self.down = tnn.Parameter(0.3 * torch.randn(4, 12, 4))
    def forward(self, x):
        weights = self.gate(x).softmax(dim=-1)
        weights = torch.where(weights >= weights.topk(2).values[:, 1:], weights, 0)
        weights = weights / weights.sum(dim=-1, keepdim=True)
        made = F.gelu(torch.einsum("bi,eio->beo", x, self.up))
        return (weights[..., None] * torch.einsum("bei,eio->beo", made, self.down)).sum(dim=1)
= softmax over the batch | softmax.*(axis|axes|dim)|(axis|axes|dim).*softmax
- self.gate(x).softmax(dim=-1)
+ self.gate(x).softmax(dim=0)
= the chosen weights are not made to sum to one | normali|sum
- weights = weights / weights.sum(dim=-1, keepdim=True)
+ pass
= one expert for two | topk|top|expert
- weights.topk(2).values[:, 1:]
+ weights.topk(1).values
"""

PAIRS = [
    pair("graph convolution", DENSE_GRAPH, MADE),
    pair("messages along edges", EDGES, MADE),
    pair("graph attention", GRAPH_ATTENTION, MADE),
    pair("PointNet", POINTS, MADE + CLASSES),
    pair("deep sets", DEEP_SETS, MADE),
    pair("Fourier features", FOURIER, MADE),
    pair("splines on edges", SPLINES, REGRESSION),
    pair("mixture of experts", EXPERTS, REGRESSION),
]
