"""Language models: GPT-like with and without tied weights, checkpointed, GPT-2's layout, Llama-like, experts.

RMSNorm of Zhang and Sennrich 2019 (https://arxiv.org/abs/1910.07467), SwiGLU of Shazeer 2020
(https://arxiv.org/abs/2002.05202), experts of Shazeer et al. 2017 (https://arxiv.org/abs/1701.06538).
"""

from pair_corpus.fragments import pair
from pair_corpus.sequences.attention import LOSSES, TURNED

TEXTS = (
    LOSSES
    + """
def batch(rng, size):
    ids = rng.integers(0, 24, (size, 8), dtype="int32")
    return np.ascontiguousarray(ids[:, :-1]), np.ascontiguousarray(ids[:, 1:])
"""
)

HEADS = """
def mlx_attended(q, k, v):
    q, k, v = (z.reshape(*z.shape[:2], 2, -1).transpose(0, 2, 1, 3) for z in (q, k, v))
    y = mx.fast.scaled_dot_product_attention(q, k, v, scale=8**-0.5, mask="causal")
    return y.transpose(0, 2, 1, 3).flatten(2)
def torch_attended(q, k, v):
    q, k, v = (z.unflatten(-1, (2, -1)).transpose(1, 2) for z in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
"""

MODEL = (
    HEADS
    + """
class MlxBlock(mnn.Module):
    def __init__(s):
        super().__init__()
        s.n1 = mnn.LayerNorm(16, eps=1e-5); s.n2 = mnn.LayerNorm(16, eps=1e-5)
        s.qkv = mnn.Linear(16, 48, bias=False); s.o = mnn.Linear(16, 16)
        s.up = mnn.Linear(16, 32); s.down = mnn.Linear(32, 16)
    def __call__(s, x):
        x = x + s.o(mlx_attended(*mx.split(s.qkv(s.n1(x)), 3, axis=-1)))
        return x + s.down(mnn.gelu_approx(s.up(s.n2(x))))
class TorchBlock(tnn.Module):
    def __init__(s):
        super().__init__()
        s.n1 = tnn.LayerNorm(16, eps=1e-5); s.n2 = tnn.LayerNorm(16, eps=1e-5)
        s.qkv = tnn.Linear(16, 48, bias=False); s.o = tnn.Linear(16, 16)
        s.up = tnn.Linear(16, 32); s.down = tnn.Linear(32, 16)
    def forward(s, x):
        x = x + s.o(torch_attended(*s.qkv(s.n1(x)).chunk(3, dim=-1)))
        return x + s.down(F.gelu(s.up(s.n2(x)), approximate="tanh"))
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.t = mnn.Embedding(24, 16); s.p = mnn.Embedding(9, 16); s.blocks = [MlxBlock() for _ in range(2)]
        s.n = mnn.LayerNorm(16, eps=1e-5); s.head = mnn.Linear(16, 24, bias=False)
    def __call__(s, ids):
        x = s.t(ids) + s.p(mx.arange(ids.shape[1]))
        for block in s.blocks:
            x = block(x)
        return s.head(s.n(x))
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.t = tnn.Embedding(24, 16); s.p = tnn.Embedding(9, 16)
        s.blocks = tnn.ModuleList([TorchBlock() for _ in range(2)])
        s.n = tnn.LayerNorm(16, eps=1e-5); s.head = tnn.Linear(16, 24, bias=False)
    def forward(s, ids):
        x = s.t(ids) + s.p(torch.arange(ids.shape[1]))
        for layer in s.blocks:
            x = layer(x)
        return s.head(s.n(x))
"""
)

