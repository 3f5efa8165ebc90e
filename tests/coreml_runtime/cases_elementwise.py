"""Cases of the elementwise, activation and reduction families."""

import numpy as np
import torch
import torch.nn.functional as F
from cases import add, booleans, floats, integers

ANYWHERE = [
    "abs",
    "atan",
    "ceil",
    "cos",
    "cosh",
    "erf",
    "exp",
    "exp2",
    "floor",
    "round",
    "sign",
    "sin",
    "sinh",
    "square",
    "tan",
    "tanh",
]
WITHIN_ONE = ["acos", "asin", "atanh"]
for name in ANYWHERE:
    add(name, x=floats(2, 3))
    add(name, "rank-5", x=floats(1, 2, 1, 2, 3))
for name in WITHIN_ONE:
    add(name, x=floats(2, 3, low=-0.9, high=0.9))
for name in ("exp2", "sign", "square"):
    add(name, "int", x=integers(2, 3))
add("abs", "int", x=integers(2, 3))
add("abs", "zero-size", x=floats(0, 3), expected=np.abs)
add("round", "ties-to-even", x=np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5], np.float32))
add("sqrt", x=floats(2, 3, low=0, high=4))
add("logical_not", x=booleans(2, 3), expected=np.logical_not)

for name in ("log", "rsqrt", "inverse"):
    add(name, x=floats(2, 3, low=0.1, high=4))
    add(name, "epsilon", x=floats(2, 3, low=0.1, high=4), epsilon=0.25)
add("inverse", "small", x=np.array([1e-5, -1e-5, 1e-3], np.float32))
add("clip", x=floats(2, 3), alpha=-0.5, beta=0.75)
add("clip", "infinite", x=np.array([-np.inf, np.inf, 0], np.float32), alpha=-0.5, beta=0.75)
add("threshold", x=floats(2, 3), alpha=0.25)
add("cast", "truncates", x=np.array([-1.7, -0.2, 0.2, 1.7], np.float32), dtype="int32")
add("cast", "bool", x=np.array([-1, 0, 2], np.int32), dtype="bool")
add("cast", "float", x=integers(2, 3), dtype="fp32")
add("cast", "int8-wraps", x=np.array([-129, -128, 127, 128], np.int32), dtype="int8")
add("cast", "uint8-wraps", x=np.array([-1, 0, 255, 256], np.int32), dtype="uint8")
add("cast", "uint16-wraps", x=np.array([-1, 0, 65535, 65536], np.int32), dtype="uint16")

ARITHMETIC = ["add", "sub", "mul", "maximum", "minimum", "real_div", "floor_div", "mod"]
COMPARISONS = ["equal", "not_equal", "greater", "greater_equal", "less", "less_equal"]
SHAPES = [((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1, 3), (4, 1)), ((1,), (2, 3))]
for name in ARITHMETIC + COMPARISONS:
    for a, b in SHAPES:
        add(name, f"{a}{b}", x=floats(*a), y=floats(*b, low=0.5, seed=1))
    if name != "real_div":
        add(name, "int", x=integers(2, 3), y=integers(2, 3, low=1, seed=1))
add("add", "zero-size", x=floats(0, 3), y=floats(3), expected=np.add)
add("mod", "signs", x=np.array([-5, -5, 5, 5], np.int32), y=np.array([3, -3, 3, -3], np.int32))
add("floor_div", "signs", x=np.array([-5, -5, 5, 5], np.int32), y=np.array([3, -3, 3, -3], np.int32))
add("pow", x=floats(2, 3, low=0.1), y=floats(2, 3, seed=1))
add("pow", "int", x=integers(2, 3), y=integers(2, 3, low=0, high=4, seed=1))
for name in ("logical_and", "logical_or", "logical_xor"):
    add(name, x=booleans(2, 3), y=booleans(2, 3, seed=1))
    add(name, "broadcast", x=booleans(2, 3), y=booleans(3, seed=1))
add("select", cond=booleans(2, 3), a=floats(2, 3), b=floats(2, 3, seed=1))
add("select", "broadcast", cond=booleans(3), a=floats(2, 3), b=floats(2, 1, seed=1), expected=np.where)


def in_torch(function):
    """An expected result from a torch function of the inputs."""
    return lambda *inputs: function(*map(torch.from_numpy, inputs)).numpy()


X = floats(2, 3, 4)
for name in ("relu", "relu6", "sigmoid", "softplus", "softsign"):
    add(name, x=4 * X)
add("silu", x=4 * X, expected=in_torch(F.silu))
add("softplus", "large", x=np.array([-100, -20, 20, 100], np.float32), expected=in_torch(F.softplus))
add("softplus_parametric", x=X, alpha=[1.0, 2.0, 3.0], beta=[0.5, 1.0, 2.0])
for axis in (-1, 0, 1):
    add("softmax", f"axis{axis}", x=X, axis=axis)
add("softmax", "large", x=np.array([[1e4, 0, -1e4]], np.float32), axis=-1)
for mode in ("EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"):
    add("gelu", mode, x=X, mode=mode)
add("elu", x=X, alpha=0.7)
add("leaky_relu", x=X, alpha=0.1)
add("prelu", x=X, alpha=[0.2, 0.2, 0.2])
add("prelu", "rank-4", x=floats(1, 3, 2, 2), alpha=[0.1, 0.2, 0.3])
add("clamped_relu", x=4 * X, alpha=0.2, beta=1.5)
add("thresholded_relu", x=X, alpha=0.5)
add("linear_activation", x=X, alpha=2.0, beta=0.5)
add("scaled_tanh", x=X, alpha=1.7, beta=0.6)
add("sigmoid_hard", x=4 * X, alpha=0.2, beta=0.5)

REDUCTIONS = [
    "reduce_l1_norm",
    "reduce_l2_norm",
    "reduce_max",
    "reduce_mean",
    "reduce_min",
    "reduce_prod",
    "reduce_sum",
    "reduce_sum_square",
    "reduce_log_sum_exp",
]
AXES = [[-1], [0], [0, 2], [-1, -2], [0, 1, 2]]
for name in REDUCTIONS:
    for axes in AXES:
        add(name, f"{axes}", x=X, axes=axes, keep_dims=False)
    add(name, "keep", x=X, axes=[1], keep_dims=True)
    add(name, "all", x=X, keep_dims=False)
add("reduce_log_sum", x=floats(2, 3, low=0.1), axes=[-1], keep_dims=False)
add("reduce_log_sum", "keep", x=floats(2, 3, low=0.1), axes=[0], keep_dims=True)
add("reduce_sum", "int", x=integers(2, 3), axes=[-1], keep_dims=False)
add("reduce_sum", "zero-size", x=floats(0, 3), axes=[0], keep_dims=False, expected=lambda x: x.sum(0))
for name in ("reduce_argmax", "reduce_argmin"):
    for axis in (-1, 0, 1):
        add(name, f"axis{axis}", x=X, axis=axis, keep_dims=False)
    add(name, "keep", x=X, axis=1, keep_dims=True)
    add(name, "ties", x=np.array([[1, 2, 2, 1, 1]], np.float32), axis=-1, keep_dims=False)
