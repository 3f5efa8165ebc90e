"""Small models of text and sound in plain mlx.nn."""

from collections.abc import Callable

import mlx.core as mx

from mlx_coreml.coverage.cases.case import Draw, integers, normal

import mlx.nn as nn  # isort: skip

TEXT = {"tokens": integers(1, 50, 2, 12)}


class Bert(nn.Module):
    """Devlin et al. 2018: sums of three embeddings, post-norm blocks, padding masked, a pooled token."""

    def __init__(self, dims: int = 32, heads: int = 4):
        super().__init__()
        self.words, self.places = nn.Embedding(50, dims), nn.Embedding(16, dims)
        self.kinds = nn.Embedding(2, dims)
        self.norm = nn.LayerNorm(dims, eps=1e-12)
        self.layers = [
            nn.TransformerEncoderLayer(dims, heads, 64, activation=nn.gelu, norm_first=False)
            for _ in range(2)
        ]
        self.pool, self.head = nn.Linear(dims, dims), nn.Linear(dims, 2)

    def __call__(self, tokens, kinds, mask):
        T = tokens.shape[1]
        x = self.norm(self.words(tokens) + self.places(mx.arange(T)) + self.kinds(kinds))
        mask = mx.where(mask[:, None, None, :] > 0, 0.0, -1e9)  # (B, T) -> (B, 1, 1, T)
        for layer in self.layers:
            x = layer(x, mask)
        return self.head(mx.tanh(self.pool(x[:, 0])))


class Attention(nn.Module):
    """Causal attention with rotary places and fewer heads of keys than of queries."""

    def __init__(self, dims: int, heads: int, groups: int):
        super().__init__()
        self.heads, self.groups, self.size = heads, groups, dims // heads
        self.q, self.k = nn.Linear(dims, dims, bias=False), nn.Linear(dims, groups * self.size, bias=False)
        self.v, self.o = nn.Linear(dims, groups * self.size, bias=False), nn.Linear(dims, dims, bias=False)
        self.rope = nn.RoPE(self.size, base=500.0)

    def __call__(self, x):
        B, T, _ = x.shape
        q = self.rope(self.q(x).reshape(B, T, self.heads, -1).transpose(0, 2, 1, 3))
        k = self.rope(self.k(x).reshape(B, T, self.groups, -1).transpose(0, 2, 1, 3))
        v = self.v(x).reshape(B, T, self.groups, -1).transpose(0, 2, 1, 3)
        x = mx.fast.scaled_dot_product_attention(q, k, v, scale=self.size**-0.5, mask="causal")
        return self.o(x.transpose(0, 2, 1, 3).reshape(B, T, -1))


class Experts(nn.Module):
    """Shazeer et al. 2017: each token through two of four networks, all computed and weighted."""

    def __init__(self, dims: int):
        super().__init__()
        self.router = nn.Linear(dims, 4, bias=False)
        self.experts = [nn.Sequential(nn.Linear(dims, 32), nn.SiLU(), nn.Linear(32, dims)) for _ in range(4)]

    def __call__(self, x):
        scores = mx.softmax(self.router(x), axis=-1)
        least = mx.topk(scores, 2, axis=-1).min(axis=-1, keepdims=True)
        scores = mx.where(scores >= least, scores, 0.0)
        scores = scores / scores.sum(axis=-1, keepdims=True)
        return sum(scores[..., i : i + 1] * expert(x) for i, expert in enumerate(self.experts))


class Gated(nn.Module):
    """Shazeer 2020: SwiGLU."""

    def __init__(self, dims: int, inner: int):
        super().__init__()
        self.gate, self.up = nn.Linear(dims, inner, bias=False), nn.Linear(dims, inner, bias=False)
        self.down = nn.Linear(inner, dims, bias=False)

    def __call__(self, x):
        return self.down(nn.silu(self.gate(x)) * self.up(x))


