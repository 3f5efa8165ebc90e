"""Every printed count of published figures is tied to its rows: counted again, from the CSV files alone."""

import csv
import re
from collections import Counter
from dataclasses import replace

import pytest
import yaml
from test_roofline import row

from twins.evidence.published import (
    published_benchmarks,
    published_comparison,
    published_counts,
    published_tables,
)
from twins.evidence.published.published_benchmarks import FOLDER, Audited, PublishedError
from twins.evidence.verdicts import claims
from twins.figures import published_figures
from twins.records import store
from twins.records.store import Found
from twins.series import notebook_files, runner

TIES = (1 / 1.05, 1.05)
SECONDS, RATES = {"s", "ms", "us"}, {"images/s", "samples/s", "it/s", "tokens/s", "TFLOP/s", "x"}


def cells(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def ends(cell: dict[str, str]) -> tuple[float, float] | None:
    """Lowest and highest of PyTorch's time over MLX's, from the text of a row."""
    names = ("pytorch_low", "pytorch_high", "mlx_low", "mlx_high")
    if not all(cell[name] for name in names):
        return None
    torch_low, torch_high, mlx_low, mlx_high = (float(cell[name]) for name in names)
    if cell["unit"] in SECONDS:
        return torch_low / mlx_high, torch_high / mlx_low
    return (mlx_low / torch_high, mlx_high / torch_low) if cell["unit"] in RATES else None


VOID = {(c["source_id"], c["benchmark"]) for c in cells("audit.csv") if c["favours"] == "void"}


def fate(cell: dict[str, str]) -> str:
    """What becomes of a row: counted, or why it is not."""
    if ends(cell) is None:
        return "without a comparable pair"
    if cell["pytorch_backend"][:3] == "cpu" or cell["pytorch_backend"][:4] == "cuda":
        return "not on an Apple GPU"
    source, _, benchmark = cell["benchmark"].partition("/")
    if (source, benchmark) in VOID or (source, "all") in VOID:
        return "void"
    return "repeated" if cell["same_as"] else "counted"


FATES = [(cell, fate(cell)) for cell in cells("published_benchmarks.csv")]
COUNTED = [cell for cell, what in FATES if what == "counted"]
CHOSEN = published_counts.select(published_benchmarks.benchmarks(), published_benchmarks.audit())


def numbers(text: str) -> list[float]:
    return [float(found) for found in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?!\w)", text)]


def sides(some: list[dict[str, str]]) -> list[int]:
    """How many rows are of MLX's side, of PyTorch's, and of neither."""
    spans = [ends(cell) for cell in some]
    mlx, torch = sum(low > TIES[1] for low, _ in spans), sum(high < TIES[0] for _, high in spans)
    return [len(spans), mlx, torch, len(spans) - mlx - torch]


# --- counts of the data ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "claim", [entry for entry in yaml.safe_load(claims.FILE.read_text()) if entry.get("published")]
)
def test_a_claims_count_is_of_its_rows(claim):
    topics, least = claim["published"]["topics"], claim.get("least", claim["above"])
    limit = claim["published"].get("above", least)
    own = [(cell, what) for cell, what in FATES if cell["topic"] in topics]
    chip = claim.get("chip", "")
    own = [(cell, what) for cell, what in own if not chip or re.match(rf"{chip}\b", cell["chip"])]
    spans = [(cell["source_id"], ends(cell)) for cell, what in own if what == "counted"]
    left = Counter(what for _, what in own)
    parts = [f"{left[why]} {why}" for why in ("void", "repeated", "not on an Apple GPU") if left[why]]
    rest = f"; left out: {', '.join(parts)}" if parts else ""
    printed = claims.others(next(each for each in claims.load() if each.id == claim["id"]))
    if not spans:
        assert printed == f"none usable{rest}"
        return
    above = sum(low > limit for _, (low, _) in spans)
    across = sum(low <= limit < high for _, (low, high) in spans)
    sources = len({source for source, _ in spans})
    low, high = min(low for _, (low, _) in spans), max(high for _, (_, high) in spans)
    assert printed == (
        f"{above} of {len(spans)} pairs from {'one source' if sources == 1 else f'{sources} sources'} above "
        f"{limit:g}{f', {across} undecided' if across else ''}; {low:.3f} to {high:.3f}{rest}"
    )