GPT = (
    MODEL
    + """
= norm after the sum in PyTorch | norm|`blocks.0.n1`
- x = x + s.o(torch_attended(*s.qkv(s.n1(x)).chunk(3, dim=-1)))
+ x = s.n1(x + s.o(torch_attended(*s.qkv(x).chunk(3, dim=-1))))
= the second residual is missing in MLX | residual|plus|sum
- return x + s.down(mnn.
+ return s.down(mnn.
= exact GELU in MLX | gelu
- mnn.gelu_approx
+ mnn.gelu
= no final norm in PyTorch | norm|`n`|called
- x = layer(x)
-         return s.head(s.n(x))
+ x = layer(x)
+         return s.head(x)
= a block called twice in PyTorch | called|twice|times
- x = layer(x)
+ x = layer(layer(x))
= a block left out in MLX | called|left out|times|skip|`blocks.0`, PyTorch the output of `blocks.1`
- block in s.blocks:
+ block in s.blocks[:1]:
= blocks in the other order in PyTorch | order|names|layers|called
- layer in s.blocks:
+ layer in reversed(s.blocks):
= positions from one in MLX | position|offset|from 1|arange
- mx.arange(ids.shape[1])
+ mx.arange(1, ids.shape[1] + 1)
= epsilon of the last norm in PyTorch | eps
- s.n = tnn.LayerNorm(16, eps=1e-5)
+ s.n = tnn.LayerNorm(16, eps=1e-2)
= no causal mask in PyTorch | causal
- q, k, v, is_causal=True
+ q, k, v
= queries, keys and values in another order in PyTorch | order|first|third|queries
- torch_attended(q, k, v):
+ torch_attended(k, v, q):
"""
)

TIED = (
    MODEL.replace("1e-5); s.head = mnn.Linear(16, 24, bias=False)", "1e-5)")
    .replace(
        "x = block(x)\n        return s.head(s.n(x))", "x = block(x)\n        return s.t.as_linear(s.n(x))"
    )
    .replace(
        "24, bias=False)\n    def forward",
        "24, bias=False)\n        s.head.weight = s.t.weight\n    def forward",
    )
)

ONE_WEIGHT = (
    TIED
    + """
= two weights in PyTorch, only one in MLX | tied|one weight|as_linear|shared|as one|missing in MLX
- s.head.weight = s.t.weight
+ s.head.weight.data = s.t.weight.detach().clone()
= two weights in MLX that start as one | tied|one weight|shared
- s.n = mnn.LayerNorm(16, eps=1e-5)
+ s.n = mnn.LayerNorm(16, eps=1e-5); s.head = mnn.Linear(16, 24, bias=False)
- s.t.as_linear(s.n(x))
+ s.head(s.n(x))
= logits scaled in MLX | times|scale
- s.t.as_linear(s.n(x))
+ s.t.as_linear(s.n(x)) / 4
"""
)

SCALED = (
    TIED.replace("x = s.t(ids) +", "x = 4.0 * s.t(ids) +")
    + """
NAMES = {"head": "t"}
= tokens not scaled in MLX | scale|times
- 4.0 * s.t(ids) + s.p(mx
+ s.t(ids) + s.p(mx
= tokens scaled by the width in PyTorch | scale|times
- 4.0 * s.t(ids) + s.p(torch
+ 16.0 * s.t(ids) + s.p(torch
= positions scaled as well in PyTorch | scale|times
- 4.0 * s.t(ids) + s.p(torch.arange(ids.shape[1]))
+ 4.0 * (s.t(ids) + s.p(torch.arange(ids.shape[1])))
"""
)

CHECKPOINTED = (
    MODEL.replace("x = block(x)", "x = mnn.utils.checkpoint(block)(x)").replace(
        "x = layer(x)", "x = torch.utils.checkpoint.checkpoint(layer, x, use_reentrant=False)"
    )
    + """
= the graph is cut before the blocks in PyTorch | detach|cut|stop_gradient|does not depend
- (layer, x, use
+ (layer, x.detach(), use
= tokens frozen in MLX only | frozen|freez
- def mlx_model(): return M()
+ def mlx_model(): m = M(); m.t.freeze(); return m
"""
)

GPT2 = (
    HEADS
    + """
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.wte = mnn.Embedding(24, 16); s.c_attn = mnn.Linear(16, 48); s.c_proj = mnn.Linear(16, 16)
        s.ln_f = mnn.LayerNorm(16)
    def __call__(s, ids):
        x = s.wte(ids)
        x = x + s.c_proj(mlx_attended(*mx.split(s.c_attn(x), 3, axis=-1)))
        return s.wte.as_linear(s.ln_f(x))
class Conv1D(tnn.Module):  # GPT-2's, a linear layer that keeps (in, out)
    def __init__(s, inside, out):
        super().__init__()
        s.weight = tnn.Parameter(0.2 * torch.randn(inside, out))
        s.bias = tnn.Parameter(0.1 * torch.randn(out))
    def forward(s, x): return x @ s.weight + s.bias
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.wte = tnn.Embedding(24, 16); s.c_attn = Conv1D(16, 48); s.c_proj = Conv1D(16, 16)
        s.ln_f = tnn.LayerNorm(16)
    def forward(s, ids):
        x = s.wte(ids)
        x = x + s.c_proj(torch_attended(*s.c_attn(x).chunk(3, dim=-1)))
        return s.ln_f(x) @ s.wte.weight.T
NAMES = {"c_attn.weight": ("c_attn.weight", (1, 0)), "c_proj.weight": ("c_proj.weight", (1, 0))}
= a square weight not transposed in NAMES | transpos|names|layout
- , "c_proj.weight": ("c_proj.weight", (1, 0))}
+ }
= a weight not transposed in NAMES, its shapes part | transpos|names|layout|axes
- "c_attn.weight": ("c_attn.weight", (1, 0)), "c
+ "c
"""
)

