"""Attention: by hand, fused, rectangular, grouped, with rotated positions and with distances.

Vaswani et al. 2017 (https://arxiv.org/abs/1706.03762), rotary positions of Su et al. 2021
(https://arxiv.org/abs/2104.09864), distances of Press et al. 2021 (https://arxiv.org/abs/2108.12409).
"""

from pair_corpus.fragments import pair
from pair_corpus.sequences.recurrent_layers import TAIL

LOSSES = (
    TAIL
    + """
def mlx_loss(m, x, y): return mnn.losses.cross_entropy(m(x), y, reduction="mean")
def torch_loss(m, x, y): return F.cross_entropy(m(x).flatten(0, 1), y.flatten())
"""
)

TOKENS = (
    LOSSES
    + """
def batch(rng, size): return tuple(rng.integers(0, 16, (size, 6), dtype="int32") for _ in range(2))
"""
)

LAYERS = """
C, H = 16, 2
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.t = mnn.Embedding(16, C); s.q, s.k, s.v, s.o = (mnn.Linear(C, C) for _ in range(4))
    def __call__(s, ids):
        x = s.t(ids)
        B, L, _ = x.shape
        q, k, v = (f(x).reshape(B, L, H, -1).transpose(0, 2, 1, 3) for f in (s.q, s.k, s.v))
        y = MLX_ATTENTION
        return s.o(y.transpose(0, 2, 1, 3).reshape(B, -1, C))
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.t = tnn.Embedding(16, C); s.q, s.k, s.v, s.o = (tnn.Linear(C, C) for _ in range(4))
    def forward(s, ids):
        x = s.t(ids)
        B, L, _ = x.shape
        q, k, v = (f(x).view(B, L, H, -1).transpose(1, 2) for f in (s.q, s.k, s.v))
        y = TORCH_ATTENTION
        return s.o(y.transpose(1, 2).flatten(2))
"""


def attending(mlx: str, torch: str, layers: str = LAYERS) -> str:
    """A network of one attention, computed by these two expressions of q, k and v."""
    return layers.replace("MLX_ATTENTION", mlx).replace("TORCH_ATTENTION", torch)


BY_HAND = (
    attending(
        """mx.where(mx.tri(L, dtype=mx.bool_), q @ k.swapaxes(-1, -2) / math.sqrt(C / H), -1e9)
        y = mx.softmax(y, axis=-1) @ v""",
        "(q @ k.mT * (C // H) ** -0.5).masked_fill(s.later(L), -torch.inf).softmax(dim=-1) @ v",
    )
    + """
    def later(s, L): return torch.ones(L, L, dtype=torch.bool).triu(diagonal=1)
= softmax over the queries | softmax.*(axis|dim|quer)
- softmax(dim=-1)
+ softmax(dim=-2)
= scores not scaled in PyTorch | scale
- q @ k.mT * (C // H) ** -0.5
+ q @ k.mT
= scale of the whole width | scale|root of 16
- (C // H) ** -0.5
+ C ** -0.5
= scale of a third | scale|root of 8
- (C // H) ** -0.5
+ 1 / 3
= no causal mask in PyTorch | causal
- .masked_fill(s.later(L), -torch.inf)
+
= a causal mask that shows the next token | causal|diagonal
- triu(diagonal=1)
+ triu(diagonal=2)
= the past is hidden | causal|invert|transpos|exchang
- triu(diagonal=1)
+ tril(diagonal=-1)
= the mask is added as ones | added|additive|number
- ** -0.5).masked_fill(s.later(L), -torch.inf)
+ ** -0.5 + ~s.later(L))
= queries and keys exchanged in PyTorch | (quer|keys|\\bq\\b).*(exchang|swap|are)|exchang|swap|transpos
- q @ k.mT
+ k @ q.mT
= heads are the inner axis in PyTorch | heads|split
- view(B, L, H, -1).transpose(1, 2) for
+ view(B, L, -1, H).permute(0, 3, 1, 2) for
= heads are not moved back | heads|merged|transpos|order
- y.transpose(1, 2).flatten(2)
+ y.reshape(B, L, C)
= a residual in MLX only | residual|plus|added
- s.o(y.transpose(0, 2, 1, 3).reshape(B, -1, C))
+ x + s.o(y.transpose(0, 2, 1, 3).reshape(B, -1, C))
= keys through the layer of values in PyTorch | (keys|values|layer|\\bv\\b)
- transpose(1, 2) for f in (s.q, s.k, s.v)
+ transpose(1, 2) for f in (s.q, s.v, s.v)
"""
)