def test_the_totals_are_of_the_rows_that_count():
    models = [cell for cell in COUNTED if cell["task"] != "op"]
    most = Counter(cell["source_id"] for cell in COUNTED).most_common(1)[0][1]
    expected = [*sides(COUNTED), 5, most, *sides(models), 5]
    assert numbers(published_counts.totals(CHOSEN.counted)) == expected


def test_what_is_left_out_is_told_by_reason():
    found = Counter(what for _, what in FATES)
    text = published_counts.left_out(CHOSEN)
    assert text.startswith(f"{len(FATES) - len(COUNTED)} of {len(FATES)} collected figures do not count: ")
    for why in ("without a comparable pair", "not on an Apple GPU", "void", "repeated"):
        assert f"{found[why]} {why}" in text


def test_the_table_of_sources_counts_the_same_rows():
    table = published_tables.sources(published_benchmarks.benchmarks(), published_benchmarks.audit())
    counted = Counter(cell["source_id"] for cell in COUNTED)
    assert dict(zip(table["source"], table["counted"], strict=True)) == {
        cell["source_id"]: counted[cell["source_id"]] for cell, _ in FATES
    }
    spans = [ends(cell) for cell in COUNTED if cell["source_id"] == "richiksc"]
    text = table.set_index("source").loc["richiksc", "as fast"]
    assert text == said(min(s[0] for s in spans), max(s[1] for s in spans))


def said(low: float, high: float) -> str:
    """A range of PyTorch's time over MLX's in the direction of the faster framework."""

    def one(ratio: float) -> tuple[str, str]:
        factor = max(ratio, 1 / ratio)
        return ("MLX" if ratio >= 1 else "PyTorch"), f"{factor:.2f}" if factor < 9.995 else f"{factor:.1f}"

    (who, first), (other, last) = one(low), one(high)
    if who != other:
        return f"{who} {first}× to {other} {last}× as fast"
    ends = sorted([first, last], key=float)
    return f"{who} {ends[0]}× as fast" if first == last else f"{who} {ends[0]}–{ends[1]}× as fast"


def test_the_figures_count_the_same_rows():
    for figure in (published_figures.by_generation, published_figures.by_year):
        alt = figure(CHOSEN.counted).alt
        assert published_counts.totals(CHOSEN.counted) in alt
        medians = re.findall(r" over (\d+)", alt.partition("Medians: ")[2])
        assert sum(map(int, medians)) == len(COUNTED)


def test_kinds_of_work_count_the_same_rows():
    topics = {
        "Training a transformer LM": "language model training",
        "Training BERT": "BERT training",
        "Training a ResNet": "ResNet training",
        "Fine-tuning with LoRA": "fine-tuning",
        "Generating text": "text generation",
        "Transcribing speech": "speech transcription",
        "Changing between CPU and GPU": "hand-over",
    }
    pairs = published_comparison.pairs(CHOSEN.counted, Found([], []), "chip-8gb")
    table = published_comparison.table(pairs).set_index("kind of work")
    for label, topic in topics.items():
        spans = [ends(cell) for cell in COUNTED if cell["topic"] == topic]
        assert table.loc[label, "pairs"] == len(spans)
        found = [end for span in spans for end in span]
        assert table.loc[label, "published, as fast"] == (said(min(found), max(found)) if found else "none")


def test_the_page_shows_only_rows_that_count():
    path = next(path for path in runner.sources() if path.stem == "11_published")
    sources = {cell["id"]: cell.source for cell in notebook_files.read(path).cells}
    for name in ("generation", "chip", "year", "operations", "pairs", "sides"):
        assert "chosen.counted" in sources[name] and "(rows" not in sources[name].replace("select(rows", "")


