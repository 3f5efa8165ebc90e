"""Each GPU against its own CPU: a right one passes, wrong operations are caught and named.

There is no GPU here: an operation is changed while `devices.on("cpu")` is left, which is when the device's
own values are computed.
"""

from contextlib import contextmanager
from dataclasses import asdict

import mlx.core as mx
import pytest
import torch

from twins.frameworks import BOTH, MLX, TORCH
from twins.records.record_types import Gate
from twins.timing.questions import gpu_against_cpu
from twins.timing.study import Study
from twins.training.train import named

each = pytest.mark.parametrize("framework", BOTH, ids=lambda framework: framework.key)
GRADIENT = "blocks.0.norm1.weight"


@pytest.fixture
def plant(monkeypatch):
    """Replaces an operation by `change(own)` for the device, and leaves the CPU its own."""
    away = [True]

    @contextmanager
    def on(device):
        away[0] = False
        yield
        away[0] = True

    def planted(owner: object, name: str, change) -> None:
        own = getattr(owner, name)
        wrong = change(own)
        monkeypatch.setattr(owner, name, lambda *a, **k: (wrong if away[0] else own)(*a, **k))

    monkeypatch.setattr(gpu_against_cpu, "on", on)
    return planted


def checked(framework, name: str) -> dict[str, gpu_against_cpu.Check]:
    twin = Study(name, asdict(named(name).tiny()))
    return {
        c.name: c for c in gpu_against_cpu.checks(framework, twin, twin.examples(4, gpu_against_cpu.STEPS))
    }


def failed(found: dict[str, gpu_against_cpu.Check]) -> set[str]:
    return {name for name, check in found.items() if not check.passed}


def scaled(factor: float):
    return lambda own: lambda *a, **k: own(*a, **k) * factor


@each
@pytest.mark.parametrize("name", gpu_against_cpu.TWINS)
def test_a_device_that_computes_the_same_passes(framework, name):
    found = checked(framework, name)
    assert list(found) == ["outputs", "gradients", "losses"]
    assert [check.value for check in found.values()] == [0, 0, 0]


@pytest.mark.parametrize("name", ["resnet", "transformer_lm"])
@pytest.mark.parametrize("error", [2e-7, -4e-7])
def test_rounding_passes(plant, name, error):
    """A switched ReLU moves gradients further than their limit; then rounding's own effect is the limit."""
    operation = {"resnet": "conv2d", "transformer_lm": "linear"}[name]
    plant(torch.nn.functional, operation, scaled(1 + error))
    found = checked(TORCH, name)
    assert failed(found) == set() and found["outputs"].value > 0


@pytest.mark.parametrize(
    ("framework", "owner", "operation", "layer"),
    [
        (TORCH, torch.nn.functional, "layer_norm", "`blocks.0.norm1`, a LayerNorm"),
        (MLX, mx.fast, "layer_norm", "`blocks.0.norm1`, a LayerNorm"),
        (TORCH, torch.nn.functional, "gelu", "`blocks.0.down`, a Linear"),
    ],
)
def test_a_wrong_operation_is_caught_and_its_layer_is_named(plant, framework, owner, operation, layer):
    plant(owner, operation, scaled(1.001))
    outputs = checked(framework, "transformer_lm")["outputs"]
    assert not outputs.passed
    assert outputs.where.startswith(f"first in {layer}: "), outputs.where


def test_a_wrong_gradient_alone_is_caught_and_its_tensor_is_named(plant):
    def hooked(own):
        def embedding(*arguments, **named):
            found = own(*arguments, **named)
            found.register_hook(lambda gradient: 1.01 * gradient)
            return found

        return embedding

    plant(torch.nn.functional, "embedding", hooked)
    found = checked(TORCH, "transformer_lm")
    assert failed(found) == {"gradients", "losses"} or failed(found) == {"gradients"}
    assert found["gradients"].where == "tokens.weight"


def test_a_wrong_update_alone_is_caught_by_the_losses(plant):
    def stepped(own):
        def step(optimizer, *arguments):
            own(optimizer, *arguments)
            for group in optimizer.param_groups:
                for weight in group["params"]:
                    weight.data *= 1.01

        return step

    plant(torch.optim.AdamW, "step", stepped)
    found = checked(TORCH, "transformer_lm")
    assert failed(found) == {"losses"}
    assert found["losses"].where.startswith("step ")


@each
def test_long_products_are_right_here(framework):
    found = list(gpu_against_cpu.long_products(framework))
    assert [check.name for check in found] == [
        "product of rows of 32,767",
        "batched product of rows of 32,767",
        "product of rows of 40,000",
        "batched product of rows of 40,000",
    ]
    assert all(check.value < gpu_against_cpu.LONG_PRODUCT / 100 for check in found)


@pytest.mark.parametrize(("framework", "kind"), [(MLX, mx.array), (TORCH, torch.Tensor)])
def test_one_number_of_a_long_row_too_many_is_caught(monkeypatch, framework, kind):
    """As on M1 and M2 where a row has 32,767 numbers and both sides of the result at least 16."""
    own = kind.__matmul__

    def product(x, y):
        found = own(x, y)
        wide = min(found.shape[-2:]) >= 16 and x.shape[-1] >= 32_767
        return found + x[..., -1:] * y[..., -1:, :] if wide else found

    monkeypatch.setattr(kind, "__matmul__", product)
    assert not any(check.passed for check in gpu_against_cpu.long_products(framework))


def gates(*failures: str) -> list[Gate]:
    right = gpu_against_cpu.Check("outputs", 1e-7, 1e-5, "the whole model")
    wrong = gpu_against_cpu.Check("gradients", 0.3, 1e-5, "out.weight")
    return [
        gpu_against_cpu.gate("bert", each, [right] + ([wrong] if each.name in failures else []))
        for each in BOTH
    ]


def test_the_page_says_what_was_found():
    assert gpu_against_cpu.reading([]) == (
        "Both frameworks compute on the CPU here: there is no GPU to compare with it."
    )
    told = "In all of 2 comparisons each framework's GPU computes what its CPU computes. Limits: measured on"
    assert gpu_against_cpu.reading(gates()).startswith(told)
    assert gpu_against_cpu.reading(gates("MLX")) == (
        "**The GPU does not compute what the CPU computes**, and times of it are void: "
        "MLX, bert, gradients: 0.3, limit 1e-05, out.weight."
    )
    table = gpu_against_cpu.table(gates("PyTorch"))
    assert list(table["verdict"]) == ["passed", "passed", "FAILED"]
    assert list(table["framework"]) == ["MLX", "PyTorch", "PyTorch"]


def test_without_a_gpu_nothing_is_computed(monkeypatch):
    monkeypatch.setattr(MLX, "device", "cpu")
    assert list(gpu_against_cpu.gates()) == []