LLAMA = (
    HEADS
    + TURNED
    + """
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.t = mnn.Embedding(24, 16); s.n1 = mnn.RMSNorm(16, eps=1e-5); s.n2 = mnn.RMSNorm(16, eps=1e-5)
        s.q, s.k, s.v, s.o = (mnn.Linear(16, 16, bias=False) for _ in range(4)); s.turn = mnn.RoPE(16)
        s.gate = mnn.Linear(16, 24, bias=False); s.up = mnn.Linear(16, 24, bias=False)
        s.down = mnn.Linear(24, 16, bias=False); s.head = mnn.Linear(16, 24, bias=False)
    def __call__(s, ids):
        x = s.t(ids)
        y = s.n1(x)
        x = x + s.o(mlx_attended(s.turn(s.q(y)), s.turn(s.k(y)), s.v(y)))
        y = s.n2(x)
        return s.head(x + s.down(mnn.silu(s.gate(y)) * s.up(y)))
class Norm(tnn.Module):
    def __init__(s):
        super().__init__(); s.weight = tnn.Parameter(torch.ones(16))
    def forward(s, x): return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * s.weight
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.t = tnn.Embedding(24, 16); s.n1, s.n2 = Norm(), Norm()
        s.q, s.k, s.v, s.o = (tnn.Linear(16, 16, bias=False) for _ in range(4))
        s.gate = tnn.Linear(16, 24, bias=False); s.up = tnn.Linear(16, 24, bias=False)
        s.down = tnn.Linear(24, 16, bias=False); s.head = tnn.Linear(16, 24, bias=False)
        tnn.init.normal_(s.t.weight, std=0.02)
    def forward(s, ids):
        x = s.t(ids)
        y = s.n1(x)
        x = x + s.o(torch_attended(turned(s.q(y)), turned(s.k(y)), s.v(y)))
        y = s.n2(x)
        return s.head(x + s.down(F.silu(s.gate(y)) * s.up(y)))
= epsilon of the norms in PyTorch | eps|number added
- keepdim=True) + 1e-5)
+ keepdim=True) + 1e-6)
= epsilon outside of the root in PyTorch | eps|root
- x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5)
+ x / (x.pow(2).mean(-1, keepdim=True).sqrt() + 1e-5)
= the norm takes the mean off in PyTorch | mean|layer ?norm|variance
- x.pow(2).mean(-1, keepdim=True)
+ x.var(-1, keepdim=True, correction=0)
= the other half is gated in PyTorch | gate|exchang|order|silu|swap
- F.silu(s.gate(y)) * s.up(y)
+ s.gate(y) * F.silu(s.up(y))
= GELU gates in MLX | gelu|silu
- mnn.silu(
+ mnn.gelu(
= the norm's weight counts from one in MLX | weight|plus 1|times
- y = s.n2(x)
-         return s.head(x + s.down(mnn
+ y = s.n2(x) * (1 + s.n2.weight)
+         return s.head(x + s.down(mnn
= no norm before the gate in PyTorch | norm|`n2`|called
- y = s.n2(x)
-         return s.head(x + s.down(F
+ y = x
+         return s.head(x + s.down(F
= only half of the width is turned in MLX | dims|width|rope|rotat
- mnn.RoPE(16)
+ mnn.RoPE(8)
"""
)

PAIRS = (
    pair("GPT with a head of its own", GPT, TEXTS),
    pair("GPT whose head is the table, no entry in NAMES", ONE_WEIGHT, TEXTS),
    pair("GPT whose head is the table in NAMES, scaled tokens", SCALED, TEXTS),
    pair("GPT with checkpointed gradients", CHECKPOINTED, TEXTS),
    pair("GPT-2's transposed linear layers", GPT2, TEXTS),
    pair("Llama-like block", LLAMA, TEXTS),
)