def test_the_audits_own_figures_are_found_again_without_what_came_in_later():
    """The audit of November 2026: 226 (120 / 91 / 15), and 50 (25 / 22 / 3) without single operations.

    Since then a range counts (PyTorch ahead, once) and a figure is void that was taken while another training
    ran (PyTorch ahead, once), so that the sums are the same.
    """
    later = {"sarthakyadav_kwt", "sglang_omni_1977", "sglang_omni_1967", "taneja_mac_ml", "unixpickle"}
    then = [cell for cell in COUNTED if cell["source_id"] not in later]
    assert sides(then) == [226, 120, 91, 15]
    assert sides([cell for cell in then if cell["task"] != "op"]) == [50, 25, 22, 3]
    ranges = [cell for cell in then if ends(cell)[0] < ends(cell)[1]]
    assert [cell["source_id"] for cell in ranges] == ["hf_harshitkgupta"]
    assert ("mlx_243_anfedoro", "all") in VOID


def test_a_repeated_row_is_of_one_measurement_with_the_row_it_names():
    rows = {(r["source_id"] + "/" + r["workload"], r["chip"], r["framework_versions"]) for r in COUNTED}
    repeated = [cell for cell, what in FATES if what == "repeated"]
    assert len(repeated) == 51
    assert all((r["same_as"], r["chip"], r["framework_versions"]) in rows for r in repeated)


# --- the rules, by rows made by hand ---------------------------------------------------------------------


def finding(benchmark: str, favours: str = "void") -> Audited:
    return Audited("s", benchmark, "f", favours, "read", "", "w", "http://x")


@pytest.mark.parametrize(
    ("changes", "audited", "why"),
    [
        ({}, [], ""),
        ({"mlx_low": None, "mlx_high": None}, [], published_counts.NO_PAIR),
        ({"unit": "GiB"}, [], published_counts.NO_PAIR),
        ({"pytorch_backend": "cpu"}, [], published_counts.ELSEWHERE),
        ({"chip": "NVIDIA GPU"}, [], published_counts.ELSEWHERE),
        ({"benchmark": "s/b"}, [finding("b")], published_counts.VOID),
        ({"benchmark": "s/b"}, [finding("all")], published_counts.VOID),
        ({"benchmark": "s/b"}, [finding("c"), finding("b", "MLX"), finding("all", "neither")], ""),
        ({"benchmark": ""}, [finding("b"), finding("all")], ""),
        ({"same_as": "s/w"}, [], published_counts.REPEATED),
    ],
)
def test_a_row_counts_or_not_for_one_reason(changes, audited, why):
    chosen = published_counts.select([row(**changes)], audited)
    assert len(chosen.counted) == (not why)
    assert [reason for reason, rows in chosen.left_out.items() if rows] == ([why] if why else [])


def told(*rows, limit=1.05) -> str:
    return published_counts.told(published_counts.select(rows, [finding("b")]), limit)


def test_ranges_count_for_the_side_on_which_all_of_them_lies():
    above, below = row(pytorch_high=6.0), row(mlx_low=8.0, mlx_high=16.0)  # 2 to 3; 0.25 to 0.5
    across = row(mlx_low=1.0, mlx_high=8.0)  # 0.5 to 4
    assert told(above) == "1 of 1 pairs from one source above 1.05; 2.000 to 3.000"
    assert told(above, below, across) == (
        "1 of 3 pairs from one source above 1.05, 1 undecided; 0.250 to 4.000"
    )
    assert [published_counts.winner(each.span) for each in (above, below, across)] == ["MLX", "PyTorch", None]


def test_what_lies_at_the_limit_is_not_above_it():
    assert told(row(), limit=2.0).startswith("0 of 1 pairs from one source above 2; 2.000")


def test_sources_are_counted_and_nothing_is_rounded_over_the_limit():
    close = row(pytorch_low=1.045, pytorch_high=1.045, mlx_low=1.0, mlx_high=1.0)
    assert told(close, row(source_id="t")) == "1 of 2 pairs from 2 sources above 1.05; 1.045 to 2.000"


def test_without_rows_the_sentence_says_whether_there_were_any():
    assert told() == "none collected"
    assert told(row(benchmark="s/b"), row(same_as="s/w")) == "none usable; left out: 1 void, 1 repeated"