class Llama(nn.Module):
    """Touvron et al. 2023, or with `experts` a mixture of them in place of the gated layer."""

    def __init__(self, dims: int = 64, layers: int = 2, experts: bool = False):
        super().__init__()
        self.words = nn.Embedding(64, dims)
        self.attention = [Attention(dims, 4, 2) for _ in range(layers)]
        self.inner = [Experts(dims) if experts else Gated(dims, 128) for _ in range(layers)]
        self.norms = [nn.RMSNorm(dims) for _ in range(2 * layers + 1)]
        self.head = nn.Linear(dims, 64, bias=False)

    def __call__(self, tokens):
        x = self.words(tokens)
        for i, (attention, inner) in enumerate(zip(self.attention, self.inner, strict=True)):
            x = x + attention(self.norms[2 * i](x))
            x = x + inner(self.norms[2 * i + 1](x))
        return self.head(self.norms[-1](x))


def quantized(bits: int, group: int) -> nn.Module:
    """The Llama with linear layers and embedding in whole numbers of a few bits."""
    model = Llama(dims=128)
    nn.quantize(model, group_size=group, bits=bits)
    return model


class Gpt(nn.Module):
    """Radford et al. 2019: learned places, MLX's own layers, a mask made as the model runs, the head tied."""

    def __init__(self, dims: int = 32):
        super().__init__()
        self.words, self.places = nn.Embedding(50, dims), nn.Embedding(32, dims)
        self.body = nn.TransformerEncoder(2, dims, 4, activation=nn.gelu_approx)

    def __call__(self, tokens):
        T = tokens.shape[1]
        x = self.words(tokens) + self.places(mx.arange(T))
        x = self.body(x, nn.MultiHeadAttention.create_additive_causal_mask(T))
        return self.words.as_linear(x)


class TextCnn(nn.Module):
    """Kim 2014: windows of three widths, the largest of each over time."""

    def __init__(self, dims: int = 16):
        super().__init__()
        self.words = nn.Embedding(50, dims)
        self.windows = [nn.Conv1d(dims, 8, width) for width in (2, 3, 4)]
        self.head = nn.Linear(24, 3)

    def __call__(self, tokens):
        x = self.words(tokens)
        found = [nn.relu(window(x)).max(axis=1) for window in self.windows]
        return nn.log_softmax(self.head(mx.concatenate(found, axis=-1)))


class Recurrent(nn.Module):
    """The last state of a recurrent layer, in two directions, classifies a text."""

    def __init__(self, kind: Callable[[int, int], nn.Module], dims: int = 16):
        super().__init__()
        self.words = nn.Embedding(50, dims)
        self.ahead, self.back = kind(dims, dims), kind(dims, dims)
        self.head = nn.Linear(2 * dims, 3)

    def __call__(self, tokens):
        x = self.words(tokens)
        ahead, back = self.ahead(x), self.back(x[:, ::-1])
        if isinstance(ahead, tuple):  # an LSTM returns its cells too
            ahead, back = ahead[0], back[0]
        return self.head(mx.concatenate([ahead[:, -1], back[:, -1]], axis=-1))


class Tcn(nn.Module):
    """Bai et al. 2018: dilated convolutions that see the past only."""

    def __init__(self, dims: int = 8):
        super().__init__()
        self.layers = [nn.Conv1d(dims, dims, 3, dilation=2**i) for i in range(3)]
        self.head = nn.Linear(dims, 2)

    def __call__(self, x):
        for i, layer in enumerate(self.layers):
            x = x + nn.relu(layer(mx.pad(x, ((0, 0), (2 * 2**i, 0), (0, 0)))))
        return self.head(x)


