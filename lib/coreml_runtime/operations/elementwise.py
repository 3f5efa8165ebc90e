"""Elementwise operations: unary, binary, comparison, logic, cast, select.

`log`, `rsqrt` and `inverse` add an epsilon to their argument, by default 1e-45, 1e-12 and 1e-4:
`inverse(1e-5)` is 9091.
"""

import torch
import torch.nn.functional as F

from coreml_runtime.format.dtypes import DType, dtype_named
from coreml_runtime.operations.registry import Tensor, operation

# Both torch and MIL have these names.
SAME_NAME = (
    "abs acos asin atan atanh ceil cos cosh erf exp exp2 floor logical_not round sigmoid sign sin sinh sqrt "
    "square tan tanh"
)
UNARY = {name: getattr(torch, name) for name in SAME_NAME.split()}
UNARY |= {"relu6": F.relu6, "silu": F.silu, "softsign": F.softsign}
BINARY = {
    "add": torch.add,
    "equal": torch.eq,
    "floor_div": torch.floor_divide,
    "greater": torch.gt,
    "greater_equal": torch.ge,
    "less": torch.lt,
    "less_equal": torch.le,
    "logical_and": torch.logical_and,
    "logical_or": torch.logical_or,
    "logical_xor": torch.logical_xor,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "mod": torch.remainder,
    "mul": torch.mul,
    "not_equal": torch.ne,
    "pow": torch.pow,
    "real_div": torch.true_divide,
    "sub": torch.sub,
}


def _unary(function):
    def rule(x: Tensor):
        return function(x)

    return rule


def _binary(function):
    def rule(x: Tensor, y: Tensor):
        return function(x, y)

    return rule


for _name, _function in UNARY.items():
    operation(_name)(_unary(_function))
for _name, _function in BINARY.items():
    operation(_name)(_binary(_function))


@operation("log")
def log(x: Tensor, epsilon: float = 1e-45):
    return torch.log(x + epsilon)


@operation("rsqrt")
def rsqrt(x: Tensor, epsilon: float = 1e-12):
    return torch.rsqrt(x + epsilon)


@operation("inverse")
def inverse(x: Tensor, epsilon: float = 1e-4):
    return torch.reciprocal(x + epsilon)


@operation("clip")
def clip(x: Tensor, alpha: float, beta: float):
    return torch.clamp(x, alpha, beta)


@operation("threshold")
def threshold(x: Tensor, alpha: float):
    return torch.clamp(x, min=alpha)


@operation("select", arithmetic=False)
def select(cond: Tensor, a: Tensor, b: Tensor):
    return torch.where(cond, a, b)


@operation("cast")
def cast(x: Tensor, dtype: str):
    wanted = dtype_named(dtype)
    if wanted.name.startswith("UINT"):
        return _wrap(x, wanted)
    return x.to(wanted.carrier)


def _wrap(x: Tensor, wanted: DType) -> Tensor:
    """The low bits, which is what an unsigned type keeps of a number."""
    return torch.bitwise_and(x.to(torch.int64), (1 << wanted.bits) - 1)
