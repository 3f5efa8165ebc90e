"""Equal loss: learnt or not, equal within the margin, different, or not shown to be equal."""

from math import log

import numpy as np
import pytest
from msgspec import structs
from records import fit

from twins.evidence import equal_loss

ANSWERS = 2
CHANCE = log(ANSWERS)


def fits(apart, loss=0.1, floor=0.001):
    """A fit for each number of `apart`: PyTorch at `loss`, MLX that far above it."""
    case = fit().case | {"classes": ANSWERS}
    return [
        structs.replace(
            fit(), case=case, held_out={"MLX": loss + each, "PyTorch": loss, "floor": loss + floor}
        )
        for each in apart
    ]


@pytest.mark.parametrize(
    ("apart", "word"),
    [
        ((0.001, -0.002, 0.003), equal_loss.EQUAL),
        ((0.20, 0.21, 0.19), equal_loss.DIFFERENT),
        ((-0.20, -0.21, -0.19), equal_loss.DIFFERENT),
        ((0.02, -0.05, 0.04), equal_loss.OPEN),  # too few seeds for so wide a spread
        ((0.028, 0.029, 0.033), equal_loss.OPEN),  # its interval crosses the margin of 0.0297
    ],
)
def test_the_verdict_over_seeds(apart, word):
    found = equal_loss.verdict(fits(apart), CHANCE)
    assert found.margin == pytest.approx(0.05 * (CHANCE - 0.1))
    assert (found.word, found.learnt) == (word, True)
    assert found.difference == pytest.approx(sum(apart) / 3)


def test_the_interval_is_students():
    found = equal_loss.verdict(fits((0.0, 0.01, 0.02)), CHANCE)
    half = 2.919986 * 0.01 / 3**0.5  # the deviation of 0, 1 and 2 hundredths is one hundredth
    assert (found.low, found.high) == pytest.approx((0.01 - half, 0.01 + half))
    assert found.floors == pytest.approx([0.001] * 3)


@pytest.mark.parametrize("loss", [CHANCE, CHANCE + 0.01])
def test_what_was_not_learnt_is_said_and_no_verdict_given(loss):
    same = fits((0.0, 0.001, -0.001), loss)
    assert not equal_loss.verdict(same, CHANCE).learnt
    told = equal_loss.reading(same, ANSWERS)
    assert "**Nothing was learnt yet**" in told and "margin" not in told


def test_one_half_that_learns_nothing_is_enough():
    assert not equal_loss.verdict(fits((0.6, 0.6, 0.6)), CHANCE).learnt


def test_the_reading_names_losses_margin_verdict_and_every_floor():
    assert equal_loss.reading(fits((0.001, -0.002, 0.004)), ANSWERS) == (
        "Held-out losses: 0.1010 (MLX) and 0.1000 nats (PyTorch) after 3 steps, equal within the margin over "
        "3 seeds; a model that knows nothing reaches 0.6931. MLX's minus PyTorch's is +0.001 [-0.0041, "
        "+0.0061]; the margin, fixed beforehand, is ±0.03 (5 % of what was learnt): **equal within the "
        "margin**. PyTorch with shuffled rows differs from itself by 0.001."
    )


def test_one_seed_has_losses_and_no_verdict():
    assert equal_loss.line(fits((0.001,))) == "0.1010 (MLX) and 0.1000 nats (PyTorch) after 3 steps"


def test_one_seed_is_refused():
    with pytest.raises(ValueError, match="at least two seeds, found 1"):
        equal_loss.verdict(fits((0.0,)), CHANCE)


# --- losses ----------------------------------------------------------------------------------------


def test_how_far_losses_are_apart():
    apart, floor = equal_loss.losses_apart(fit(apart=-0.25))
    assert np.allclose(apart, [0, 0, 0.25])
    assert np.allclose(floor, [0, 0, 0.001])


def test_held_out_in_nats_and_bits():
    made = equal_loss.held_out(fit(apart=0.01), bytes_per_token=2.0)
    assert made == (
        "Held-out loss of the first seed: 1.2100 nats per token (0.873 bits per byte) in MLX and "
        "1.2000 nats per token (0.866 bits per byte) in PyTorch; PyTorch with shuffled rows differs from "
        "itself by 0.001."
    )
    assert "bits" not in equal_loss.held_out(fit(), None)


def test_distance_to_the_optimum():
    assert equal_loss.distance(fit(entropy=1.0, apart=0.1)) == (
        "MLX ends 0.300 and PyTorch 0.200 nats above the best possible loss (1.000)."
    )
    assert equal_loss.distance(fit(entropy=1.0, apart=0.0001)) == (
        "Both end 0.200 nats above the best possible loss (1.000)."
    )
