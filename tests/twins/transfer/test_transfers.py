"""Hand-overs: sharing is what a write shows, the timed span holds nothing else, the tables follow."""

import numpy as np
import pytest
from records import timed

from twins.figures import transfer_figures
from twins.frameworks import on
from twins.machine import fresh_process
from twins.records.record_types import Sharing, Timing
from twins.timing.ceilings import ceilings
from twins.timing.statistics import AGAIN
from twins.transfer import device_switching, transfer_tables, transfers
from twins.transfer.transfers import ROUTES, Route

SHARED = "NumPy → PyTorch, torch.from_numpy"
COPIED = "NumPy → PyTorch, torch.tensor"


def test_a_view_is_proven_shared_and_a_copy_is_not():
    assert transfers.prove(SHARED, 4096) | {"added": 0} == {"written": True, "address": True, "added": 0}
    assert transfers.prove(COPIED, 4096) | {"added": 0} == {"written": False, "address": False, "added": 0}


def test_dlpack_hands_mlx_memory_to_torch():
    found = transfers.prove("MLX → PyTorch, torch.from_dlpack", 4096)
    assert found["written"]
    assert found["address"] is (
        None if transfers.mx.metal.is_available() else True
    )  # a tensor on mps has none


def test_a_numpy_view_hands_mlx_memory_to_torch_on_the_cpu():
    found = transfers.prove("MLX → PyTorch, through a NumPy view", 4096)
    assert found["written"] and found["address"]


def test_with_metal_the_page_says_where_dlpack_arrives(monkeypatch):
    for metal, told in ((True, "a tensor on mps"), (False, "")):
        monkeypatch.setattr(transfers.mx.metal, "is_available", lambda metal=metal: metal)
        assert told in transfers.arrival() and bool(transfers.arrival()) == metal


def test_every_route_has_a_colour_of_its_receiver():
    found = {route: transfer_figures.receiver(route) for route in ROUTES if route != "nothing"}
    assert set(found.values()) == {"MLX", "PyTorch", "NumPy"}
    gpu = {route: found[route] for route in found if ROUTES[route].gpu}
    assert gpu == {
        "PyTorch CPU → GPU, .to": "PyTorch",
        "PyTorch GPU → CPU, .cpu()": "PyTorch",
        "PyTorch CPU → GPU → CPU": "PyTorch",
        "PyTorch GPU → MLX, mx.asarray": "MLX",
    }
    assert found["MLX → NumPy, np.array"] == "NumPy"


def test_a_copy_that_pretends_to_share_is_found_out(monkeypatch):
    monkeypatch.setitem(ROUTES, "a liar", Route(lambda x: x, np.copy))
    assert not transfers.prove("a liar", 4096)["written"]


def test_a_large_copy_adds_its_bytes():
    """In a process of its own, as the page has it: a used one takes memory from what it freed before."""
    found = fresh_process.call("twins.transfer.transfers:prove", {"route": COPIED, "size": 2**24})
    assert found["added"] == pytest.approx(2**24, rel=0.2)


def test_every_route_is_timed_and_one_into_each_framework_again():
    variants = transfers.variants(64)
    assert set(variants) == {*transfers.routes(), COPIED + AGAIN, "NumPy → MLX, mx.array" + AGAIN}


def test_both_frameworks_work_is_timed_again_when_sides_are_switched():
    again = [name for name in device_switching.variants(8) if name.endswith(AGAIN)]
    assert sorted(name.split()[0] for name in again) == ["MLX", "PyTorch"]


def test_only_a_gpu_is_waited_for(monkeypatch):
    """Waiting for an idle framework takes longer than the hand-overs themselves."""
    waited = []
    monkeypatch.setattr(transfers.TORCH, "synchronize", lambda: waited.append(1))
    monkeypatch.setitem(ROUTES, "to a GPU", Route(lambda x: x, lambda x: x, gpu=True))
    monkeypatch.setattr(transfers, "routes", lambda: ROUTES)
    for name in ("to a GPU", SHARED):
        variant = transfers.variants(64)[name]
        variant.call()
        variant.synchronize()
    assert waited == [1]


def test_the_source_is_made_outside_the_timed_call(monkeypatch):
    made = []
    monkeypatch.setitem(ROUTES, "slow", Route(lambda x: made.append(1) or x, lambda x: x))
    variant = transfers.variants(64)["slow"]
    before = len(made)
    variant.call()
    assert before == len(made) == 1


