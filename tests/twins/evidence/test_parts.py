"""Why one framework is faster, out of parts whose every time is known."""

import records
from msgspec import structs

from twins.evidence import parts


def made(mlx: tuple[float, ...], torch: tuple[float, ...]):
    timed = records.parts(mlx, torch)
    return structs.replace(timed, case=timed.case | {"twin": "bert"})


def test_the_reading_says_what_takes_longest_where_the_difference_is_and_where_it_is_widest():
    found = made((1e-6, 0.100, 0.220, 0.021), (1e-6, 0.030, 0.080, 0.003))
    assert parts.reading([found]) == (
        "BERT, batch 4, eager step: the backward pass takes longest in both frameworks. 44 % of the "
        "difference is in the forward pass. The frameworks are furthest apart in the optimizer: PyTorch "
        "7.00× as fast (MLX 21.0 ms, PyTorch 3.00 ms)."
    )


def test_parts_that_point_both_ways_make_no_share_of_a_difference():
    found = made((1e-6, 0.100, 0.110, 0.01), (1e-6, 0.050, 0.150, 0.02))
    told = parts.reading([found])
    assert "the forward pass takes longest in MLX and the backward pass in PyTorch" in told
    assert "of the difference" not in told and "in the backward pass: MLX 10.0× as fast" in told


def test_a_backward_pass_within_the_noise_is_no_negative_time():
    assert "takes longest" in parts.reading([made((1e-6, 0.1, 0.09, 0.01), (1e-6, 0.1, 0.2, 0.01))])
    assert parts.reading([]) == "The parts of a step were not timed."
