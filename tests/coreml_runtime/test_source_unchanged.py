"""verify gives a source back as it was, and says when it is in training mode."""

import random
from functools import partial

import mlx.core as mx
import mlx.nn
import numpy as np
import pytest
import torch
from cases import floats
from coremltools.converters.mil.mil import Builder as mb
from packages import OPSETS, save
from torch import nn

from coreml_runtime import verify
from coreml_runtime.verification.modes import training_mode
from coreml_runtime.verification.unchanged import unchanged

X = floats(2, 3)


@pytest.fixture
def package(tmp_path):
    """A package that doubles its input."""
    built = mb.program(input_specs=[mb.TensorSpec(shape=(2, 3))], opset_version=OPSETS[17])(
        lambda x: mb.mul(x=x, y=2.0, name="y")
    )
    return save(built, 17, tmp_path / "m.mlpackage")


class Busy(nn.Module):
    """Changes everything that a module can change."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.linear = nn.Linear(3, 3)
        self.calls, self.seen, self.cache = 0, [0], {"first": np.zeros(2)}

    def forward(self, x):
        self.calls += 1
        self.seen.append(x)
        self.cache["first"] += 1
        self.cache[self.calls] = x
        with torch.no_grad():
            self.linear.weight.add_(1)
        self.extra = torch.rand(3) + np.random.rand() + random.random()  # noqa: NPY002
        return 2 * x + 0 * self.norm(x)


class BusyToo(mlx.nn.Module):
    """The same in MLX."""

    def __init__(self):
        super().__init__()
        self.norm, self.cache, self.seen = mlx.nn.BatchNorm(3), mx.zeros((2, 3)), []

    def __call__(self, x):
        self.cache[:] = x
        self.cache += 1
        self.seen.append(x)
        self.extra = mx.random.normal((3,))
        return 2 * x + 0 * self.norm(x)


def held(module):
    """What a module holds, as numbers."""
    if isinstance(module, nn.Module):
        state = {name: value.clone() for name, value in module.state_dict().items()}
        return (
            state
            | {"seen": list(module.seen), "calls": module.calls, "cache": dict(module.cache)}
            | {"first": module.cache["first"].copy(), "names": sorted(vars(module))}
        )
    return {"names": sorted(module), "seen": list(module.seen)} | {
        "cache": np.array(module.cache),
        "mean": np.array(module.norm.running_mean),
    }


def drawn():
    """The next random numbers of each generator."""
    drawn = np.random.rand()  # noqa: NPY002
    return [random.random(), drawn, torch.rand(1).item(), mx.random.normal((1,)).item()]


def seeded():
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    torch.manual_seed(3)
    mx.random.seed(3)


@pytest.mark.parametrize("kind", [Busy, BusyToo])
@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: lambda x: m(x), lambda m: partial(m)])
def test_a_source_is_given_back_as_it_was(package, kind, wrap):
    source = kind().train()
    before = held(source)
    seeded()
    wanted = drawn()
    seeded()
    report = verify(wrap(source), package, {"x": X}, framework="torch" if kind is Busy else "mlx")
    assert report.passed, str(report)
    assert drawn() == wanted
    after = held(source)
    assert before.keys() == after.keys()
    for name, value in before.items():
        np.testing.assert_equal(np.array(after[name], object), np.array(value, object), err_msg=name)
    assert source.training


def test_also_when_it_raises():
    source = Busy()
    before = held(source)
    with pytest.raises(ZeroDivisionError), unchanged(source):
        source(torch.from_numpy(X))
        raise ZeroDivisionError
    assert source.calls == 0 and len(source.seen) == 1
    assert all(torch.equal(value, before[name]) for name, value in source.state_dict().items())


class Switch(nn.Module):
    def forward(self, x):
        return x * 2 if self.training else x


class SwitchToo(mlx.nn.Module):
    def __call__(self, x):
        return x * 2 if self.training else x


IN_TRAINING = {
    "batch norm": (
        lambda: nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)),
        "1 of 2 modules, BatchNorm1d '1'",
    ),
    "dropout": (
        lambda: nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.1)),
        "2 of 2 modules, Dropout '0', Dropout '1'",
    ),
    "attention": (lambda: nn.MultiheadAttention(4, 2, dropout=0.1), "1 of 1 modules, MultiheadAttention"),
    "code that reads it": (Switch, "1 of 1 modules, Switch"),
    "a function of a module": (
        lambda: partial(lambda m, x: m(x), nn.Dropout(0.5)),
        "1 of 1 modules, Dropout",
    ),
    "mlx dropout": (lambda: mlx.nn.Sequential(mlx.nn.Dropout(0.5)), "1 of 1 modules, Dropout 'layers.0'"),
    "mlx batch norm": (lambda: mlx.nn.BatchNorm(3), "1 of 1 modules, BatchNorm"),
    "mlx code that reads it": (SwitchToo, "1 of 1 modules, SwitchToo"),
}


@pytest.mark.parametrize("case", IN_TRAINING)
def test_training_mode_is_told(case):
    made, found = IN_TRAINING[case]
    told = training_mode(made())
    assert told == f"the source is in training mode: call .eval() first; found are {found}"


@pytest.mark.parametrize(
    "source",
    [
        nn.Linear(3, 3),
        nn.Dropout(0.0),
        nn.LSTM(3, 3, dropout=0.0),
        nn.InstanceNorm1d(3),
        nn.BatchNorm1d(3).eval(),
        mlx.nn.Dropout(0.0),
        mlx.nn.LayerNorm(3),
        mlx.nn.BatchNorm(3).eval(),
        lambda x: x,
    ],
)
def test_a_mode_that_changes_nothing_is_not_told(source):
    assert training_mode(source) == ""


def test_a_failing_report_of_a_source_in_training_mode_says_so_and_searches_no_further(package):
    source = nn.Sequential(nn.BatchNorm1d(3))
    report = verify(source, package, {"x": X})
    assert not report.passed and report.divergence is None
    assert "call .eval() first; found are 1 of 1 modules, BatchNorm1d '0'" in str(report)
    assert "no operation: the source computes in training mode" in str(report)
    assert source.training and source[0].num_batches_tracked == 0
