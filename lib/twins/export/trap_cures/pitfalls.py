"""What goes wrong on the way to Core ML, and the cure: each pitfall as code, from PyTorch and from MLX.

Every function returns a source, inputs and a package, which traps.py compares.
https://apple.github.io/coremltools/docs-guides/source/typed-execution.html
"""

import coremltools as ct
import numpy as np

from mlx_coreml.conversion.convert import convert
from twins.frameworks import mx  # not from mlx: the fast BLAS comes first

import mlx.nn as mnn  # isort: skip  (after frameworks: the BLAS)
import torch  # isort: skip

F16 = {"convert_to": "mlprogram", "minimum_deployment_target": ct.target.iOS17, "skip_model_load": True}
LOUD = np.linspace(-300, 300, 32, dtype=np.float32).reshape(1, 32)  # squares beyond fp16's 65,504
IDS = np.array([[3, 1, 4, 1, 5, 9, 2, 4097]], np.int32)  # fp16 holds no 4097
PLACES = np.arange(8, dtype=np.int32)[None]
LONGER = np.arange(12, dtype=np.int32)[None]
STEPS = np.linspace(-1, 1, 24, dtype=np.float32).reshape(1, 6, 4)
HIDDEN = np.array([[0, 0, 1, 1, 0, 0, 0, 1]], np.int32)


class Normalised(torch.nn.Module):
    """Values over the root of their mean square."""

    def forward(self, x):
        return x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-6)


class Looked(torch.nn.Module):
    """Rows of an embedding, summed up along the text."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.rows = torch.nn.Embedding(5000, 8)

    def forward(self, ids):
        return self.rows(ids).cumsum(1)


class Hidden(torch.nn.Module):
    """A softmax over what is not hidden; scores grow with the place."""

    def __init__(self, floor: float):
        super().__init__()
        self.floor = floor

    def forward(self, ids, hidden):
        return torch.softmax(ids.float() + hidden.float() * self.floor, -1)


class Recurrent(torch.nn.Module):
    """An LSTM's outputs."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.LSTM(4, 8, batch_first=True)

    def forward(self, x):
        return self.layer(x)[0]


def overflow() -> tuple:
    """A sum of squares does not fit into fp16."""
    traced = torch.jit.trace(Normalised(), torch.from_numpy(LOUD))
    return Normalised(), (LOUD,), ct.convert(traced, inputs=[ct.TensorType(shape=LOUD.shape)], **F16)


def overflow_cured() -> tuple:
    """The operations that square and sum stay in float32, the others take fp16."""
    traced = torch.jit.trace(Normalised(), torch.from_numpy(LOUD))
    small = ct.transform.FP16ComputePrecision(lambda op: op.op_type not in WIDE)
    options = F16 | {"compute_precision": small}
    return Normalised(), (LOUD,), ct.convert(traced, inputs=[ct.TensorType(shape=LOUD.shape)], **options)


WIDE = ("mul", "square", "reduce_mean", "add", "sqrt", "real_div")


def undeclared() -> tuple:
    """The input's type is not declared."""
    traced = torch.jit.trace(Looked(), torch.from_numpy(IDS))
    return Looked(), (IDS,), ct.convert(traced, inputs=[ct.TensorType(shape=IDS.shape)], **F16)


def declared() -> tuple:
    """The input is declared as whole numbers."""
    traced = torch.jit.trace(Looked(), torch.from_numpy(IDS))
    typed = [ct.TensorType(name="ids", shape=IDS.shape, dtype=np.int32)]
    return Looked(), (IDS,), ct.convert(traced, inputs=typed, **F16)


def long_numbers() -> tuple:
    """Ids as PyTorch writes them, in 64 bits."""
    wide = IDS.astype(np.int64)
    traced = torch.jit.trace(Looked(), torch.from_numpy(wide))
    typed = [ct.TensorType(name="ids", shape=wide.shape, dtype=np.int64)]
    return Looked(), (wide,), ct.convert(traced, inputs=typed, **F16)


def infinite_mask() -> tuple:
    """What is hidden is moved down by the least float32, which is minus infinity in fp16."""
    return _masked(Hidden(torch.finfo(torch.float32).min))


def finite_mask() -> tuple:
    """What is hidden is moved down by a number that fp16 holds."""
    return _masked(Hidden(-1e4))


