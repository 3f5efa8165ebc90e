"""Encoders: padding masks, pooling, cross attention, the layers of both frameworks, experts."""

from pair_corpus.fragments import pair
from pair_corpus.sequences.attention import TOKENS
from pair_corpus.sequences.recurrent_layers import TAIL

PADDED = (
    TAIL
    + """
def batch(rng, size):
    real = np.arange(8) < rng.integers(2, 8, (size, 1))
    return rng.integers(0, 20, (size, 8), dtype="int32"), real, rng.integers(0, 5, size, dtype="int32")
def mlx_loss(m, ids, real, y): return mnn.losses.cross_entropy(m(ids, real), y, reduction="mean")
def torch_loss(m, ids, real, y): return F.cross_entropy(m(ids, real), y)
"""
)

LAYER = """
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.t = mnn.Embedding(20, 16); s.a = mnn.MultiHeadAttention(16, 2, bias=True); s.n = mnn.LayerNorm(16)
        s.o = mnn.Linear(16, 5)
    def __call__(s, ids, real):
        x = s.t(ids)
        mask = mx.where(real[:, None, None], 0.0, -1e9).astype(x.dtype)
        x = s.n(x + s.a(x, x, x, mask))
        return s.o(x[:, 0])
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.t = tnn.Embedding(20, 16); s.a = tnn.MultiheadAttention(16, 2, batch_first=True)
        s.n = tnn.LayerNorm(16); s.o = tnn.Linear(16, 5)
    def forward(s, ids, real):
        x = s.t(ids)
        y, _ = s.a(x, x, x, key_padding_mask=~real, need_weights=False)
        return s.o(s.n(x + y)[:, 0])
= the mask is inverted in PyTorch | invert
- key_padding_mask=~real
+ key_padding_mask=real
= no mask in PyTorch | padd.*mask|mask.*(missing|ignored|none)
- key_padding_mask=~real, need
+ need
= the mask is added as ones in MLX | added|additive|number
- mx.where(real[:, None, None], 0.0, -1e9).astype(x.dtype)
+ real[:, None, None].astype(x.dtype)
= four heads in PyTorch | heads
- tnn.MultiheadAttention(16, 2, batch
+ tnn.MultiheadAttention(16, 4, batch
= time first in PyTorch | batch.?first|time.?first
- tnn.MultiheadAttention(16, 2, batch_first=True)
+ tnn.MultiheadAttention(16, 2)
- key_padding_mask=~real, need
+ key_padding_mask=~real.T, need
= dropout of attention in PyTorch | dropout|random
- tnn.MultiheadAttention(16, 2, batch
+ tnn.MultiheadAttention(16, 2, dropout=0.1, batch
= the last position instead of the first in MLX | last|first|position
- s.o(x[:, 0])
+ s.o(x[:, -1])
= epsilon of the norm | eps
- tnn.LayerNorm(16)
+ tnn.LayerNorm(16, eps=1e-3)
"""

STACK = """
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.t = mnn.Embedding(16, 16)
        s.e = mnn.TransformerEncoder(2, 16, 2, mlp_dims=24, dropout=0.0, activation=mnn.gelu, norm_first=True)
        s.o = mnn.Linear(16, 16)
    def __call__(s, ids): return s.o(s.e(s.t(ids), None))
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        layer = tnn.TransformerEncoderLayer(16, 2, 24, 0.0, F.gelu, batch_first=True, norm_first=True)
        layer.self_attn = tnn.MultiheadAttention(16, 2, bias=False, batch_first=True)  # as MLX's
        s.t = tnn.Embedding(16, 16); s.o = tnn.Linear(16, 16)
        s.e = tnn.TransformerEncoder(layer, 2, norm=tnn.LayerNorm(16), enable_nested_tensor=False)
    def forward(s, ids): return s.o(s.e(s.t(ids)))
NAMES = {"e.norm": "e.ln"}
for i in range(2):
    NAMES |= {f"e.layers.{i}.norm{k}": f"e.layers.{i}.ln{k}" for k in (1, 2)}
    NAMES[f"e.layers.{i}.self_attn"] = f"e.layers.{i}.attention"
= PyTorch's dropout | dropout|random
- (16, 2, 24, 0.0, F.gelu
+ (16, 2, 24, 0.1, F.gelu
= norms after the sums in PyTorch | norm_first|norm
- batch_first=True, norm_first=True)
+ batch_first=True, norm_first=False)
= ReLU in PyTorch | relu|gelu|activation
- 0.0, F.gelu
+ 0.0, F.relu
= four heads in MLX | heads
- Encoder(2, 16, 2, mlp
+ Encoder(2, 16, 4, mlp
= epsilon of the norms in PyTorch | eps|number added
- F.gelu, batch
+ F.gelu, layer_norm_eps=1e-3, batch
"""

