"""Rows of the first page and the README: computed, agreeing with the pages, and changed by a Mac."""

import re

import pytest
from msgspec.structs import replace as changed
from records import MACHINE, step, timed

from twins.evidence import summary
from twins.evidence.answers import pages, rows
from twins.evidence.published import published_benchmarks
from twins.records import store
from twins.records.export_types import DIRECT, Conversion
from twins.records.store import SCHEMA, Found, Record
from twins.series.pages import front_page, machines
from twins.timing.statistics import AGAIN

RESULTS = store.read(store.ROOT / "data" / "results")
COMMITTED = sorted({record.machine for record in RESULTS.records})
MAC = changed(MACHINE, id="mac-24gb", chip="Apple <M5>", gpu_cores=10, memory_gb=24, device=rows.MAC)
FACTORS = re.compile(r"(?:MLX|PyTorch) [\d.,]+(?:–[\d.,]+)?×")
NUMBER = re.compile(r"(?<![\w.-])\d+(?:\.\d+)?(?![\w-])")


def on(machine, *bodies, page="02_transformer_lm", day=2) -> list[Record]:
    head = {"schema": SCHEMA, "machine": machine.id, "device": machine.device, "versions": machine.versions}
    head |= {"notebook": page, "profile": "quick", "run": f"2026-01-{day:02}T00:00:00Z"}
    return [Record(**head, kind=type(body).__name__.lower(), body=body) for body in bodies]


def trained(mlx: float, torch: float, twin: str = "transformer_lm"):
    made = step(4, mlx, torch)
    return changed(made, case=made.case | {"twin": twin, "context": 64})


def package(route: str, seconds: float):
    case = {"precision": "float32", "target": "iOS17", "runs": 1}
    return Conversion("bert", route, case, {"all": seconds}, 1000, 10, 1e-7, True, "line", "", "", [])


def by_want(evidence, found) -> dict[str, rows.Row]:
    return {row.want: row for row in rows.rows(evidence, found)}


def factors(text: str) -> list[float]:
    """Every end of every range of factors in a text."""
    return [float(end) for each in FACTORS.findall(text) for end in re.findall(r"\d[\d,.]*", each)]


# --- agreement with the pages ------------------------------------------------------------------------


@pytest.mark.parametrize("machine", COMMITTED)
def test_rows_say_what_the_pages_say(machine):
    evidence = summary.evidence(RESULTS, machine)
    told, lines = by_want(evidence, RESULTS), pages.lines(evidence)
    for want, own in (
        ("Train a language model or BERT", rows.LANGUAGE),
        ("Train a ResNet or ViT", rows.VISION),
    ):
        said = [end for page in own for end in factors(lines.get(page, ""))]
        here = factors(told[want].here)
        assert (min(here), max(here)) == (min(said), max(said)) if said else told[want].here == "not measured"
    run = told["Generate text, transcribe speech"].here
    assert run == lines.get("06_inference", "not measured")
    shipped = told["Ship a model to Core ML"].here
    assert lines["07_coreml_from_pytorch"] in shipped
    (counts,) = re.findall(r"MLX: (\d+ of \d+ right, median [\d.]+ s)", lines["08_coreml_from_mlx"])
    assert f"MLX, one call: {counts}" in shipped


def test_the_first_page_shows_the_rows_and_lines_of_every_machine():
    known = machines.known(RESULTS)
    html = front_page.answers(known, set(pages.MAKERS), RESULTS)
    listed = front_page.page_lines(dict.fromkeys(pages.MAKERS, "A page"), known, set(pages.MAKERS))
    for machine in known:
        for row in rows.rows(machine.records, RESULTS):
            assert front_page.inline(row.here, set()) in html
            assert front_page.inline(row.on_a_mac, set()) in html
        for line in pages.lines(machine.records).values():
            assert front_page.inline(line, set(pages.MAKERS)) in listed


