"""Cases of products and normalisations."""

import numpy as np
import torch
import torch.nn.functional as F
from cases import SIGNALS, add, floats, integers, tensors

WEIGHT = floats(4, 3, seed=1).tolist()
add("linear", x=floats(2, 5, 3), weight=WEIGHT, bias=floats(4, seed=2).tolist())
add("linear", "no-bias", x=floats(2, 3), weight=WEIGHT)
for transpose_x, transpose_y in ((False, False), (True, False), (False, True), (True, True)):
    x = floats(3, 2) if transpose_x else floats(2, 3)
    y = floats(4, 3, seed=1) if transpose_y else floats(3, 4, seed=1)
    flags = {"transpose_x": transpose_x, "transpose_y": transpose_y}
    add("matmul", f"{transpose_x},{transpose_y}", x=x, y=y, **flags)
add("matmul", "broadcast", x=floats(2, 1, 3, 4), y=floats(5, 4, 2, seed=1))
add("matmul", "vector", x=floats(3), y=floats(3, 4, seed=1), expected=lambda x, y: x @ y)
add("matmul", "int", x=integers(2, 3), y=integers(3, 4, seed=1))
for equation, left, right in (
    ("abcd,adce->abce", (2, 3, 4, 5), (2, 5, 4, 3)),
    ("abc,cbd->abd", (2, 3, 4), (4, 3, 5)),
):
    add(
        "einsum",
        equation,
        values=(floats(*left), floats(*right, seed=1)),
        equation=equation,
        expected=lambda x, y, equation=equation: np.einsum(equation, x, y),
    )
ATTENTION = {
    "query": floats(2, 3, 4, 8),
    "key": floats(2, 3, 6, 8, seed=1),
    "value": floats(2, 3, 6, 5, seed=2),
}
add("scaled_dot_product_attention", opset=18, **ATTENTION)
add("scaled_dot_product_attention", "float-mask", opset=18, **ATTENTION, attn_mask=floats(4, 6, seed=3))
add("scaled_dot_product_attention", "bool-mask", opset=18, **ATTENTION, attn_mask=np.tri(4, 6, dtype=bool))
HIDDEN = np.tri(4, 6, k=-1, dtype=bool)  # its first row hides everything
add("scaled_dot_product_attention", "hidden-row", opset=18, **ATTENTION, attn_mask=HIDDEN)
add("scaled_dot_product_attention", "vector-mask", opset=18, **ATTENTION, attn_mask=floats(6, seed=3))
add("scaled_dot_product_attention", "rank-3", opset=18, **{name: x[0] for name, x in ATTENTION.items()})

PER_CHANNEL = {
    name: floats(4, low=0.5, seed=i).tolist() for i, name in enumerate(("mean", "variance", "gamma", "beta"))
}
M, VAR, G, B = (torch.tensor(PER_CHANNEL[name]) for name in ("mean", "variance", "gamma", "beta"))
for rank in (1, 2, 3):
    add(
        "batch_norm",
        f"{rank}d",
        x=SIGNALS[rank],
        **PER_CHANNEL,
        epsilon=1e-3,
        expected=lambda x: F.batch_norm(*tensors(x), M, VAR, G, B, eps=1e-3).numpy(),
    )
add(
    "instance_norm",
    x=SIGNALS[2],
    gamma=PER_CHANNEL["gamma"],
    beta=PER_CHANNEL["beta"],
    epsilon=1e-3,
    expected=lambda x: F.instance_norm(*tensors(x), weight=G, bias=B, eps=1e-3).numpy(),
)
add(
    "layer_norm",
    x=floats(2, 3, 4),
    axes=[-1],
    gamma=PER_CHANNEL["gamma"],
    beta=PER_CHANNEL["beta"],
    epsilon=1e-3,
    expected=lambda x: F.layer_norm(*tensors(x), [4], G, B, 1e-3).numpy(),
)
add(
    "layer_norm",
    "middle-axis",
    x=floats(2, 4, 3),
    axes=[1],
    gamma=PER_CHANNEL["gamma"],
    beta=PER_CHANNEL["beta"],
    epsilon=1e-3,
    expected=lambda x: F.layer_norm(tensors(x)[0].mT, [4], G, B, 1e-3).mT.numpy(),
)
add(
    "layer_norm",
    "two-axes",
    x=floats(2, 3, 4),
    axes=[-2, -1],
    epsilon=1e-3,
    expected=lambda x: F.layer_norm(*tensors(x), [3, 4], eps=1e-3).numpy(),
)
add(
    "l2_norm",
    x=SIGNALS[2],
    epsilon=1e-3,
    expected=lambda x: x / np.sqrt(np.square(x).sum((1, 2, 3), keepdims=True) + 1e-3),
)
add(
    "local_response_norm",
    x=SIGNALS[2],
    size=3,
    alpha=0.1,
    beta=0.5,
    k=2.0,
    expected=lambda x: F.local_response_norm(*tensors(x), 3, 0.1, 0.5, 2.0).numpy(),
)
add(
    "local_response_norm",
    "rank-3",
    x=SIGNALS[2][0],
    size=2,
    alpha=0.4,
    beta=0.5,
    k=2.0,
    expected=lambda x: F.local_response_norm(*tensors(x[None]), 2, 0.4, 0.5, 2.0)[0].numpy(),
)
