"""Hand-overs: sharing is what a write shows, the timed span holds nothing else, the tables follow."""

import numpy as np
import pytest
from records import timed

from twins.evidence.verdicts import claims
from twins.figures import transfer_figures
from twins.frameworks import on
from twins.machine import fresh_process
from twins.records.record_types import Sharing, Timing
from twins.timing import harness
from twins.timing.ceilings import ceilings
from twins.timing.statistics import AGAIN
from twins.transfer import device_switching, forced_hand_overs, transfer_tables, transfers
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
    again = [name for name in device_switching.variants([8]) if name.endswith(AGAIN)]
    assert sorted(name.split()[1] for name in again) == ["MLX", "PyTorch"]


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
    assert table.loc["NumPy → MLX (a copy)", ceilings.SHARE] == pytest.approx(50)
    slow = transfer_tables.cost_table(RECORDS, PROOFS, 2**20 * 1e3).set_index("hand-over")
    assert slow.loc["NumPy → MLX (a copy)", ceilings.SHARE] == ceilings.TOO_LOW
    assert ceilings.over(slow).startswith("1 of 1 shares exceed 105 %")
    times = transfer_tables.time_table(RECORDS, PROOFS).set_index("hand-over")
    assert times.loc["MLX → PyTorch (a view)", "µs for 1 MB"] == pytest.approx(2)
    assert "MLX → PyTorch (a view)" not in table.index  # it moves nothing
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


def switching(n: int, share: float) -> Timing:
    seconds = {"PyTorch twice": 1.0, "MLX then PyTorch, copied": 2.0, "hand-over alone, copied": 2 * share}
    return timed("switching", {"n": n}, seconds | {"PyTorch twice" + AGAIN: 1.0})


FALLING = [switching(n, share) for n, share in ((100, 0.2), (400, 0.1), (1600, 0.025), (3200, 0.01))]


def test_the_size_where_copying_crosses_the_limit_lies_on_a_line_between_logarithms():
    assert transfer_tables.share(FALLING[1]).value == pytest.approx(0.1)
    assert transfer_tables.crossing([400, 1600], [0.1, 0.025]) == pytest.approx(800)
    assert transfer_tables.crossing([1, 2, 4], [0.1, 0.1, 0.06]) is None
    assert transfer_tables.crossing([1, 2], [0.04, 0.01]) is None
    assert "more than 5 % of the time below n = 800 (" in transfer_tables.crossed(FALLING)
    assert "at n = 400, the largest" in transfer_tables.crossed(FALLING[:2])
    assert "at no size more than 5 %" in transfer_tables.crossed(FALLING[2:])
    assert "below n = 800: n = 100: 20 %" in transfer_figures.shares(FALLING).alt
    assert list(transfer_tables.switch_table(FALLING)["copying, %"]) == pytest.approx([20, 10, 2.5, 1])
    assert transfer_tables.left_out([100, 400, 6400], FALLING[:2]).endswith("n = 6400.")


def test_slow_sides_are_left_out_and_said_and_wrong_ones_refused(monkeypatch):
    monkeypatch.setattr(device_switching.saturation, "median", lambda variant: 0.02)  # a product: 10 ms
    assert device_switching.affordable([128, 256, 512, 1024]) == [128, 256, 512]
    assert device_switching.affordable([4096]) == [4096]
    for sides in ([], [0, 64]):
        with pytest.raises(ValueError, match="allowed are one and more whole numbers"):
            list(device_switching.timings(sides, harness.Plan(1, 1, 2, 0)))


SMALL = {"vocabulary": 16, "context": 8, "width": 16, "layers": 1, "heads": 2}


def test_forced_hand_overs_keep_the_batch_and_share_no_memory():
    module = forced_hand_overs.train.named("transformer_lm")
    arrays = module.example(module.Config(**SMALL), np.random.default_rng(0), 2)
    halves = forced_hand_overs.train.halves(module, module.Config(**SMALL), forced_hand_overs.train.Recipe())
    for half in halves:
        for array in half.batch(arrays):
            for change in (forced_hand_overs.through_numpy, forced_hand_overs.copied):
                made = change(half, array)
                assert made.dtype == array.dtype
                np.testing.assert_array_equal(half.framework.numpy(made), half.framework.numpy(array))
                with on("cpu"):
                    assert transfers.same_address(made, array) is not True


def test_steps_with_forced_hand_overs_have_every_variant_and_run():
    made = forced_hand_overs.step_variants("transformer_lm", SMALL, 2)
    kinds = ("none", "through NumPy", "copied", "none" + AGAIN)
    assert set(made) == {f"{each} {kind}" for each in ("MLX", "PyTorch") for kind in kinds}
    for variant in made.values():
        harness.once(variant)


def test_the_page_and_the_claim_have_one_limit():
    (claim,) = (each for each in claims.load() if each.id == "unified-memory")
    assert claim.above == transfer_tables.LIMIT


def test_what_forcing_adds_is_told_as_a_share_of_the_difference():
    seconds = {"MLX none": 0.010, "MLX through NumPy": 0.011, "MLX copied": 0.010, "MLX none" + AGAIN: 0.0101}
    seconds |= {f"PyTorch {kind}": s for kind, s in {"none": 0.020, "through NumPy": 0.022}.items()}
    seconds |= {"PyTorch copied": 0.020, "PyTorch none" + AGAIN: 0.0202}
    told = forced_hand_overs.reading([timed("step with hand-overs", {}, seconds)])
    assert "MLX's step takes 10 ms less" in told
    assert "at most 2 ms (PyTorch, through NumPy), 20 % of that difference" in told
    quiet = seconds | {"MLX through NumPy": 0.010, "PyTorch through NumPy": 0.020}
    assert "No cost of forced hand-overs is shown" in forced_hand_overs.reading([timed("", {}, quiet)])
    assert len(forced_hand_overs.table([timed("", {}, seconds)])) == 8