def test_what_is_held_at_once_is_what_the_estimate_counts():
    sources = {id(variant.call.args[0]) for variant in transfers.variants(64).values()}
    assert len(sources) + 2 <= transfers.HELD  # and two copies in flight
    assert transfers.room([64, 1024]) == transfers.HELD * 1024


@pytest.mark.parametrize(
    ("route", "size", "error", "told"),
    [
        (SHARED, 0, ValueError, r"sizes are \[0\]; allowed are multiples of 4 bytes"),
        (SHARED, 1023, ValueError, r"sizes are \[1023\]; allowed are multiples of 4 bytes"),
        (
            "MLX → moon",
            64,
            ValueError,
            "hand-over 'MLX → moon' does not exist here; there are nothing, NumPy",
        ),
        (SHARED, 2**50, MemoryError, r"estimated to need \d+\.\d+ GiB; \d+\.\d+ GiB are free"),
    ],
)
def test_bad_input_is_told_in_one_sentence(route, size, error, told):
    with pytest.raises(error, match=told):
        transfers.prove(route, size)


def test_both_sides_of_the_switching_workload_compute_the_same():
    matrix = device_switching._matrix(16)
    with on("cpu"):  # where the two meet
        calls = device_switching._between_frameworks(16)
        for name in ("MLX then PyTorch, copied", "MLX then PyTorch, shared", "PyTorch twice", "MLX twice"):
            wanted = matrix @ (matrix @ matrix)
            np.testing.assert_allclose(np.array(calls[name]()), wanted, rtol=1e-4, atol=1e-5)


PROOFS = [
    Sharing("NumPy → MLX, a copy", 4096, False, False, 4096),
    Sharing("MLX → PyTorch, a view", 4096, True, None, 0),
]


def costs(size: int, copy: float) -> Timing:
    seconds = {"nothing": 1e-6, "NumPy → MLX, a copy": copy, "MLX → PyTorch, a view": 2e-6}
    return timed("hand-over", {"bytes": size}, seconds)


RECORDS = [costs(1024, 4e-6), costs(2**20, 1e-3)]


def test_tables_and_figure_say_what_the_records_hold():
    table = transfer_tables.cost_table(RECORDS, PROOFS, 4 * 2**20 * 1e3).set_index("hand-over")
    assert table.loc["NumPy → MLX, a copy", ceilings.SHARE] == pytest.approx(50)
    slow = transfer_tables.cost_table(RECORDS, PROOFS, 2**20 * 1e3).set_index("hand-over")
    assert slow.loc["NumPy → MLX, a copy", ceilings.SHARE] == ceilings.TOO_LOW
    assert ceilings.over(slow).startswith("1 of 1 shares exceed 105 %")
    assert table.loc["MLX → PyTorch, a view", "µs for 1 MB"] == pytest.approx(2)
    assert np.isnan(table.loc["MLX → PyTorch, a view", "GB/s moved"])
    proofs = transfer_tables.proof_table(PROOFS).set_index("hand-over")
    assert list(proofs["memory"]) == ["copied", "shared"]
    assert proofs.loc["MLX → PyTorch, a view", "one address"] == "cannot be read"
    assert "1 of 2 hand-overs share memory, 1 copy" in transfer_figures.times(RECORDS, PROOFS).alt
    assert "copying takes 1 ms and sharing 2 µs" in transfer_tables.reading(PROOFS, RECORDS)
    assert "1 µs" in transfer_tables.harness(RECORDS)


def test_nothing_timed_is_said():
    assert "Nothing to draw" in transfer_figures.times([], PROOFS).alt
    assert transfer_tables.cost_table([], PROOFS, 1.0).empty
    assert ceilings.over(transfer_tables.cost_table([], PROOFS, 1.0)) == "No share is known."
    assert "nothing to compare" in transfer_tables.reading(PROOFS, [])
    assert "need a GPU" in transfer_tables.absent(["PyTorch CPU → GPU, .to"], "CPU")


def test_the_share_of_the_copies_is_their_time_over_the_alternating_work():
    seconds = {"PyTorch twice": 1.0, "MLX then PyTorch, copied": 2.0, "hand-over alone, copied": 0.1}
    assert "copying is 5 % of the time" in transfer_tables.switch_share(timed("switching", {"n": 8}, seconds))
