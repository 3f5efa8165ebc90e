"""A failing package names the operation that is wrong, or says why none can be named."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from cases import floats
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types
from packages import OPSETS, save
from torch import nn

from coreml_runtime import verify
from coreml_runtime.verification.layouts import SAMPLE, orders, positions, rms_relative, sampled
from coreml_runtime.verification.matching import Matcher, value_of

T = torch.from_numpy
IMAGE, SQUARE, ROWS = (2, 4, 6, 6), (6, 6), (4, 64)
WEIGHT = floats(6, 6, seed=9)
WEIGHTS = [floats(64, 64, seed=i) / 6 for i in range(20)]
SPIKE = np.zeros((1, 512, 512), np.float32)
SPIKE[0, 100, 7] = 1e4


def report_of(tmp_path, program, source, *shapes, opset=17, **options):
    """What verify says of a program on inputs x, y, ... of some shapes."""
    built = mb.program(
        input_specs=[mb.TensorSpec(shape=shape) for shape in shapes], opset_version=OPSETS[opset]
    )(program)
    package = save(built, opset, tmp_path / "m.mlpackage")
    inputs = {chr(ord("x") + i): floats(*shape, seed=i) for i, shape in enumerate(shapes)}
    return verify(source, package, inputs, framework="torch", **options)


def deep(x):
    for i, weight in enumerate(WEIGHTS):
        x = mb.linear(x=x, weight=weight)
        x = mb.tanh(x=mb.mul(x=x, y=1.0001, name="wrong") if i == 10 else x)
    return x


def deep_source(x):
    for weight in WEIGHTS:
        x = torch.tanh(F.linear(x, T(weight)))
    return x


def loop(x):
    return mb.while_loop(
        _cond=lambda i, a: mb.less(x=i, y=3.0),
        _body=lambda i, a: (mb.add(x=i, y=1.0), mb.mul(x=a, y=1.5, name="wrong")),
        loop_vars=(0.0, x),
    )[1]


# Programs in which the operation "wrong" is: most keep the elements of its value and change their order.
WRONG = {
    "another axis is reversed": (
        lambda x: mb.relu(x=mb.reverse(x=mb.add(x=x, y=1.0), axes=[1], name="wrong")),
        lambda x: torch.relu(torch.flip(x + 1, [2])),
        IMAGE,
    ),
    "another axis of a large value is reversed": (
        lambda x: mb.relu(x=mb.reverse(x=mb.add(x=x, y=1.0), axes=[2], name="wrong")),
        lambda x: torch.relu(torch.flip(x + 1, [3])),
        (1, 3, 128, 128),
    ),
    "blocks in another order": (
        lambda x: mb.relu(x=mb.depth_to_space(x=mb.exp(x=x), block_size=2, name="wrong")),
        lambda x: torch.relu(F.pixel_shuffle(x.exp(), 2)),
        (1, 16, 5, 5),
    ),
    "joined in another order": (
        lambda x, y: mb.tanh(x=mb.concat(values=[mb.exp(x=y), x], axis=1, name="wrong")),
        lambda x, y: torch.tanh(torch.cat([x, y.exp()], 1)),
        IMAGE,
        IMAGE,
    ),
    "softmax of another axis": (
        lambda x: mb.matmul(x=mb.softmax(x=mb.mul(x=x, y=2.0), axis=-2, name="wrong"), y=WEIGHT),
        lambda x: torch.softmax(x * 2, -1) @ T(WEIGHT),
        IMAGE,
    ),
    "an output that is transposed": (
        lambda x: mb.transpose(x=mb.relu(x=x), perm=[1, 0], name="wrong"),
        torch.relu,
        SQUARE,
    ),
    "one element of many": (
        lambda x: mb.relu(x=mb.add(x=mb.mul(x=x, y=2.0), y=SPIKE, name="wrong")),
        lambda x: torch.relu(x * 2),
        SPIKE.shape,
    ),
    "an approximation": (
        lambda x: mb.linear(
            x=mb.gelu(x=mb.linear(x=x, weight=WEIGHTS[0]), mode="TANH_APPROXIMATION", name="wrong"),
            weight=WEIGHTS[1],
        ),
        lambda x: F.linear(F.gelu(F.linear(x, T(WEIGHTS[0]))), T(WEIGHTS[1])),
        ROWS,
    ),
    "a small factor within many layers": (deep, deep_source, ROWS),
    "the body of a loop": (loop, lambda x: x * 2 * 2 * 2, (3,)),
}


@pytest.mark.parametrize("case", WRONG)
def test_the_wrong_operation_is_named(tmp_path, case):
    report = report_of(tmp_path, *WRONG[case])
    assert not report.passed and report.reason == ""
    assert report.divergence.name == "wrong", str(report)


def test_outputs_in_each_others_place_are_told(tmp_path):
    report = report_of(
        tmp_path,
        lambda x: (mb.exp(x=x, name="a"), mb.square(x=x, name="b")),
        lambda x: (x**2, x.exp()),
        IMAGE,
    )
    assert not report.passed and report.divergence is None
    assert "no operation: output 'a' is a value that the source computes, but not the one" in str(report)


def test_rounding_names_no_operation(tmp_path):
    def source(x):
        for weight in WEIGHTS:
            x = torch.tanh(F.linear(x, T(weight).bfloat16()))
        return x.float()

    def program(x):
        for weight in WEIGHTS:
            x = mb.tanh(x=mb.linear(x=x, weight=T(weight).bfloat16().float().numpy()))
        return x

    report = report_of(tmp_path, program, lambda x: source(x.bfloat16()), ROWS)
    assert not report.passed and report.divergence is None
    assert "no operation: the half precision in which the source computes alone explains" in str(report)


def test_an_operation_without_a_counterpart_is_not_taken_for_a_sensitive_one(tmp_path):
    """The source has the norm as a whole, so the sum of squares is like none of its values."""

    def source(x):
        return F.rms_norm(x.bfloat16(), (64,), eps=1e-5).float()

    def program(x):
        total = mb.reduce_sum_square(x=x, axes=[1], keep_dims=True)
        return mb.mul(x=x, y=mb.rsqrt(x=mb.mul(x=total, y=1 / 64), epsilon=1e-5))

    report = report_of(tmp_path, program, source, ROWS)
    assert not report.passed and report.divergence is None and "half precision" in report.reason


def test_outputs_alone_and_core_ml_alone_are_told(tmp_path):
    built = mb.program(input_specs=[mb.TensorSpec(shape=(3,))], opset_version=OPSETS[17])(
        lambda x: mb.exp(x=x, name="y")
    )
    package = save(built, 17, tmp_path / "m.mlpackage")
    report = verify({"y": np.zeros(3, np.float32)}, package, {"x": floats(3)})
    assert not report.passed and "no operation: of the source only the outputs are given" in str(report)


@mb.program(
    input_specs=[mb.TensorSpec(shape=(2, 3)), mb.StateTensorSpec(shape=(2, 3), dtype=types.fp16)],
    opset_version=OPSETS[18],
)
def counter(x, s):
    new = mb.add(x=mb.cast(x=mb.read_state(input=s), dtype="fp32"), y=x)
    new = mb.clip(x=new, alpha=-100.0, beta=2.5, name="wrong")
    mb.coreml_update_state(state=s, value=mb.cast(x=new, dtype="fp16"))
    return mb.mul(x=new, y=2.0, name="y")


class Sum(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("s", torch.zeros(2, 3))

    def forward(self, x):
        self.s += x
        return self.s * 2


def test_the_call_that_fails_is_searched(tmp_path):
    """The third of four calls goes wrong; the state before it is as it was there."""
    source = Sum().eval()
    report = verify(source, save(counter, 18, tmp_path / "s.mlpackage"), [{"x": np.ones((2, 3))}] * 4)
    assert not report.passed and report.divergence.name == "wrong"
    assert source.s.eq(0).all()


def test_a_source_that_cannot_be_recorded_is_told(tmp_path):
    class Once(nn.Module):
        def forward(self, x):
            if torch._C._len_torch_dispatch_stack():
                raise RuntimeError("not here")
            return x * 3

    report = report_of(tmp_path, lambda x: mb.mul(x=x, y=2.0), Once().eval(), (3,))
    assert "no operation: the source fails when its values are recorded (RuntimeError: not here)" in str(
        report
    )


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 0, 1), (2, 1, 0)])
def test_a_layout_is_found_by_a_sample(order):
    """A permutation of the axes and a reshape, of either value; another one agrees nowhere."""
    x = floats(4, 50, 100)
    moved = np.ascontiguousarray(x.transpose(order)).reshape(10, -1)
    for a, b in ((x, moved), (moved, x)):
        at = positions(a.size)
        errors = [
            rms_relative(a.reshape(-1)[at], sampled(b.reshape(-1), a.shape, b.shape, found, SAMPLE))
            for found in orders(a.shape, b.shape, 256)
        ]
        assert min(errors) == 0 and errors.count(0.0) == 1
    other = np.roll(x, 1, axis=1)
    found = [
        sampled(other.reshape(-1), x.shape, x.shape, each, SAMPLE) for each in orders(x.shape, x.shape, 256)
    ]
    assert min(rms_relative(x.reshape(-1)[positions(x.size)], each) for each in found) > 1


def test_memory_and_comparisons_do_not_grow_faster_than_the_program(monkeypatch):
    """Values of one size and nearly one fingerprint, as the layers of a network have them."""
    compared = []
    monkeypatch.setattr(
        "coreml_runtime.verification.matching.quick_error",
        lambda found, expected: compared.append(1) or rms_relative(found, expected),
    )
    counts = []
    for layers in (100, 200, 400):
        compared.clear()
        arrays = [
            np.random.default_rng(i).standard_normal((8, 4096)).astype(np.float32) for i in range(layers)
        ]
        values = [value_of(None, str(i), array) for i, array in enumerate(arrays)]
        assert max(value.sample.size for value in values) == SAMPLE
        matcher = Matcher(values, 1e-5)
        for array in arrays:
            matcher.see(array)
        assert max(value.error for value in values) == 0
        counts.append(len(compared))
    assert counts[2] < 2.5 * counts[1] and counts[1] < 2.5 * counts[0]