POOLED = """
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.t = mnn.Embedding(20, 16); s.p = mnn.Embedding(8, 16); s.n = mnn.LayerNorm(16)
        s.q, s.k, s.v, s.mix = (mnn.Linear(16, 16) for _ in range(4)); s.o = mnn.Linear(16, 5)
    def __call__(s, ids, real):
        x = s.n(s.t(ids) + s.p(mx.arange(8)))
        q, k, v = (mx.unflatten(f(x), -1, (2, -1)).swapaxes(1, 2) for f in (s.q, s.k, s.v))
        y = mx.fast.scaled_dot_product_attention(q, k, v, scale=8**-0.5, mask=real[:, None, None])
        x = x + mnn.gelu(s.mix(y.swapaxes(1, 2).flatten(2)))
        weights = real / real.sum(axis=1, keepdims=True)
        return s.o((x * weights[..., None].astype(x.dtype)).sum(axis=1))
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.t = tnn.Embedding(20, 16); s.p = tnn.Embedding(8, 16); s.n = tnn.LayerNorm(16)
        s.q, s.k, s.v, s.mix = (tnn.Linear(16, 16) for _ in range(4)); s.o = tnn.Linear(16, 5)
    def forward(s, ids, real):
        x = s.n(s.t(ids) + s.p.weight)
        q, k, v = (f(x).unflatten(-1, (2, -1)).transpose(1, 2) for f in (s.q, s.k, s.v))
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=real[:, None, None])
        x = x + F.gelu(s.mix(y.transpose(1, 2).flatten(2)))
        kept = real.unsqueeze(-1).to(x.dtype)
        return s.o((x * kept).sum(1) / kept.sum(1))
= no mask of scores in PyTorch | padd.*mask|mask.*(missing|ignored|none)
- q, k, v, attn_mask=real[:, None, None])
+ q, k, v)
= the mask of scores inverted in MLX | invert
- mask=real[:, None, None])
-         x = x + mnn
+ mask=~real[:, None, None])
+         x = x + mnn
= the mask of scores is added as ones in PyTorch | added|additive|number
- attn_mask=real[:, None, None]
+ attn_mask=real[:, None, None].to(x.dtype)
= padding hidden as queries in PyTorch | quer|axis|axes|mask
- attn_mask=real[:, None, None]
+ attn_mask=real[:, None, :, None] | torch.eye(8, dtype=torch.bool)
= mean over padding as well in PyTorch | padd|mean|mask|pool
- (x * kept).sum(1) / kept.sum(1)
+ x.mean(1)
= the sum over real positions in PyTorch | sum|mean|pool
- (x * kept).sum(1) / kept.sum(1)
+ (x * kept).sum(1)
= divided by the length with padding in PyTorch | mean|padd|length|pool|divid|count
- / kept.sum(1)
+ / kept.shape[1]
= the first position instead of the mean in MLX | first|mean|pool|position
- (x * weights[..., None].astype(x.dtype)).sum(axis=1)
+ x[:, 0]
= positions in the other order in PyTorch | position|order|flip|revers|round
- s.p.weight)
+ s.p.weight.flip(0))
= ReLU in PyTorch | relu|gelu
- F.gelu(s.mix
+ F.relu(s.mix
"""

