"""The audit's findings are reproduced live."""

import pytest

from twins import audit


def test_without_the_step_no_weight_moves():
    found = audit.missing_step()
    assert found.reproduced and found.effect == 0 and found.control > 1e-4


def test_zero_scales_stop_gradients():
    found = audit.zero_scale()
    assert found.reproduced and 0 < found.effect < found.control == 1


def test_first_update_of_adamw_differs_by_the_bias():
    found = audit.bias_correction()
    assert found.reproduced
    assert found.effect == pytest.approx(0.1 / 0.001**0.5, rel=1e-3)  # (1 - beta1) / sqrt(1 - beta2)
    assert found.control == pytest.approx(1, rel=1e-3)
