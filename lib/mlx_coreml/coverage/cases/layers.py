"""Layers of mlx.nn: every class, in the configurations that change what is captured.

https://ml-explore.github.io/mlx/build/html/python/nn/layers.html
"""

from collections.abc import Iterator, Mapping

import mlx.core as mx

from mlx_coreml.coverage.cases import activations
from mlx_coreml.coverage.cases.case import Case, Draw, booleans, integers, normal, texts

LINE, IMAGE, VOLUME = normal(2, 12, 4), normal(2, 9, 12, 4), normal(1, 6, 8, 5, 4)
SEQUENCE, MASK = normal(2, 6, 16), normal(6, 6)

TABLES: list[tuple[Mapping[str, Draw], str]] = [
    ({"x": normal(2, 5, 8)}, """
        nn.Linear(8, 8)
        nn.Linear(8, 8, bias=False)
        nn.Linear(8, 3)
        nn.Linear(8, 16, bias=False)
        nn.Identity()
        nn.Dropout(0.5)
        nn.Dropout2d(0.3)
        nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2))
        nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.GELU(), nn.Dropout(0.1), nn.Linear(8, 4))
        nn.AllToShardedLinear(8, 4)
        nn.AllToShardedLinear(8, 4, bias=False)
        nn.ShardedToAllLinear(8, 4)
        nn.ShardedToAllLinear(8, 4, bias=False)
        nn.LayerNorm(8)
        nn.LayerNorm(8, eps=1e-3, affine=False)
        nn.LayerNorm(8, bias=False)
        nn.RMSNorm(8)
        nn.RMSNorm(8, eps=1e-3)
        nn.InstanceNorm(8)
        nn.InstanceNorm(8, affine=True)
        nn.GroupNorm(2, 8)
        nn.GroupNorm(4, 8, affine=False)
        nn.GroupNorm(2, 8, pytorch_compatible=True)
        nn.GroupNorm(8, 8, pytorch_compatible=True)
        nn.GroupNorm(1, 8)
        nn.BatchNorm(8)
        nn.BatchNorm(8, affine=False)
        nn.BatchNorm(8, eps=1e-2, momentum=0.5)
        nn.BatchNorm(8, track_running_stats=False)
    """),
    ({"x": normal(8)}, """
        nn.Linear(8, 8)
        nn.Linear(8, 1)
        nn.Linear(8, 3, bias=False)
        nn.RMSNorm(8)
        nn.LayerNorm(8)
    """),
    ({"x": normal(8, 8)}, """
        nn.Linear(8, 8)
        nn.Linear(8, 8, bias=False)
        nn.BatchNorm(8)
        nn.LayerNorm(8)
    """),
    ({"x": normal(1, 2, 3, 5, 8)}, """
        nn.Linear(8, 3)
        nn.LayerNorm(8)
        nn.RMSNorm(8)
        nn.Dropout3d(0.5)
    """),
    ({"x": normal(2, 5, 8, dtype=mx.float16)}, """
        nn.Linear(8, 3)
        nn.LayerNorm(8)
        nn.RMSNorm(8)
    """),
    ({"x": IMAGE}, """
        nn.BatchNorm(4)
        nn.InstanceNorm(4)
        nn.InstanceNorm(4, affine=True)
        nn.GroupNorm(2, 4)
        nn.GroupNorm(2, 4, pytorch_compatible=True)
        nn.LayerNorm(4)
        nn.Dropout2d(0.5)
        nn.Linear(4, 7)
        nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.BatchNorm(6), nn.ReLU())
        nn.Sequential(nn.Conv2d(4, 6, 3, bias=False), nn.BatchNorm(6), nn.ReLU6(), nn.MaxPool2d(2))
        nn.Sequential(nn.BatchNorm(4), nn.ReLU(), nn.Conv2d(4, 6, 1))
        nn.Sequential(nn.ConvTranspose2d(4, 6, 2, stride=2), nn.BatchNorm(6), nn.SiLU())
    """),
    ({"x": VOLUME}, """
        nn.GroupNorm(2, 4, pytorch_compatible=True)
        nn.InstanceNorm(4)
    """),
    ({"x": LINE}, """
        nn.Conv1d(4, 6, 3)
        nn.Conv1d(4, 6, 3, bias=False)
        nn.Conv1d(4, 4, 3, stride=2, padding=1)
        nn.Conv1d(4, 8, 3, dilation=2, padding=2)
        nn.Conv1d(4, 8, 2, groups=2)
        nn.Conv1d(4, 4, 5, padding=2, groups=4, bias=False)
        nn.Conv1d(4, 3, 1)
        nn.Conv1d(4, 3, 12)
        nn.ConvTranspose1d(4, 6, 3)
        nn.ConvTranspose1d(4, 6, 4, stride=2, padding=1)
        nn.ConvTranspose1d(4, 6, 3, stride=2, padding=1, output_padding=1)
        nn.ConvTranspose1d(4, 6, 3, dilation=2, bias=False)
        nn.ConvTranspose1d(4, 6, 3, stride=3, padding=2, dilation=2)
        nn.AvgPool1d(2)
        nn.AvgPool1d(3, stride=2)
        nn.AvgPool1d(3, stride=1, padding=1)
        nn.AvgPool1d(5, stride=3, padding=2)
        nn.MaxPool1d(2)
        nn.MaxPool1d(3, stride=2)
        nn.MaxPool1d(3, stride=1, padding=1)
        nn.MaxPool1d(5)
        nn.MaxPool1d(1, stride=2)
        nn.Upsample(2)
        nn.Upsample(3, mode='linear')
        nn.Upsample(2, mode='linear', align_corners=True)
        nn.Upsample(2, mode='cubic')
    """),
    ({"x": IMAGE}, """
        nn.Conv2d(4, 6, 3)
        nn.Conv2d(4, 6, 3, bias=False)
        nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0))
        nn.Conv2d(4, 6, 3, stride=2, padding=1)
        nn.Conv2d(4, 6, 3, padding=2, dilation=2)
        nn.Conv2d(4, 6, 3, dilation=(1, 3))
        nn.Conv2d(4, 6, 1)
        nn.Conv2d(4, 8, 3, groups=2)
        nn.Conv2d(4, 4, 3, padding=1, groups=4)
        nn.Conv2d(4, 12, 3, groups=4, bias=False)
        nn.Conv2d(4, 8, 4, stride=4)
        nn.Conv2d(4, 6, 7, stride=2, padding=3)
        nn.ConvTranspose2d(4, 6, 3)
        nn.ConvTranspose2d(4, 6, 3, bias=False)
        nn.ConvTranspose2d(4, 6, 2, stride=2)
        nn.ConvTranspose2d(4, 6, 4, stride=2, padding=1)
        nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1)
        nn.ConvTranspose2d(4, 6, (3, 2), stride=(1, 2), padding=(0, 1))
        nn.ConvTranspose2d(4, 6, 3, padding=1, dilation=2)
        nn.ConvTranspose2d(4, 6, 3, stride=3, dilation=(2, 1), output_padding=(1, 2))
        nn.ConvTranspose2d(4, 6, 1, padding=1)
        nn.AvgPool2d(2)
        nn.AvgPool2d(3)
        nn.AvgPool2d(3, stride=2)
        nn.AvgPool2d(3, stride=1, padding=1)
        nn.AvgPool2d((2, 3), stride=(1, 2), padding=(1, 0))
        nn.AvgPool2d((9, 12))
        nn.MaxPool2d(2)
        nn.MaxPool2d(3)
        nn.MaxPool2d(3, stride=2)
        nn.MaxPool2d(3, stride=2, padding=1)
        nn.MaxPool2d((2, 3), stride=(1, 2), padding=(1, 0))
        nn.MaxPool2d(2, stride=3)
        nn.Upsample(2)
        nn.Upsample((2, 3))
        nn.Upsample(1.5)
        nn.Upsample(0.5)
        nn.Upsample(2, mode='linear')
        nn.Upsample((2, 1.5), mode='linear')
        nn.Upsample(0.5, mode='linear')
        nn.Upsample(0.5, mode='linear', antialias=True)
        nn.Upsample(2, mode='linear', align_corners=True)
        nn.Upsample((3, 2), mode='linear', align_corners=True)
        nn.Upsample(2, mode='cubic')
        nn.Upsample(2, mode='cubic', align_corners=True)
        nn.Upsample(0.5, mode='cubic', antialias=True)
    """),
    ({"x": VOLUME}, """
        nn.Conv3d(4, 3, 2)
        nn.Conv3d(4, 3, 3, stride=2, padding=1, bias=False)
        nn.Conv3d(4, 3, (2, 3, 1), stride=(1, 2, 1), padding=(0, 1, 0))
        nn.Conv3d(4, 3, 2, dilation=2)
        nn.ConvTranspose3d(4, 3, 2)
        nn.ConvTranspose3d(4, 3, 2, stride=2, bias=False)
        nn.ConvTranspose3d(4, 3, 3, stride=2, padding=1, output_padding=1)
        nn.AvgPool3d(2)
        nn.AvgPool3d(3, stride=2, padding=1)
        nn.AvgPool3d((1, 2, 2))
        nn.MaxPool3d(2)
        nn.MaxPool3d(3, stride=2)
        nn.MaxPool3d(3, stride=1, padding=1)
        nn.Upsample(2)
        nn.Upsample((1, 2, 2), mode='linear')
        nn.Upsample(2, mode='linear', align_corners=True)
    """),
    ({"i": integers(0, 10, 2, 5)}, """
        nn.Embedding(10, 8)
        nn.Embedding(10, 1)
        nn.Sequential(nn.Embedding(10, 8), nn.Linear(8, 3))
        nn.SinusoidalPositionalEncoding(8)
        nn.SinusoidalPositionalEncoding(8, cos_first=True, full_turns=True, scale=1.0)
        nn.QuantizedEmbedding(10, 64, group_size=32, bits=4)
        nn.QuantizedEmbedding(10, 64, group_size=64, bits=8)
        nn.QuantizedEmbedding(10, 128, group_size=128, bits=4)
        nn.QuantizedEmbedding(10, 64, group_size=32, bits=3)
    """),
    ({"i": integers(0, 10, 7, dtype=mx.uint32)}, "nn.Embedding(10, 4)"),
    ({"i": integers(0, 10, 3, dtype=mx.int64)}, "nn.Embedding(10, 4)"),
    ({"i": integers(-10, 10, 3)}, "nn.Embedding(10, 4)"),
    ({"i": integers(0, 10, 2, 2, 3)}, "nn.Embedding(10, 4)"),
    ({"x": normal(4, 7)}, "nn.SinusoidalPositionalEncoding(16, min_freq=0.01, max_freq=2.0)"),
    ({"x": normal(2, 4, 6, 6)}, """
        nn.ALiBi()
        nn.RoPE(6)
        nn.RoPE(4)
        nn.RoPE(6, traditional=True)
        nn.RoPE(4, traditional=True, base=500)
        nn.RoPE(6, base=1e6, scale=0.5)
    """),
    ({"x": normal(2, 5, 8)}, """
        nn.RoPE(8)
        nn.RoPE(8, traditional=True)
        nn.RNN(8, 6)
        nn.RNN(8, 6, bias=False)
        nn.RNN(8, 6, nonlinearity=nn.relu)
        nn.GRU(8, 6)
        nn.GRU(8, 6, bias=False)
        nn.LSTM(8, 6)
        nn.LSTM(8, 6, bias=False)
    """),
    ({"x": normal(5, 8)}, """
        nn.RNN(8, 8)
        nn.GRU(8, 8)
        nn.LSTM(8, 8)
    """),
    ({"x": normal(2, 5, 8), "hidden": normal(2, 6)}, """
        nn.RNN(8, 6)
        nn.GRU(8, 6)
    """),
    ({"x": normal(2, 5, 8), "hidden": normal(2, 6), "cell": normal(2, 6)}, "nn.LSTM(8, 6)"),
    ({"x1": normal(3, 4), "x2": normal(3, 5)}, """
        nn.Bilinear(4, 5, 6)
        nn.Bilinear(4, 5, 6, bias=False)
    """),
    ({"queries": SEQUENCE, "keys": SEQUENCE, "values": SEQUENCE}, """
        nn.MultiHeadAttention(16, 4)
        nn.MultiHeadAttention(16, 2, bias=True)
        nn.MultiHeadAttention(16, 1)
    """),
    ({"queries": normal(2, 3, 8), "keys": normal(2, 7, 12), "values": normal(2, 7, 10)}, """
        nn.MultiHeadAttention(16, 4, 8, 12, 10, 20, 6)
        nn.MultiHeadAttention(16, 2, query_input_dims=8, key_input_dims=12, value_input_dims=10, bias=True)
    """),
    ({"queries": SEQUENCE, "keys": SEQUENCE, "values": SEQUENCE, "mask": MASK},
     "nn.MultiHeadAttention(16, 4)"),
    ({"queries": SEQUENCE, "keys": SEQUENCE, "values": SEQUENCE, "mask": booleans(2, 1, 6, 6)},
     "nn.MultiHeadAttention(16, 4)"),
    ({"x": SEQUENCE, "mask": MASK}, """
        nn.TransformerEncoderLayer(16, 4)
        nn.TransformerEncoderLayer(16, 4, mlp_dims=24, norm_first=False, activation=nn.gelu)
        nn.TransformerEncoder(2, 16, 4)
        nn.TransformerEncoder(1, 16, 2, mlp_dims=8, norm_first=False)
        nn.TransformerEncoder(1, 16, 2, checkpoint=True)
    """),
    ({"x": SEQUENCE, "memory": normal(2, 4, 16), "x_mask": MASK, "memory_mask": normal(6, 4)}, """
        nn.TransformerDecoderLayer(16, 4)
        nn.TransformerDecoderLayer(16, 4, mlp_dims=24, norm_first=False)
        nn.TransformerDecoder(2, 16, 4)
        nn.TransformerDecoder(1, 16, 2, norm_first=False, activation=nn.silu)
    """),
    ({"src": normal(2, 4, 16), "tgt": SEQUENCE, "src_mask": normal(4, 4), "tgt_mask": MASK,
      "memory_mask": normal(6, 4)}, """
        nn.Transformer(16, 4, 1, 1)
        nn.Transformer(16, 2, 2, 1, mlp_dims=20, norm_first=False)
    """),
    ({"x": normal(2, 3, 128)}, """
        nn.QuantizedLinear(128, 8)
        nn.QuantizedLinear(128, 8, bias=False)
        nn.QuantizedLinear(128, 128, group_size=32, bits=4)
        nn.QuantizedLinear(128, 8, group_size=64, bits=8)
        nn.QuantizedLinear(128, 8, group_size=128, bits=4, bias=False)
        nn.QuantizedLinear(128, 8, group_size=128, bits=8)
        nn.QuantizedLinear(128, 8, group_size=32, bits=8, bias=False)
        nn.QuantizedLinear(128, 8, group_size=64, bits=2)
        nn.QuantizedLinear(128, 8, group_size=64, bits=3)
        nn.QuantizedLinear(128, 8, group_size=64, bits=5)
        nn.QuantizedLinear(128, 8, group_size=64, bits=6)
        nn.QuantizedLinear(128, 8, group_size=32, bits=4, mode='mxfp4')
        nn.QuantizedLinear(128, 8, group_size=32, bits=8, mode='mxfp8')
        nn.QuantizedLinear(128, 8, group_size=16, bits=4, mode='nvfp4')
        nn.QuantizedAllToShardedLinear(128, 8)
        nn.QuantizedAllToShardedLinear(128, 8, bias=False, bits=8)
        nn.QuantizedShardedToAllLinear(128, 8)
        nn.QuantizedShardedToAllLinear(128, 8, bias=False, group_size=32)
    """),
    ({"x": normal(128)}, "nn.QuantizedLinear(128, 8)"),
]  # fmt: skip

LEFT_OUT = {
    "FullyShardedModule": "shares a module's weights among machines that train it, by a gradient of its own",
    "Module": "the class that layers are made of: it computes nothing",
    "QQLinear": "quantizes what goes into it as it runs, and MLX 0.32.4 has no CPU kernel for it",
}


def cases() -> Iterator[Case]:
    """Every layer case."""
    for inputs, table in [*TABLES, *activations.TABLES]:
        yield from texts("layer", inputs, table)