CROSS = """
def mlx_attended(a, x, memory, mask):
    q, k, v = (mx.unflatten(f(z), -1, (2, -1)).swapaxes(1, 2) for f, z in zip(a, (x, memory, memory)))
    return mx.fast.scaled_dot_product_attention(q, k, v, scale=8**-0.5, mask=mask).swapaxes(1, 2).flatten(2)
def torch_attended(a, x, memory, mask):
    q, k, v = (f(z).unflatten(-1, (2, -1)).transpose(1, 2) for f, z in zip(a, (x, memory, memory)))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.source = mnn.Embedding(20, 16); s.target = mnn.Embedding(22, 16); s.n = mnn.LayerNorm(16)
        s.own = [mnn.Linear(16, 16) for _ in range(3)]; s.cross = [mnn.Linear(16, 16) for _ in range(3)]
        s.o = mnn.Linear(16, 22)
    def __call__(s, ids, real, known):
        memory, x = s.source(ids), s.target(known)
        x = s.n(x + mlx_attended(s.own, x, x, mx.tri(5, dtype=mx.bool_)))
        return s.o(x + mlx_attended(s.cross, x, memory, real[:, None, None]))
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.source = tnn.Embedding(20, 16); s.target = tnn.Embedding(22, 16); s.n = tnn.LayerNorm(16)
        s.own = tnn.ModuleList([tnn.Linear(16, 16) for _ in range(3)])
        s.cross = tnn.ModuleList([tnn.Linear(16, 16) for _ in range(3)])
        s.o = tnn.Linear(16, 22)
    def forward(s, ids, real, known):
        memory, x = s.source(ids), s.target(known)
        x = s.n(x + torch_attended(s.own, x, x, torch.ones(5, 5).tril().bool()))
        return s.o(x + torch_attended(s.cross, x, memory, real[:, None, None]))
def batch(rng, size):
    ids, y = rng.integers(0, 20, (size, 7), dtype="int32"), rng.integers(2, 22, (size, 5), dtype="int32")
    real = np.arange(7) < rng.integers(2, 8, (size, 1))
    return ids, real, np.concatenate([np.ones((size, 1), "int32"), y[:, :-1]], axis=1), y
def mlx_loss(m, ids, real, known, y):
    return mnn.losses.cross_entropy(m(ids, real, known), y, reduction="mean")
def torch_loss(m, ids, real, known, y): return F.cross_entropy(m(ids, real, known).flatten(0, 1), y.flatten())
= no padding mask in PyTorch | padd.*mask|mask.*(missing|ignored|none)
- torch_attended(s.cross, x, memory, real[:, None, None])
+ torch_attended(s.cross, x, memory, None)
= the padding mask inverted in PyTorch | invert
- torch_attended(s.cross, x, memory, real[:, None, None])
+ torch_attended(s.cross, x, memory, ~real[:, None, None] | real.all(1)[:, None, None, None])
= no causal mask in PyTorch | causal
- torch.ones(5, 5).tril().bool()
+ None
= the memory is masked causally in MLX | causal|mask
- mlx_attended(s.cross, x, memory, real[:, None, None])
+ mlx_attended(s.cross, x, memory, real[:, None, None] & mx.tri(5, 7, dtype=mx.bool_))
= attention to itself instead of the memory in MLX | memory|called|given|queries|keys|`source`
- mlx_attended(s.cross, x, memory, real[:, None, None])
+ mlx_attended(s.cross, x, x, real[:, None, None, :5])
= layers of both attentions exchanged in NAMES | names
- def batch(rng
+ NAMES = {"own": "cross", "cross": "own"}
+ def batch(rng
"""

