"""Expected values come from the CPU, whatever device is the default and wherever a model lies."""

from contextlib import contextmanager
from functools import partial

import mlx.nn
import numpy as np
import pytest
import torch
from torch import nn

from coreml_runtime.verification import source_on_cpu
from coreml_runtime.verification.observation import call
from mlx_coreml import convert
from twins.frameworks import mx

ELSEWHERE = torch.device("meta")  # every torch has it; it stands for a GPU
X = torch.ones(1, 3)


@pytest.fixture
def copied(monkeypatch):
    """What lies elsewhere has no numbers here: its copies are full of a half."""

    def halves(tensor):
        made = torch.full(tensor.shape, 0.5)
        return nn.Parameter(made) if isinstance(tensor, nn.Parameter) else made

    monkeypatch.setattr(source_on_cpu, "_copied", halves)


class Tied(nn.Module):
    """A product and its transpose with one weight, and a buffer that counts the calls."""

    def __init__(self):
        super().__init__()
        self.up = nn.Linear(3, 3, bias=False, device=ELSEWHERE)
        self.down = nn.Linear(3, 3, bias=False, device=ELSEWHERE)
        self.down.weight = self.up.weight
        self.register_buffer("calls", torch.zeros(1, device=ELSEWHERE))

    def forward(self, x):
        self.calls += 1
        return self.down(self.up(x)) + self.calls + torch.zeros(1)


def tensors(module):
    return [*module.named_parameters(remove_duplicate=False), *module.named_buffers()]


@pytest.mark.parametrize(
    "source",
    [
        lambda module: module,
        lambda module: module.forward,
        lambda module: lambda x: module(x),
        lambda module: partial(module),
    ],
    ids=["module", "method", "closure", "partial"],
)
def test_a_module_elsewhere_computes_here_and_is_as_before(copied, source):
    module = Tied().eval()
    before = tensors(module)
    with torch.no_grad(), source_on_cpu.torch_on_cpu(source(module)):
        assert module.down.weight is module.up.weight
        assert {value.device.type for _, value in tensors(module)} == {"cpu"}
        found = [source(module)(X) for _ in range(2)]  # a state lasts over the calls of one block
    np.testing.assert_allclose(found[0], np.full((1, 3), 2.25 + 1.5))
    np.testing.assert_allclose(found[1], np.full((1, 3), 2.25 + 2.5))
    assert all(a is b for (_, a), (_, b) in zip(before, tensors(module), strict=True))


def test_recurrent_weights_follow(copied):
    """PyTorch keeps them in a second list, of which its kernels read."""
    module = nn.LSTM(3, 2, device=ELSEWHERE)
    found = call(lambda x: module(x)[0], {"x": X}, "torch")["0"]
    gate = 1 / (1 + np.exp(-2.5))  # three inputs and two biases of a half
    np.testing.assert_allclose(found, np.full((1, 2), gate * np.tanh(gate * np.tanh(2.5))), rtol=1e-6)
    assert {value.device.type for value in module._flat_weights} == {"meta"}


def test_new_tensors_are_made_here_though_the_default_is_elsewhere():
    with torch.device(ELSEWHERE):
        found = call(lambda x: x + torch.ones(3), {"x": X}, "torch")["0"]
    np.testing.assert_array_equal(found, np.full((1, 3), 2.0))


def test_what_fails_leaves_everything_as_before(copied):
    module = Tied()
    before = tensors(module)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        call(module, {"x": torch.ones(1, 4)}, "torch")
    assert all(a is b for (_, a), (_, b) in zip(before, tensors(module), strict=True))


@pytest.fixture
def streams(monkeypatch):
    """The devices of the blocks that a call is in, the innermost last."""
    inside, real = [], mx.stream

    @contextmanager
    def stream(device):
        inside.append(device)
        with real(device):
            yield
        inside.pop()

    monkeypatch.setattr(mx, "stream", stream)
    return inside


def test_mlx_computes_on_its_cpu_stream(streams, tmp_path):
    log = tmp_path / "log"  # a list would be given back as it was

    class Seen(mlx.nn.Module):
        def __call__(self, x):
            with log.open("a") as file:
                print(streams[-1:] == [mx.cpu], file=file)
            return x + 1

    convert(Seen(), mx.zeros((2,)))  # captured, then checked
    call(Seen(), {"x": np.zeros(2)}, "mlx")
    seen = log.read_text().split()
    assert len(seen) >= 3 and set(seen) == {"True"}
    assert streams == []
