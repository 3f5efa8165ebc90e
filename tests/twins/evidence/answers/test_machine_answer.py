"""What the pages on the machine and on published figures say first."""

import csv

import pytest
import records
from records import product, timed

from twins.evidence.answers import machine, pages
from twins.evidence.published import published_counts
from twins.evidence.published.published_benchmarks import FOLDER
from twins.records.record_types import AS_SHIPPED, EQUAL, Breadth, Finding, Precision
from twins.records.store import Record
from twins.timing.statistics import AGAIN

MACHINE, PUBLISHED = "01_machine", "11_published"


def record(body, notebook: str = MACHINE, run: str = "2026-01-01") -> Record:
    kind, versions = type(body).__name__.lower(), records.MACHINE.versions
    return Record(1, kind, "chip-8gb", "CPU", versions, notebook, "quick", run, body)


def precision(framework: str, setting: str, error: float) -> Precision:
    return Precision(framework, setting, 8, error, error)


STREAM = timed(
    "stream",
    {"numbers": 10**9, "new_pages": {}},
    {"MLX, copy": 1.0, "PyTorch, copy": 0.5, "NumPy, copy": 0.4, f"PyTorch, copy{AGAIN}": 0.5},
)


@pytest.fixture
def probes() -> list:
    return [product(1000, "float32", 0.020, 0.025), product(1000, "bfloat16", 0.4, 0.010), STREAM]


def test_the_machine_says_its_ceilings_and_how_close_each_framework_comes(probes):
    shipped = [precision(f, s, 1e-7) for f in ("MLX", "PyTorch") for s in (AS_SHIPPED, EQUAL)]
    found = pages.of(MACHINE, [record(body) for body in [*probes, *shipped]])
    assert found.line == (
        "products in float32 100 GFLOP/s (MLX 100 %, PyTorch 80 %); memory 20 GB/s (MLX 40 %, PyTorch 80 %)"
    )
    assert found.sentences[:3] == (
        f"**At best**, and how close each framework comes: {found.line}.",
        "**In half types**: products in bfloat16 200 GFLOP/s (MLX 2 %, PyTorch 100 %).",
        "**float32 as shipped**: both compute it exactly.",
    )
    assert found.sentences[3].startswith("Noise check: PyTorch timed against itself")


def test_less_exact_float32_is_said_of_the_framework(probes):
    shipped = [precision("MLX", AS_SHIPPED, 1e-3), precision("MLX", EQUAL, 1e-7)]
    shipped += [precision("PyTorch", setting, 1e-7) for setting in (AS_SHIPPED, EQUAL)]
    told = machine.answer([record(body) for body in [*probes, *shipped]]).sentences
    assert "**float32 as shipped**: MLX computes it less exactly." in told


def test_the_newest_run_gives_the_ceilings_and_without_products_there_is_no_answer(probes):
    faster = record(product(1000, "float32", 0.010, 0.010), run="2026-01-02")
    assert "200 GFLOP/s" in machine.answer([*map(record, probes), faster]).line
    assert machine.answer([record(STREAM)]) is None


def test_the_table_has_the_ceilings_of_the_sentences(probes):
    assert list(machine.table(probes).itertuples(index=False, name=None)) == [
        ("products in float32, GFLOP/s", pytest.approx(100), pytest.approx(100), pytest.approx(80)),
        ("products in bfloat16, GFLOP/s", pytest.approx(200), pytest.approx(2.5), pytest.approx(100)),
        ("memory, GB/s", pytest.approx(20), pytest.approx(40), pytest.approx(80)),
    ]


# --- published -------------------------------------------------------------------------------------------


def cells(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_published_figures_are_counted_and_what_was_tried_here_is_of_the_records():
    tried = [
        Finding("missing optimizer step", "m", 0.0, 1.0, True),
        Finding("a statement", "m", 0.0, 1.0, True),
    ]
    wide = [Breadth("MLX", "layers", 10, ["a", "b"]), Breadth("PyTorch", "layers", 5, [])]
    found = pages.of(PUBLISHED, [record(body, PUBLISHED) for body in [*tried, *wide]])
    rows, audited = cells("published_benchmarks.csv"), cells("audit.csv")
    void = sum(each["favours"] == "void" for each in audited)
    assert f" of {len(rows)} published pairs are sound: MLX leads " in found.line
    assert found.sentences[1].startswith(f"**The audit**: {len(audited)} findings in ")
    assert f"and {void} make a figure void" in found.sentences[1]
    assert found.sentences[2] == "**Reproduced here**: 1 of 1 findings that were tried."
    assert found.sentences[3].startswith("**Breadth**: PyTorch has the larger share")
    assert len(pages.of(PUBLISHED, [record(tried[0], PUBLISHED)]).sentences) == 3


def test_who_leads_is_said_by_whole_spans():
    assert published_counts.leads([]) == ""
