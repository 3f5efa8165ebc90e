"""The published tables load, and a bad row is refused with its file and line."""

import pytest

from twins.evidence.published import published_benchmarks


def test_every_row_loads_with_its_address():
    rows = published_benchmarks.benchmarks()
    assert len(rows) == 347
    assert all(row.url.startswith("http") for row in rows)


def test_ratio_has_one_orientation():
    ratios = {(row.source_id, row.unit): row.ratio for row in published_benchmarks.benchmarks() if row.ratio}
    assert min(ratios.values()) > 0
    for row in published_benchmarks.benchmarks():
        if row.ratio and row.unit == "ms":
            assert row.ratio == pytest.approx(row.pytorch_low / row.mlx_low)
        if row.ratio and row.unit == "images/s":
            assert row.ratio == pytest.approx(row.mlx_low / row.pytorch_low)


def test_a_range_has_a_span_and_a_middle():
    row = next(r for r in published_benchmarks.benchmarks() if r.source_id == "hf_harshitkgupta")
    assert row.span == pytest.approx((1 / 5.7, 1 / 2.2))
    assert row.ratio == pytest.approx((2.2 * 5.7) ** -0.5)


def test_chips_are_numeric():
    chips = {chip.chip: chip for chip in published_benchmarks.chips()}
    assert len(chips) == 20
    assert chips["M1"].memory_bandwidth_gb_per_s == 68
    assert (chips["M6"].cpu_cores_m, chips["M6"].cpu_cores_e) == (4, 6)
    assert chips["M5 Max"].fp32_tflops is None and chips["M5 Max"].unsourced


@pytest.mark.parametrize(("old", "new"), [(",68,", ",fast,"), (",68,", ",-1,"), (",68,", ",nan,")])
def test_bad_number_names_its_line(tmp_path, old, new):
    text = (published_benchmarks.FOLDER / "apple_chips.csv").read_text(encoding="utf-8")
    path = tmp_path / "chips.csv"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(published_benchmarks.PublishedError, match=r"chips\.csv, line 2: memory_bandwidth"):
        published_benchmarks.chips(path)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (",void,", ",MLX!,", "line 2: favours is 'MLX!', allowed are MLX, PyTorch, neither, void"),
        (",executed,", ",guessed,", "line 2: known is 'guessed', allowed are executed"),
        ("\nlucasste,", "\n,", "line 2: source_id is empty"),
        (",https://", ",nowhere://", "line 2: url is 'nowhere"),
        ("source_id,benchmark", "source,benchmark", "line 1: found columns"),
        (",lm_train,", ",", "line 2: the row does not have 8 cells"),
    ],
)
def test_bad_finding_names_its_line(tmp_path, old, new, why):
    assert why in refusal(tmp_path, "audit.csv", published_benchmarks.audit, old, new)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("\nlucasste,", "\nlucas,", "line 2: workload 'transformer LM"),
        (",5,192,32,", ",5,192,,", "line 2: examples is '', allowed is a whole number"),
        (",5,192,32,", ",5,192,1.5,", "line 2: examples is '1.5', allowed is a whole number"),
        (",5,192,32,", ",5,192,-32,", "line 2: examples is '-32', allowed are finite numbers from 0"),
        (",5,192,32,", ",0,0,32,", "line 2: operations are 0"),
        (",10240000,1,", ",999999999999,1,", "line 2: gathered is 999999999999 of"),
        (",10240000,1,", ",10240000,yes,", "line 2: updated is 'yes', allowed are 0 and 1"),
        (",counted,", ",guessed,", "line 2: known is 'guessed'"),
        (",https://", ",nowhere://", "line 2: url is 'nowhere"),
    ],
)
def test_bad_workload_names_its_line(tmp_path, old, new, why):
    assert why in refusal(tmp_path, "workloads.csv", published_benchmarks.workloads, old, new)


def refusal(tmp_path, name, read, old, new):
    """The sentence that a table with one change is refused with."""
    text = (published_benchmarks.FOLDER / name).read_text(encoding="utf-8")
    assert old in text
    (tmp_path / name).write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(published_benchmarks.PublishedError) as raised:
        read(tmp_path / name)
    assert name in str(raised.value)
    return str(raised.value)


def test_operations_of_workloads_are_those_of_their_sizes():
    """Counted again from layers, width, tokens and heads, as the papers write a transformer."""
    found = {row.workload.split(",")[0]: row.flops for row in published_benchmarks.workloads()}
    block = 12 * 1024**2  # weights of a layer: four square ones and two of 4 x width
    forward = 32 * 2 * 1024 * (12 * (block + 2 * 1024 * 1024) + 1024 * 10_000)
    assert found["transformer LM 12x1024"] == (192 + 3 * 5) * forward
    assert forward == pytest.approx(12.22e12, rel=1e-3)
    pair = 2 * 128 * 2 * (12 * 128**2 + 2 * 128 * 128) + 2 * 128**2 + 3 * 4 * 128
    assert found["BERT-tiny NLI 5 epochs from scratch"] == 8 * 2 * pair * (3 * 31_255 + 12_290)


def test_seconds_are_of_one_side_and_unit():
    row = published_benchmarks.benchmarks()[0]
    assert row.seconds("PyTorch") == row.pytorch_low * 1e-3
    assert row.seconds("MLX") == row.mlx_low * 1e-3
    rates = [row for row in published_benchmarks.benchmarks() if row.unit == "it/s"]
    assert rates and all(row.seconds("MLX") == 1 / row.mlx_low for row in rates)
    assert all(row.seconds("PyTorch") is None for row in rates)