def test_the_table_for_the_readme_has_the_cells_of_the_rows():
    evidence = summary.evidence(RESULTS, COMMITTED[-1])
    lines = rows.markdown(evidence, RESULTS, "Chip").splitlines()
    assert lines[0] == "| you want to | on a Mac (Apple GPU) | measured here: Chip |"
    for line, row in zip(lines[2:], rows.rows(evidence, RESULTS), strict=True):
        want, on_a_mac, here = line.strip("| ").split(" | ")
        assert want.lower() == row.want.lower() and here == row.here
        assert on_a_mac.endswith(row.on_a_mac) and on_a_mac.startswith(row.known)


# --- no number but from records ----------------------------------------------------------------------


def test_without_records_and_published_figures_rows_lines_and_first_page_hold_no_number(monkeypatch):
    monkeypatch.setattr(published_benchmarks, "benchmarks", list)
    nothing = Found([], [])
    left = [text for row in rows.rows([], nothing) for text in (row.known, row.on_a_mac, row.here)]
    assert left[2] == left[5] == left[8] == left[11] == "not measured"
    platforms = left.pop(-2)
    assert re.findall(r"\d+", platforms) and platforms.endswith("platforms.")
    monkeypatch.setattr(published_benchmarks, "platforms", list)
    html = front_page.answers([], set(), nothing) + front_page.page_lines(
        {"02_transformer_lm": "A"}, [], set()
    )
    bare = re.sub(r"both run on 0 of 0 platforms|<[^>]*>|Core ML|Apple GPU", "", html, flags=re.IGNORECASE)
    assert NUMBER.findall(bare) == [] and not any(map(NUMBER.findall, left))
    assert pages.lines([]) == {}


# --- a Mac -------------------------------------------------------------------------------------------


def test_a_mac_replaces_what_others_published():
    training = [*on(MAC, MAC, trained(1.0, 3.6)), *on(MAC, trained(1.0, 2.5, "bert"), page="03_bert")]
    before, after = by_want([], Found([], [])), by_want([], Found(training, []))
    want = "Train a language model or BERT"
    assert before[want].known == rows.NO_MAC and "published" in before[want].on_a_mac
    assert after[want].known == ""
    assert after[want].on_a_mac == "Apple <M5>, 10 GPU cores, 24 GB: MLX 2.50–3.60× as fast in both cases"
    assert after["Train a ResNet or ViT"] == before["Train a ResNet or ViT"]
    slower = by_want([], Found([*on(MAC, MAC, trained(5.0, 2.0))], []))
    assert slower[want].on_a_mac.endswith("PyTorch 2.50× as fast")


def test_every_mac_is_named_and_a_cpu_of_a_mac_is_no_apple_gpu():
    other = changed(MAC, id="mac-8gb", memory_gb=8)
    twin = changed(MAC, id="mac-24gb-2")
    own = [record for m in (MAC, other, twin) for record in on(m, m, trained(1.0, 2.0))]
    assert list(rows.macs(Found(own, []))) == ["mac-24gb", "mac-24gb-2", "Apple <M5>, 10 GPU cores, 8 GB"]
    cpu = changed(MAC, device="CPU")
    assert rows.macs(Found(on(cpu, cpu, trained(1.0, 2.0)), [])) == {}


def test_core_ml_counts_once_it_ran_packages():
    made = [
        *on(MAC, package("PyTorch, torch.export", 1.0), page="07_coreml_from_pytorch"),
        *on(MAC, package(DIRECT, 0.5), page="08_coreml_from_mlx"),
    ]
    want = "Ship a model to Core ML"
    row = by_want(made, Found(made, []))[want]
    assert row.known == rows.NOT_RUN and row.on_a_mac.startswith("Either works. Packages are checked")
    assert row.here == (
        "MLX, one call: 1 of 1 right, median 0.50 s; PyTorch, torch.export: 1 of 1 right, median 1.00 s"
    )
    case = {"package": "lm", "units": ["ALL"]}
    ran = on(MAC, timed("Core ML prediction", case, {"ALL": 1.0, "ALL" + AGAIN: 1.0}), page="09_coreml_ship")
    row = by_want(made, Found([*made, *ran], []))[want]
    assert row.known == "" and row.on_a_mac == "Either works. Core ML itself ran 1 package."
