"""In the float64 stage every operation of MLX is right to twelve digits, or says that it is not checked."""

import float64_cases
import float64_larger_cases
import mlx.core as mx
import numpy as np
import pytest
import torch
from float64_cases import Case, drawn

from twins.parity import float64
from twins.parity.differences import relative
from twins.parity.float64 import NotInFloat64
from twins.parity.float64.notes import unchecked

DIFFERENTIABLE = [
    *(float64_cases.ELEMENTWISE + float64_cases.BINARY + float64_cases.INDEX),
    *(float64_larger_cases.FAST + float64_larger_cases.CONVOLUTIONS),
]
FORWARD = float64_larger_cases.LINALG  # MLX has gradients of few of them, in no type


def names(cases: list[Case]) -> list[str]:
    return [case.name for case in cases]


def wanted(case: Case) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """PyTorch's output, the gradients of its product with random numbers, and these."""
    arrays = [torch.tensor(each, requires_grad=True) for each in drawn(case)]
    output = case.torch(*arrays)
    given = torch.tensor(np.random.default_rng(1).standard_normal(output.shape))
    if not output.requires_grad:
        return output.numpy(), [np.zeros(each.shape) for each in arrays], given.numpy()
    (output * given).sum().backward()
    zeros = [np.zeros(each.shape) for each in arrays]
    gradients = [z if each.grad is None else each.grad.numpy() for z, each in zip(zeros, arrays, strict=True)]
    return output.detach().numpy(), gradients, given.numpy()


@pytest.mark.filterwarnings("ignore:index_reduce")
@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=names(DIFFERENTIABLE))
def test_outputs_and_gradients_are_torchs_in_float64(case):
    output, gradients, given = wanted(case)
    with float64.stage():
        arrays = [mx.array(each, dtype=mx.float64) for each in drawn(case)]
        found = case.mlx(*arrays)
        given = mx.array(given, dtype=mx.float64)
        grad = mx.grad(lambda each: (case.mlx(*each) * given).sum())(arrays)
        mx.eval(found, grad)
    assert found.dtype == mx.float64
    assert relative(np.array(found), output) < 1e-12
    for each, other in zip(grad, gradients, strict=True):
        assert relative(np.array(each), other) < 1e-12


@pytest.mark.parametrize("case", FORWARD, ids=names(FORWARD))
def test_linear_algebra_is_torchs_in_float64(case):
    with float64.stage():
        found = np.array(case.mlx(*[mx.array(each, dtype=mx.float64) for each in drawn(case)]))
    assert relative(found, case.torch(*map(torch.tensor, drawn(case))).numpy()) < 1e-12


@pytest.mark.parametrize("case", float64_larger_cases.FFT, ids=names(float64_larger_cases.FFT))
def test_what_mlx_lacks_in_float64_is_named(case):
    with float64.stage():
        arrays = [mx.array(each, dtype=mx.float64) for each in drawn(case)]
        with pytest.raises(NotInFloat64) as raised:
            case.mlx(*arrays)
    assert unchecked(raised.value).startswith("not checked in float64: mx.fft.")


SECOND = {
    "exp": (lambda x: mx.exp(x), torch.exp),
    "sin": (lambda x: mx.sin(x), torch.sin),
    "sigmoid": (lambda x: mx.sigmoid(x), torch.sigmoid),
    "erf": (lambda x: mx.erf(x), torch.erf),
    "logaddexp": (lambda x: mx.logaddexp(x, 0.3 * x), lambda x: torch.logaddexp(x, 0.3 * x)),
    "softmax": (lambda x: mx.softmax(x, -1), lambda x: x.softmax(-1)),
    "layer_norm": (
        lambda x: mx.fast.layer_norm(x, None, None, 1e-5),
        lambda x: torch.nn.functional.layer_norm(x, (5,)),
    ),
}


@pytest.mark.parametrize("pair", SECOND.values(), ids=SECOND)
def test_gradients_of_gradients_are_torchs(pair):
    mine, theirs = pair
    numbers = np.random.default_rng(0).standard_normal((3, 5))

    def penalty(x: mx.array) -> mx.array:
        return mx.square(mx.grad(lambda x: (x * mine(x) ** 2).sum())(x)).sum()

    with float64.stage():
        found = np.array(mx.grad(penalty)(mx.array(numbers, dtype=mx.float64)))
    x = torch.tensor(numbers, requires_grad=True)
    (first,) = torch.autograd.grad((x * theirs(x) ** 2).sum(), x, create_graph=True)
    (wanted,) = torch.autograd.grad(first.square().sum(), x)
    assert relative(found, wanted.numpy()) < 1e-12


def test_infinities_and_zeros_stay_what_they_are():
    inf = mx.inf
    with float64.stage():
        assert mx.softmax(mx.array([-inf, 0.0])).tolist() == [0, 1]
        assert mx.logsumexp(mx.array([-inf, -inf])).item() == -inf
        assert mx.logaddexp(mx.array(-inf), -inf).item() == -inf
        assert mx.sigmoid(mx.array([-800.0, 800.0])).tolist() == [0, 1]
        assert mx.erf(mx.array([-inf, inf])).tolist() == [-1, 1]
        assert mx.grad(lambda x: mx.sigmoid(x).sum())(mx.array([0.0, -800.0])).tolist() == [0.25, 0]


def test_half_types_and_float32_outside_are_mlxs_own():
    own = mx.conv2d, mx.exp, mx.array, mx.array.__mul__, mx.array.sum, torch.get_default_dtype()
    with float64.stage():
        assert mx.exp(mx.array([1.0], dtype=mx.bfloat16)).dtype == mx.bfloat16
        assert mx.conv2d is not own[0]
    with pytest.raises(RuntimeError, match="here"), float64.stage():
        raise RuntimeError("here")
    assert (mx.conv2d, mx.exp, mx.array, mx.array.__mul__, mx.array.sum, torch.get_default_dtype()) == own