class WhisperEncoder(nn.Module):
    """Radford et al. 2022: two convolutions over a spectrogram, sinusoids, transformer blocks."""

    def __init__(self, dims: int = 32):
        super().__init__()
        self.conv1 = nn.Conv1d(16, dims, 3, padding=1)
        self.conv2 = nn.Conv1d(dims, dims, 3, stride=2, padding=1)
        self.layers = [nn.TransformerEncoderLayer(dims, 4, 64, activation=nn.gelu) for _ in range(2)]
        self.norm = nn.LayerNorm(dims)

    def __call__(self, mel):
        x = nn.gelu(self.conv2(nn.gelu(self.conv1(mel))))
        rate = mx.exp(-mx.log(mx.array(10000.0)) * mx.arange(16) / 15)
        angle = mx.arange(x.shape[1])[:, None] * rate[None]
        x = x + mx.concatenate([mx.sin(angle), mx.cos(angle)], axis=1)
        for layer in self.layers:
            x = layer(x, None)
        return self.norm(x)


class Translator(nn.Module):
    """Vaswani et al. 2017: MLX's own transformer between two embeddings."""

    def __init__(self, dims: int = 32):
        super().__init__()
        self.source, self.target = nn.Embedding(50, dims), nn.Embedding(50, dims)
        self.places = nn.SinusoidalPositionalEncoding(dims)
        self.body = nn.Transformer(dims, 4, 1, 1, mlp_dims=64)
        self.head = nn.Linear(dims, 50)

    def __call__(self, source, target):
        a, b = (table(ids) + self.places(mx.arange(ids.shape[1])) for table, ids in
                ((self.source, source), (self.target, target)))  # fmt: skip
        mask = nn.MultiHeadAttention.create_additive_causal_mask(target.shape[1])
        return self.head(self.body(a, b, None, mask, None))


class Decoder(nn.Module):
    """One step of generation: a token, a cache of keys and values, and where to write into it."""

    def __init__(self, dims: int = 32, length: int = 8):
        super().__init__()
        self.words = nn.Embedding(50, dims)
        self.qkv, self.out, self.head = nn.Linear(dims, 3 * dims), nn.Linear(dims, dims), nn.Linear(dims, 50)

    def __call__(self, token, keys, values, place):
        q, k, v = mx.split(self.qkv(self.words(token)), 3, axis=-1)  # 3 times (B, 1, C)
        keys = mx.slice_update(keys, k, place, (1,))
        values = mx.slice_update(values, v, place, (1,))
        seen = mx.arange(keys.shape[1]) <= place
        scores = mx.where(seen, q @ keys.swapaxes(1, 2) * keys.shape[2] ** -0.5, -1e9)
        x = mx.softmax(scores, axis=-1) @ values
        return {"logits": self.head(self.out(x)), "keys": keys, "values": values}


MODELS: list[tuple[str, Callable, dict[str, Draw]]] = [
    ("bert", Bert, {**TEXT, "kinds": integers(0, 2, 2, 12), "mask": integers(0, 2, 2, 12)}),
    ("gpt", Gpt, TEXT),
    ("llama", Llama, TEXT),
    ("llama, 4 bits in groups of 64", lambda: quantized(4, 64), TEXT),
    ("llama, 4 bits in groups of 32", lambda: quantized(4, 32), TEXT),
    ("llama, 8 bits in groups of 128", lambda: quantized(8, 128), TEXT),
    ("mixture of experts", lambda: Llama(dims=32, experts=True), TEXT),
    ("text cnn", TextCnn, TEXT),
    ("lstm classifier", lambda: Recurrent(nn.LSTM), TEXT),
    ("gru classifier", lambda: Recurrent(nn.GRU), TEXT),
    ("rnn classifier", lambda: Recurrent(nn.RNN), TEXT),
    ("tcn", Tcn, {"x": normal(2, 20, 8)}),
    ("whisper encoder", WhisperEncoder, {"mel": normal(1, 40, 16)}),
    ("translator", Translator, {"source": integers(0, 50, 1, 7), "target": integers(0, 50, 1, 5)}),
    (
        "decoder step with a cache",
        Decoder,
        {
            "token": integers(0, 50, 1, 1),
            "keys": normal(1, 8, 32),
            "values": normal(1, 8, 32),
            "place": integers(0, 8, 1),
        },
    ),
]
