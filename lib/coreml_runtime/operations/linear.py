"""Matrix products: linear, matmul, einsum, attention."""

import torch
import torch.nn.functional as F

from coreml_runtime.operations.registry import Tensor, Tensors, operation


@operation("linear")
def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None):
    if weight.dtype != x.dtype:  # iOS17 mixes types
        weight, bias = weight.to(x.dtype), None if bias is None else bias.to(x.dtype)
    return F.linear(x, weight, bias)


@operation("matmul")
def matmul(x: Tensor, y: Tensor, transpose_x: bool = False, transpose_y: bool = False):
    # Flags are ignored for vectors, which NumPy's rule turns into a row or a column.
    x = x.mT if transpose_x and x.dim() > 1 else x
    y = y.mT if transpose_y and y.dim() > 1 else y
    kind = torch.promote_types(x.dtype, y.dtype)  # iOS17 mixes int8 with floats
    return torch.matmul(x.to(kind), y.to(kind))


@operation("einsum")
def einsum(values: Tensors, equation: str):
    return torch.einsum(equation, *values)


@operation("scaled_dot_product_attention")
def scaled_dot_product_attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None):
    if attn_mask is None:
        return F.scaled_dot_product_attention(query, key, value)
    attn_mask = torch.atleast_2d(attn_mask)
    y = F.scaled_dot_product_attention(query, key, value, attn_mask)
    # MIL defines it by a softmax, which has no value for a row that hides everything; torch returns 0.
    hidden = attn_mask.logical_not() if attn_mask.dtype == torch.bool else torch.isneginf(attn_mask)
    return y.masked_fill(hidden.all(dim=-1, keepdim=True), torch.nan)