LAST_QUERIES = (
    attending(
        'mx.fast.scaled_dot_product_attention(q[:, :, -3:], k, v, scale=(C / H) ** -0.5, mask="causal")',
        "F.scaled_dot_product_attention(q[:, :, -3:], k, v, attn_mask=torch.ones(3, L).tril(L - 3).bool())",
    )
    + """
def batch(rng, size):
    return tuple(rng.integers(0, 16, (size, length), dtype="int32") for length in (7, 3))
= the causal mask starts at the other corner in PyTorch | causal|corner|align|upper|top.?left
- attn_mask=torch.ones(3, L).tril(L - 3).bool()
+ is_causal=True
= no mask in MLX | causal|mask.*(missing|ignored|none)
- , mask="causal"
+
= the first queries in PyTorch | quer|position|first|taken
- attention(q[:, :, -3:], k, v, attn
+ attention(q[:, :, :3], k, v, attn
= dropout of attention in PyTorch | dropout|random
- L - 3).bool()
+ L - 3).bool(), dropout_p=0.1
= keys and values exchanged in PyTorch | (keys|values).*|exchang|swap
- attention(q[:, :, -3:], k, v, attn
+ attention(q[:, :, -3:], v, k, attn
"""
)

TURNED = """def turned(x, base=10000.0, scale=1.0, start=0):
    length, width = x.shape[-2:]
    frequencies = base ** (-torch.arange(0, width, 2, dtype=x.dtype) / width)
    angles = torch.outer(scale * torch.arange(start, start + length, dtype=x.dtype), frequencies)
    cos, sin = angles.cos(), angles.sin()
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
"""

GROUPED = (
    """
C, H, D = 16, 4, 4  # two heads of keys and values
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.t = mnn.Embedding(16, C); s.q = mnn.Linear(C, C); s.k = mnn.Linear(C, 2 * D, bias=False)
        s.v = mnn.Linear(C, 2 * D); s.o = mnn.Linear(C, C); s.turn = mnn.RoPE(D, traditional=False)
    def __call__(s, ids):
        x = s.t(ids)
        B, L, _ = x.shape
        q, k, v = (f(x).reshape(B, L, -1, D).transpose(0, 2, 1, 3) for f in (s.q, s.k, s.v))
        q, k = s.turn(q), s.turn(k)
        y = mx.fast.scaled_dot_product_attention(q, k, v, scale=D**-0.5, mask="causal")
        return s.o(y.transpose(0, 2, 1, 3).reshape(B, L, C))
"""
    + TURNED
    + """class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.t = tnn.Embedding(16, C); s.q = tnn.Linear(C, C); s.k = tnn.Linear(C, 2 * D, bias=False)
        s.v = tnn.Linear(C, 2 * D); s.o = tnn.Linear(C, C)
    def forward(s, ids):
        x = s.t(ids)
        B, L, _ = x.shape
        q, k, v = (f(x).view(B, L, -1, D).transpose(1, 2) for f in (s.q, s.k, s.v))
        q, k = turned(q), turned(k)
        k, v = (z.repeat_interleave(2, dim=1) for z in (k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return s.o(y.transpose(1, 2).flatten(2))
= groups of heads in turns in PyTorch | group|repeat|heads|order
- z.repeat_interleave(2, dim=1)
+ z.repeat(1, 2, 1, 1)
= neighbours are turned in MLX | traditional|rope|rotary|pairs|neighbour
- traditional=False
+ traditional=True
= another base in PyTorch | base
- base=10000.0
+ base=1000.0
= positions scaled in MLX | scale|multipl
- traditional=False
+ scale=0.5
= only queries are turned in PyTorch | keys|only|queries|called
- turned(q), turned(k)
+ turned(q), k
= keys are turned one position further in MLX | offset|position
- s.turn(q), s.turn(k)
+ s.turn(q), s.turn(k, offset=1)
= turned the other way in PyTorch, queries only | sign|direction|other way|invers|rotat|queries|multipl
- turned(q), turned(k)
+ turned(q, scale=-1.0), turned(k)
"""
)