DENSE_EXPERTS = """
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.t = mnn.Embedding(16, 12); s.gate = mnn.Linear(12, 4)
        s.e = mnn.Linear(12, 48); s.o = mnn.Linear(12, 16)
    def __call__(s, ids):
        x = s.t(ids)
        made = mnn.silu(s.e(x)).reshape(*x.shape[:2], 4, 12)
        return s.o((mx.softmax(s.gate(x), axis=-1)[..., None] * made).sum(axis=2))
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.t = tnn.Embedding(16, 12); s.gate = tnn.Linear(12, 4); s.o = tnn.Linear(12, 16)
        s.e = tnn.ModuleList([tnn.Linear(12, 12) for _ in range(4)])
    def forward(s, ids):
        x = s.t(ids)
        shares = s.gate(x).softmax(dim=-1).unbind(-1)
        return s.o(sum(share[..., None] * F.silu(e(x)) for share, e in zip(shares, s.e)))
NAMES = {tuple(f"e.{i}.{kind}" for i in range(4)): f"e.{kind}" for kind in ("weight", "bias")}
= experts in another order in NAMES | names|order|expert
- for i in range(4)): f
+ for i in (1, 0, 2, 3)): f
= shares over positions in PyTorch | softmax.*(axis|dim|position)
- softmax(dim=-1)
+ softmax(dim=1)
= shares by sigmoids in PyTorch | sigmoid|softmax
- s.gate(x).softmax(dim=-1)
+ s.gate(x).sigmoid()
= experts count the other way in PyTorch | order|expert|revers|flip
- zip(shares, s.e)
+ zip(shares, reversed(s.e))
"""

TWO_EXPERTS = """
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.t = mnn.Embedding(16, 12); s.gate = mnn.Linear(12, 4, bias=False); s.o = mnn.Linear(12, 16)
        s.e = [mnn.Linear(12, 12) for _ in range(4)]
    def __call__(s, ids):
        x = s.t(ids)
        scores = s.gate(x)
        best = mx.stop_gradient(mx.argpartition(-scores, 1, axis=-1)[..., :2])
        shares = mx.softmax(mx.take_along_axis(scores, best, axis=-1), axis=-1)
        made = mx.take_along_axis(mx.stack([mnn.gelu(e(x)) for e in s.e], axis=2), best[..., None], axis=2)
        return s.o((shares[..., None] * made).sum(axis=2))
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.t = tnn.Embedding(16, 12); s.gate = tnn.Linear(12, 4, bias=False); s.o = tnn.Linear(12, 16)
        s.e = tnn.ModuleList([tnn.Linear(12, 12) for _ in range(4)])
    def forward(s, ids):
        x = s.t(ids)
        scores, best = s.gate(x).topk(2, dim=-1)
        shares = torch.zeros_like(s.gate(x)).scatter(-1, best, scores.softmax(-1))
        return s.o(sum(shares[..., i, None] * F.gelu(e(x)) for i, e in enumerate(s.e)))
= only the best expert in PyTorch | top|expert|number of|\\bk\\b
- topk(2,
+ topk(1,
= shares of the best are not made to sum to one in MLX | normali|sum to|softmax
- shares = mx.softmax(mx.take_along_axis(scores, best, axis=-1), axis=-1)
+ shares = mx.take_along_axis(mx.softmax(scores, axis=-1), best, axis=-1)
= the worst experts in PyTorch | largest|smallest|worst|sign|order
- topk(2, dim=-1)
+ topk(2, dim=-1, largest=False)
= the graph is cut at the shares in PyTorch | detach|cut|stop_gradient|does not depend
- scores.softmax(-1))
+ scores.softmax(-1).detach())
"""

PAIRS = (
    pair("MultiHeadAttention with a padding mask", LAYER, PADDED),
    pair("TransformerEncoder", STACK, TOKENS),
    pair("encoder with the mean of real positions", POOLED, PADDED),
    pair("decoder that attends to padded memory", CROSS, TAIL),
    pair("four experts, each with its share", DENSE_EXPERTS, TOKENS),
    pair("the two best of four experts", TWO_EXPERTS, TOKENS),
)