# --- data that is wrong ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("benchmark", "lucasste/nothing", "line 2: benchmark is 'lucasste/nothing', allowed is nothing or"),
        ("topic", "cooking", "line 2: topic is 'cooking', allowed are language model training, BERT"),
        ("same_as", "nobody/nothing", "same_as is 'nobody/nothing', allowed is a kept row"),
        ("same_as", "tristanbilot_avg/op BCE", "same_as is 'tristanbilot_avg/op BCE'"),  # itself
    ],
)
def test_a_row_without_its_link_is_refused(tmp_path, column, value, why):
    rows = cells("published_benchmarks.csv")
    rows[0][column] = value
    path = tmp_path / "published_benchmarks.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(PublishedError) as raised:
        published_benchmarks.benchmarks(path)
    assert why in str(raised.value)


def test_every_finding_about_collected_rows_is_linked_from_one():
    sources = {cell["source_id"] for cell, _ in FATES}
    linked = {cell["benchmark"] for cell, _ in FATES}
    left_out = {"tristanbilot_avg/scatter", "taneja_mac_ml/layers", "taneja_mac_ml/Mistral"}  # no row came in
    known = {f"{c['source_id']}/{c['benchmark']}" for c in cells("audit.csv") if c["source_id"] in sources}
    assert {name for name in known if not name.endswith("/all")} - linked == left_out
    assert not left_out & linked


def test_what_gave_no_figure_says_why_and_where():
    rows = cells("no_figures.csv")
    assert len(rows) >= 6 and all(all(row.values()) for row in rows)
    assert all(row["url"].startswith("http") and re.fullmatch(r"2026-\d\d-\d\d", row["seen"]) for row in rows)
    for number in ("2510.18921", "2501.14925", "2511.05502", "2601.19139"):
        assert sum(number in row["source"] for row in rows) == 1
    caveat = next(row["why"] for row in rows if "pull request 49" in row["source"])
    assert "MLX_ENABLE_TF32=0" in caveat
    assert len(published_tables.unusable()) == len(rows)


def test_the_missing_rows_have_the_ratios_of_their_sources():
    found = {(r.source_id, r.topic): [] for r in CHOSEN.counted}
    for each in CHOSEN.counted:
        found[each.source_id, each.topic].append(round(each.ratio, 3))
    assert found["sarthakyadav_kwt", "keyword spotting training"] == [0.449, 0.592]
    assert found["sarthakyadav_kwt", "other inference"] == [0.766, 0.795]
    assert found["sglang_omni_1977", "speech transcription"] == [1.144, 0.924, 0.517]


def test_inferred_peaks_are_marked_and_say_on_what_they_rest():
    chips = {chip.chip: chip for chip in published_benchmarks.chips()}
    m4, m5 = chips["M4"], chips["M5"]
    assert m4.unsourced and m5.unsourced
    assert m4.fp32_tflops == pytest.approx(10 * 256 * 1.578e9 / 1e12, rel=1e-3) == m4.fp16_tflops
    assert m5.fp16_tflops == pytest.approx(10 * 1024 * 1.578e9 / 1e12, rel=3e-3)
    assert m5.fp16_tflops > 4 * 3.76 and m5.fp16_tflops > 13.84  # Apple's word; what was measured
    assert "1578 MHz" in m4.notes and "1578 MHz" in m5.notes and "FP8" in m5.notes


def test_the_criteria_on_the_page_are_those_of_the_file():
    text = published_counts.criteria()
    assert text.startswith("**A row comes in**") and "void" in text and "\n## " not in text
    assert text in (store.ROOT / "data" / "published" / "README.md").read_text(encoding="utf-8")
    assert len(text) > 1000


def test_a_claim_with_an_unknown_topic_is_refused(tmp_path):
    entry = yaml.safe_load(claims.FILE.read_text())[0] | {"published": {"topics": ["cooking"]}}
    (tmp_path / "claims.yaml").write_text(yaml.safe_dump([entry]))
    with pytest.raises(claims.ClaimError, match=r"published topics \['cooking'\]; allowed: language model"):
        claims.load(tmp_path / "claims.yaml")


def test_the_chip_of_a_claim_narrows_its_rows():
    claim = next(each for each in claims.load() if each.id == "twice-on-m3-max")
    assert claims.others(claim).startswith("0 of 1 pairs from one source above 2; 1.347")
    assert claims.others(replace(claim, chip="M1 Max")).startswith(
        "0 of 1 pairs from one source above 2; 1.589"
    )
    assert claims.others(replace(claim, chip="M9")) == "none collected"
