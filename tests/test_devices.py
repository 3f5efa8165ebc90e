"""Each framework's GPU against its own CPU: a wrong operation is named, and limits are those of the device."""

import numpy as np
import pytest

from twins import devices, parity, study, thresholds
from twins.frameworks import BOTH, MLX, TORCH


def lm() -> study.Study:
    return devices.studies()[0]


def test_every_twin_is_compared_at_its_smallest_size():
    assert [each.name for each in devices.studies()] == list(devices.TWINS)


def test_on_a_cpu_there_is_nothing_to_compare(monkeypatch):
    monkeypatch.setattr(MLX, "device", "cpu")
    assert list(devices.gates()) == []
    assert devices.reading([]).startswith("Both frameworks compute on the CPU here")


@pytest.mark.parametrize("framework", BOTH, ids=lambda each: each.key)
def test_a_device_that_computes_the_same_passes(framework):
    found = devices.checks(framework, lm(), lm().examples(4, 2))
    assert [check.name for check in found] == [
        f"{framework.name} {kind}" for kind in ("outputs", "gradients", "losses")
    ]
    assert all(check.passed for check in found)


@pytest.mark.parametrize("kind", ["outputs", "gradients", "losses"])
def test_what_the_gpu_gets_wrong_is_named(monkeypatch, kind):
    """Of what is computed the second time, on the GPU, one tensor is 1 % off."""
    calls, computed = [], devices.computed

    def wrong(framework, twin, batches):
        made = computed(framework, twin, batches)
        calls.append(kind)
        if len(calls) == 2:
            name = sorted(made[kind])[-1]
            made[kind][name] = 1.01 * made[kind][name]
        return made

    monkeypatch.setattr(devices, "computed", wrong)
    found = devices.checks(TORCH, lm(), lm().examples(4, 2))
    assert [check.name for check in found if not check.passed] == [f"PyTorch {kind}"]
    record = devices.gate("transformer_lm", TORCH, found)
    assert not record.passed and record.case["framework"] == "PyTorch"
    assert "transformer_lm, PyTorch" in devices.reading([record])


def test_a_long_row_that_is_summed_wrongly_is_found(monkeypatch):
    right = devices.long_product(TORCH)
    assert right.passed and right.value < 1e-4
    numpy = TORCH.numpy
    monkeypatch.setattr(TORCH, "numpy", lambda x: numpy(x) * np.where(np.arange(8) == 7, 0.5, 1.0))
    assert not devices.long_product(TORCH).passed


@pytest.mark.parametrize("name", ["outputs", "evaluation"])
def test_limits_on_a_gpu_know_winograds_rounding_and_no_planted_defect(monkeypatch, name):
    """Correct ResNets of the full profile reached 1.1e-5 by Winograd's arithmetic (thresholds.py)."""
    monkeypatch.setattr(thresholds.MLX, "device", "cpu")
    cpu = thresholds.limit(name)
    monkeypatch.setattr(thresholds.MLX, "device", "mps")
    gpu = thresholds.limit(name)
    smallest = float(thresholds.THRESHOLDS[name].defect.rpartition(" ")[2])
    assert cpu < 1.1e-5 < gpu / 4 and 10 * gpu < smallest


def test_checks_of_float64_keep_their_limits(monkeypatch):
    monkeypatch.setattr(thresholds.MLX, "device", "mps")
    for name, threshold in thresholds.THRESHOLDS.items():
        if threshold.gpu is None:
            assert thresholds.limit(name) == threshold.limit
    assert parity.limit_of is thresholds.limit


class CompilerError(RuntimeError):
    """As torch's compiler raises it."""


CompilerError.__module__ = "torch._inductor.exc"


def test_a_model_that_cannot_be_compiled_keeps_its_page(monkeypatch):
    asked = []

    def gate(name, make, batches, torch_compiled):
        asked.append(torch_compiled)
        if torch_compiled:
            raise CompilerError("no lowering for aten.strange\nand more")
        return parity.Verdict(name, (), {})

    monkeypatch.setattr(study.parity, "gate", gate)
    monkeypatch.setattr(study.diagnosis, "refused", lambda *_: None)
    twin = lm()
    verdict = study.gate(twin, twin.examples(2, 1))
    assert asked == [True, False]
    assert study.modes(verdict) == ["eager"]
    assert study.uncompiled(verdict).endswith("refuses this model (no lowering for aten.strange).")


def test_another_error_of_a_model_is_not_taken_for_the_compilers(monkeypatch):
    def gate(*_):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(study.parity, "gate", gate)
    monkeypatch.setattr(study.diagnosis, "refused", lambda *_: None)
    with pytest.raises(RuntimeError, match="out of memory"):
        study.gate(lm(), lm().examples(2, 1))
