"""The operations of mlx.core.fast in float64, from their definitions.

MLX 0.32.4 computes them in float32, or with functions made for float32 (up to 9e-8 off).
Sources: Ba et al. 2016 (layer norm), Zhang and Sennrich 2019 (RMS norm), Su et al. 2021 (rotary positions),
Vaswani et al. 2017 (attention), Xiao et al. 2024 (sinks).
"""

from typing import Any

from twins import frameworks as frameworks
from twins.parity.float64.elementwise import cos, sin
from twins.parity.float64.sums import logsumexp, softmax

import mlx.core as mx  # isort: skip  (after frameworks: the BLAS)

MEAN, SQUARE, RSQRT = mx.mean, mx.square, mx.rsqrt  # while the stage lasts mlx.core has slower ones
LOWEST = -1e300  # of a score that a boolean mask hides: a row that is wholly hidden stays finite


def _over_its_root(x: mx.array, eps: mx.array) -> tuple[mx.array, mx.array]:
    """x over the root of the mean square of its last axis plus eps, and one over that root."""
    inverse = RSQRT(MEAN(SQUARE(x), axis=-1, keepdims=True) + eps)
    return x * inverse, inverse


_divided: Any = mx.custom_function(_over_its_root)


@_divided.vjp
def _divided_gradient(arrays: tuple, cotangents: tuple, outputs: tuple) -> tuple[mx.array, mx.array]:
    """The gradient of x; second derivatives alone use the second output, and eps is a constant."""
    made, inverse = outputs
    given, of_inverse = cotangents
    along = MEAN(given * made, axis=-1, keepdims=True) + of_inverse * inverse / made.shape[-1]
    return inverse * (given - made * along), mx.zeros_like(arrays[1])


def _over_root(x: mx.array, eps: float) -> mx.array:
    return _divided(x, mx.array(eps, dtype=mx.float64))[0]


def layer_norm(x: mx.array, weight: mx.array | None, bias: mx.array | None, eps: float) -> mx.array:
    """The last axis to mean 0 and variance 1, then scaled and moved where there is a weight or a bias."""
    made = _over_root(x - MEAN(x, axis=-1, keepdims=True), eps)
    made = made if weight is None else made * weight
    return made if bias is None else made + bias


def rms_norm(x: mx.array, weight: mx.array | None, eps: float) -> mx.array:
    """The last axis over the root of its mean square, then scaled where there is a weight."""
    made = _over_root(x, eps)
    return made if weight is None else made * weight


def rope(
    x: mx.array,
    dims: int,
    *,
    traditional: bool,
    base: Any,
    scale: float,
    offset: int | mx.array,
    freqs: mx.array | None = None,
) -> mx.array:
    """The first `dims` features of x (..., T, D) turned by their positions; offsets may differ by example."""
    pair = mx.arange(0, dims, 2, dtype=mx.float64) / dims
    slow = mx.power(float(base), -pair) if freqs is None else 1 / freqs.astype(mx.float64)  # (dims / 2,)
    places = mx.arange(x.shape[-2], dtype=mx.float64)  # (T,)
    if isinstance(offset, mx.array) and offset.size > 1:  # (B,) -> (B, 1, ..., T)
        places = places + offset.astype(mx.float64).reshape(-1, *[1] * (x.ndim - 2))
    else:
        places = places + (offset.item() if isinstance(offset, mx.array) else offset)
    angle = places[..., None] * scale * slow  # (..., T, dims / 2)
    c, s = cos(angle), sin(angle)
    turned, rest = x[..., :dims], x[..., dims:]
    a, b = (turned[..., ::2], turned[..., 1::2]) if traditional else mx.split(turned, 2, axis=-1)
    made = [a * c - b * s, a * s + b * c]
    joined = mx.stack(made, axis=-1).reshape(turned.shape) if traditional else mx.concatenate(made, axis=-1)
    return mx.concatenate([joined, rest], axis=-1) if rest.shape[-1] else joined


def _hidden(scores: mx.array, mask: mx.array | str | None) -> mx.array:
    """Scores (..., T, S) with a mask: additive, boolean (true stays) or "causal", aligned at the end."""
    if mask is None:
        return scores
    if isinstance(mask, str):
        if mask != "causal":
            raise ValueError(f"attention's mask is {mask!r}; the one word allowed is 'causal'")
        queries, keys = scores.shape[-2:]
        mask = mx.arange(keys - queries, keys)[:, None] >= mx.arange(keys)
    return mx.where(mask, scores, LOWEST) if mask.dtype == mx.bool_ else scores + mask


def scaled_dot_product_attention(
    q: mx.array,
    k: mx.array,
    v: mx.array,
    *,
    scale: float,
    mask: mx.array | str | None = None,
    sinks: mx.array | None = None,
    force_fused: bool = False,
) -> mx.array:
    """softmax(scale q k^T) v over (B, H, T, D); several heads of q may share one of k and v."""
    batch, heads, length, _ = q.shape
    shared = k.shape[1]
    q = q.reshape(batch, shared, heads // shared, length, -1)
    scores = (scale * q) @ k[:, :, None].swapaxes(-1, -2)  # (B, shared, H / shared, T, S)
    scores = _hidden(scores.reshape(batch, heads, length, -1), mask)  # (B, H, T, S)
    if sinks is None:
        weights = softmax(scores, axis=-1)
    else:
        sink = mx.broadcast_to(sinks.reshape(1, -1, 1, 1).astype(scores.dtype), (batch, heads, length, 1))
        weights = softmax(mx.concatenate([sink, scores], axis=-1), axis=-1)[..., 1:]
    weights = weights.reshape(batch, shared, heads // shared, length, -1)
    return (weights @ v[:, :, None]).reshape(batch, heads, length, -1)


def cross_entropy(logits: mx.array, targets: mx.array) -> mx.array:
    """The loss of every label (...) by its logits (..., classes), which mlx.nn takes on an Apple GPU."""
    scores = mx.take_along_axis(logits, mx.expand_dims(targets, -1), -1).squeeze(-1)
    return logsumexp(logits, -1) - scores
