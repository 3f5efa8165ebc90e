"""The published tables load, and a bad row is refused with its file and line."""

import pytest

from twins import published


def test_every_row_loads_with_its_address():
    rows = published.benchmarks()
    assert len(rows) == 316
    assert all(row.url.startswith("http") for row in rows)


def test_ratio_has_one_orientation():
    ratios = {(row.source_id, row.unit): row.ratio for row in published.benchmarks() if row.ratio}
    assert min(ratios.values()) > 0
    for row in published.benchmarks():
        if row.ratio and row.unit == "ms":
            assert row.ratio == row.pytorch_low / row.mlx_low
        if row.ratio and row.unit == "images/s":
            assert row.ratio == row.mlx_low / row.pytorch_low


def test_chips_are_numeric():
    chips = {chip.chip: chip for chip in published.chips()}
    assert len(chips) == 20
    assert chips["M1"].memory_bandwidth_gb_per_s == 68
    assert (chips["M6"].cpu_cores_m, chips["M6"].cpu_cores_e) == (4, 6)
    assert chips["M5 Max"].fp32_tflops is None and chips["M5 Max"].unsourced


@pytest.mark.parametrize(("old", "new"), [(",68,", ",fast,"), (",68,", ",-1,"), (",68,", ",nan,")])
def test_bad_number_names_its_line(tmp_path, old, new):
    text = (published.FOLDER / "apple_chips.csv").read_text(encoding="utf-8")
    path = tmp_path / "chips.csv"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(published.PublishedError, match=r"chips\.csv, line 2: memory_bandwidth"):
        published.chips(path)