PACKED = """
C, H = 16, 2
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.t = mnn.Embedding(16, C); s.q, s.k, s.v, s.o = (mnn.Linear(C, C) for _ in range(4))
    def __call__(s, ids):
        x = s.t(ids)
        B, L, _ = x.shape
        q, k, v = (f(x).reshape(B, L, H, -1).transpose(0, 2, 1, 3) for f in (s.q, s.k, s.v))
        q, k = (mx.fast.rope(z, 8, traditional=True, base=1000.0, scale=1.0, offset=0) for z in (q, k))
        y = mx.fast.scaled_dot_product_attention(q, k, v, scale=8**-0.5)
        return s.o(y.transpose(0, 2, 1, 3).reshape(B, L, C))
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.t = tnn.Embedding(16, C); s.qkv = tnn.Linear(C, 3 * C); s.o = tnn.Linear(C, C)
    def turned(s, x):
        frequencies = 1000.0 ** (-torch.arange(0, 8, 2, dtype=x.dtype) / 8)
        angles = torch.outer(torch.arange(x.shape[-2], dtype=x.dtype), frequencies)
        z = torch.view_as_complex(x.unflatten(-1, (4, 2)).contiguous())
        return torch.view_as_real(z * torch.polar(torch.ones_like(angles), angles)).flatten(-2)
    def forward(s, ids):
        B, L = ids.shape
        q, k, v = s.qkv(s.t(ids)).view(B, L, 3, H, 8).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(s.turned(q), s.turned(k), v)
        return s.o(y.transpose(1, 2).flatten(2))
NAMES = {"qkv.weight": ["q.weight", "k.weight", "v.weight"], "qkv.bias": ["q.bias", "k.bias", "v.bias"]}
= halves are turned in MLX | traditional|rope|rotary|pairs|halves
- traditional=True
+ traditional=False
= another base in MLX | base
- base=1000.0
+ base=10000.0
= queries and keys crossed in NAMES | names|order
- ["q.weight", "k.weight", "v.weight"]
+ ["k.weight", "q.weight", "v.weight"]
- ["q.bias", "k.bias", "v.bias"]
+ ["k.bias", "q.bias", "v.bias"]
= packed by heads first in PyTorch | order|heads|split|packed|axes
- view(B, L, 3, H, 8).permute(2, 0, 3, 1, 4)
+ view(B, L, H, 3, 8).permute(3, 0, 2, 1, 4)
= values are turned as well in PyTorch | values|rotated
- s.turned(k), v)
+ s.turned(k), s.turned(v))
"""

DISTANCES = (
    attending(
        "mx.softmax(mnn.ALiBi()(q @ k.swapaxes(-1, -2) / math.sqrt(C / H)), axis=-1) @ v",
        "torch.softmax(q @ k.mT / math.sqrt(C / H) + s.bias(L, q.dtype), dim=-1) @ v",
        LAYERS.replace("C, H = 16, 2", "C, H = 16, 4"),
    )
    + """
    def bias(s, L, dtype):
        slopes = 2.0 ** (-8 / H * torch.arange(1, H + 1, dtype=dtype))
        places = torch.arange(L, dtype=dtype)
        return -slopes[:, None, None] * (places[:, None] - places).abs()
= slopes start at one in PyTorch | slope|alibi|arange
- torch.arange(1, H + 1, dtype=dtype)
+ torch.arange(H, dtype=dtype)
= distances with their sign in PyTorch | distance|abs|sign|alibi
- (places[:, None] - places).abs()
+ (places[:, None] - places)
= distances add to scores in PyTorch | sign|minus|slope|alibi|bias
- return -slopes
+ return slopes
= slopes of heads in the other order in PyTorch | slope|heads|order|alibi
- torch.arange(1, H + 1, dtype=dtype)
+ torch.arange(H, 0, -1, dtype=dtype)
"""
)

PAIRS = (
    pair("causal attention by hand", BY_HAND, TOKENS),
    pair("fused attention of the last queries", LAST_QUERIES, LOSSES),
    pair("grouped queries, halves turned by position", GROUPED, TOKENS),
    pair("packed projections, neighbours turned by position", PACKED, TOKENS),
    pair("attention with distances", DISTANCES, TOKENS),
)