def _masked(model: Hidden) -> tuple:
    arrays = (PLACES, HIDDEN)
    traced = torch.jit.trace(model, tuple(map(torch.from_numpy, arrays)), check_trace=False)
    names = zip(("ids", "hidden"), arrays, strict=True)
    typed = [ct.TensorType(name=name, shape=x.shape, dtype=np.int32) for name, x in names]
    return model, arrays, ct.convert(traced, inputs=typed, **F16)


def fixed_length() -> tuple:
    """The length of the example becomes the only one allowed."""
    model, _, package = declared()
    return model, (LONGER,), package


def any_length() -> tuple:
    """The length is a range, on both sides of the conversion."""
    length = torch.export.Dim("length", min=2, max=64)
    exported = torch.export.export(Looked(), (torch.from_numpy(IDS),), dynamic_shapes=({1: length},))
    shape = ct.Shape((1, ct.RangeDim(2, 64, default=8)))
    typed = [ct.TensorType(name="ids", shape=shape, dtype=np.int32)]
    return Looked(), (LONGER,), ct.convert(exported.run_decompositions({}), inputs=typed, **F16)


def exported_recurrence() -> tuple:
    """torch.export keeps an LSTM as one operation, which coremltools does not know on this route."""
    exported = torch.export.export(Recurrent(), (torch.from_numpy(STEPS),)).run_decompositions({})
    return Recurrent(), (STEPS,), ct.convert(exported, **F16)


def traced_recurrence() -> tuple:
    """The same module is traced instead."""
    traced = torch.jit.trace(Recurrent(), torch.from_numpy(STEPS))
    return Recurrent(), (STEPS,), ct.convert(traced, inputs=[ct.TensorType(shape=STEPS.shape)], **F16)


def mlx_normalised(x):
    """Values over the root of their mean square."""
    return x / mx.sqrt((x * x).mean(-1, keepdims=True) + 1e-6)


def mlx_looked() -> mnn.Module:
    """Rows of an embedding, summed up along the text."""
    mx.random.seed(0)
    rows = mnn.Embedding(5000, 8)
    return lambda ids: mx.cumsum(rows(ids), axis=1)


def mlx_hidden(ids, hidden):
    """A softmax over what is not hidden."""
    return mx.softmax(mx.where(hidden, -mx.inf, ids.astype(mx.float32)), axis=-1)


def mlx_overflow() -> tuple:
    """The converter finds what overflows and keeps it in float32."""
    return mlx_normalised, (LOUD,), convert(mlx_normalised, mx.array(LOUD), check=False)


def mlx_integers() -> tuple:
    """The example's types are the package's."""
    looked = mlx_looked()
    return looked, (IDS,), convert(looked, mx.array(IDS), check=False)


def mlx_long_numbers() -> tuple:
    """Ids in 64 bits."""
    looked, wide = mlx_looked(), IDS.astype(np.int64)
    return looked, (wide,), convert(looked, mx.array(wide), check=False)


def mlx_mask() -> tuple:
    """Minus infinity where something is hidden."""
    hidden = HIDDEN.astype(bool)
    return mlx_hidden, (PLACES, hidden), convert(mlx_hidden, mx.array(PLACES), mx.array(hidden), check=False)


def mlx_any_length() -> tuple:
    """The length is a range, given once."""
    looked = mlx_looked()
    return looked, (LONGER,), convert(looked, mx.array(IDS), flexible={"ids": {1: (2, 64)}}, check=False)


def mlx_recurrence() -> tuple:
    """An LSTM of MLX."""
    mx.random.seed(0)
    layer = mnn.LSTM(4, 8)
    return (lambda x: layer(x)[0]), (STEPS,), convert(lambda x: layer(x)[0], mx.array(STEPS), check=False)


def reads_numbers(x):
    """An if that depends on the numbers of an array."""
    return x / 2 if x.max().item() > 1 else x


def inverts(x):
    """The inverse of a matrix that is an input."""
    return mx.linalg.inv(x, stream=mx.cpu)


def draws(x):
    """Random numbers drawn at each call."""
    return x + mx.random.normal(x.shape)


REFUSED = (reads_numbers, inverts, draws)
EXAMPLES = {"reads_numbers": (mx.ones((4,)),), "inverts": (mx.eye(3),), "draws": (mx.ones((4,)),)}
