"""The audit's findings are reproduced live: with the defect, and without it."""

import mlx.nn
import numpy as np
import pytest
import torch

from twins.evidence.published import audit, published_benchmarks
from twins.frameworks import mx

LIVE = {found.name: found for found in audit.findings()}


@pytest.mark.parametrize("name", LIVE)
def test_every_finding_is_reproduced_and_its_control_differs(name):
    found = LIVE[name]
    assert found.reproduced and found.effect != found.control
    assert np.isfinite([found.effect, found.control]).all()


def test_without_the_step_no_weight_moves():
    found = audit.missing_step()
    assert found.effect == 0 and found.control > 1e-4


def test_zero_scales_stop_gradients():
    found = audit.zero_scale()
    assert 0 < found.effect < found.control == 1


def test_first_update_of_adamw_differs_by_the_bias():
    found = audit.bias_correction()
    assert found.effect == pytest.approx(0.1 / 0.001**0.5, rel=1e-3)  # (1 - beta1) / sqrt(1 - beta2)
    assert found.control == pytest.approx(1, rel=1e-3)


def test_evaluation_share_is_that_of_the_audit():
    assert audit.evaluation_share().effect == pytest.approx(192 / (192 + 3 * 5))
    fair = audit.evaluation_share(steps=100, evaluations=10)
    assert not fair.reproduced and fair.effect == pytest.approx(10 / (10 + 300))


def test_attention_lacks_four_biases():
    assert LIVE["biases in one half's attention only"].effect == 4 * 32


def test_rate_is_the_square_of_what_was_asked_for():
    assert audit.rate_twice(1e-2).effect == pytest.approx(1e-2)
    assert LIVE["learning rate multiplied by itself"].control == 1


def test_mask_hides_the_upper_triangle_or_nothing():
    found = LIVE["causal mask that hides nothing"]
    assert (found.effect, found.control) == (0, 28 / 64)


def test_scatter_adds_where_it_is_kept():
    found = LIVE["result of a scatter thrown away"]
    assert (found.effect, found.control) == (0, 4)


def test_the_table_of_findings_names_every_live_one_and_no_other():
    assert {row.live for row in published_benchmarks.audit() if row.live} == set(LIVE)


def test_a_layer_of_mlx_keeps_its_weights_type_for_half_inputs():
    """Found in taneja_mac_ml, layers: products of a half input with weights as made are float32."""
    layer, x = mlx.nn.Linear(4, 4), mx.ones((2, 4), mx.float16)
    assert layer(x).dtype == mx.float32
    layer.set_dtype(mx.float16)
    assert layer(x).dtype == mx.float16


def test_a_lower_triangle_of_minus_infinity_hides_the_past_and_breaks_the_last_row():
    """Found in unixpickle, transformer."""
    mask = torch.tril(torch.full((4, 4), float("-inf")))
    weights = torch.softmax(mask, -1)
    assert weights[0].tolist() == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3])
    assert weights[3].isnan().all() and not weights[:3].isnan().any()
