"""The projection of scaling: its arithmetic against figures worked out by hand, and against a search."""

import pytest

from twins.evidence import projection
from twins.evidence.projection import Work
from twins.evidence.published import published_benchmarks

WORK = Work("MLX", seconds=1.0, gradients=100, batch=8)


def test_an_all_reduce_sends_almost_twice_the_bytes():
    assert projection.exchange(100, 1, 50) == 0
    assert projection.exchange(100, 2, 50) == 2.0
    assert projection.exchange(100, 4, 50) == pytest.approx(3.0)


def test_a_step_is_a_part_of_the_computation_and_the_exchange():
    """2 processes at 1000 bytes/s: half a second, and 100 bytes one way."""
    assert projection.step(WORK, 1, 1000) == 1.0
    assert projection.step(WORK, 2, 1000) == pytest.approx(0.6)
    assert projection.efficiency(WORK, 2, 1000) == pytest.approx(1 / 1.2)


@pytest.mark.parametrize("bandwidth", [10, 199, 200, 201, 1000, 1400, 33_333])
def test_where_scaling_stops_is_the_first_below_one_half(bandwidth):
    found = next(n for n in range(1, 1000) if projection.efficiency(WORK, n, bandwidth) < projection.HALF)
    assert projection.stops(WORK, bandwidth) == found


def test_numbers_above_the_examples_of_the_batch_are_marked():
    assert projection.stops(WORK, 1000) == 7
    assert projection.told(WORK, 1000) == "7"
    assert projection.told(WORK, 10_000) == f"more than {WORK.batch}"


def test_the_table_has_every_link_and_no_more_processes_than_examples():
    links = published_benchmarks.links()
    made = projection.table([WORK], links)
    assert list(made["link"]) == [link.link for link in links]
    assert set(made["as fast as one process"]) == {"8× with 8"}
    assert made["efficiency below 1/2 from"].str.startswith("more than ").all()


def test_links_are_in_bytes_and_have_their_page():
    links = {link.link: link for link in published_benchmarks.links()}
    assert links["Ethernet 1 Gb/s"].bandwidth == 125e6
    assert links["Thunderbolt 5"].bandwidth == 2 * links["Thunderbolt 4"].bandwidth
    told = projection.sources(links.values())
    assert all(link.url in told for link in links.values())
