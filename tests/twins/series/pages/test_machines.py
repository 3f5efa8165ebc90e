"""Whose figures a site shows: which machines there are, which is first, and what a page says of another's."""

from pathlib import Path

import records
from msgspec.structs import replace as changed

from twins.records.store import SCHEMA, Found, Record
from twins.series import site
from twins.series.pages import machines, page_facts

PAGE = "02_transformer_lm"


def record(body, machine="chip-8gb", device="CPU", page=PAGE, day=1, **more):
    head = {"schema": SCHEMA, "kind": type(body).__name__.lower(), "machine": machine, "device": device}
    head |= {"versions": records.MACHINE.versions, "notebook": page, "profile": "quick"}
    return Record(**head | {"run": f"2026-03-{day:02}T10:00:00.000000Z", "body": body} | more)


def measured(machine="chip-8gb", device="CPU", pages=(PAGE,), day=1):
    facts = changed(records.MACHINE, id=machine, chip=machine, device=device)
    return [record(facts, machine, device, page, day) for page in pages]


def known(*runs):
    return machines.known(Found([each for run in runs for each in run], []))


def test_a_gpu_is_first_then_who_measured_most_then_the_newest():
    old, new = measured("old", day=1), measured("new", day=2)
    more, card = measured("more", pages=(PAGE, "03_bert")), measured("mac", "Apple GPU")
    assert [each.name for each in known(old, new, more, card)] == ["mac", "more", "new", "old"]


def test_a_second_device_is_a_machine_of_its_own_with_a_name_that_an_address_can_hold():
    found = known(measured("mac", "Apple GPU"), measured("mac", "CPU"))
    assert [(each.name, each.key) for each in found] == [("mac", "mac"), ("mac (CPU)", "mac-cpu")]
    assert found[0].caveat == "" and "not a Mac" in found[1].caveat


def test_other_versions_are_said():
    other = [
        record(r.body, day=2, page="03_bert", versions={"mlx": "0.33", "torch": "2"}) for r in measured()
    ]
    (found,) = known(measured(), other)
    assert "different versions" in found.caveat and len(found.records) == 2


def test_the_head_names_day_versions_and_profile():
    (found,) = known(measured(day=9))
    assert found.head(PAGE) == "Measured 9 Mar 2026 · mlx 0.32.4 · torch 2.13.0 · profile quick"
    assert found.head("03_bert") == ""


def test_a_page_says_whose_figures_it_shows():
    own, without = known(measured("own", pages=(PAGE, "03_bert")), measured("other", pages=("03_bert",)))
    notebook = f"**{own.facts}**"
    assert machines.ran_on(notebook, PAGE, [without, own]) is own
    told = page_facts.note(without, PAGE, own)
    assert told.startswith("This machine has no record of this page: `make report-02` on it makes one.")
    assert own.label in told and page_facts.note(own, PAGE, own) == ""
    assert "another machine" in page_facts.note(without, "03_bert", own)
    assert machines.ran_on(notebook, "04_vision", [own]) is None


def test_an_answer_is_computed_for_every_machine():
    def step(*times):
        made = records.step(4, *times)
        return changed(made, case=made.case | {"context": 64})

    fast = [*measured("fast"), record(step(0.1, 0.3), "fast")]
    found = known(fast, [*measured("slow"), record(step(0.3, 0.1), "slow")])
    told = {each.name: each.answer(PAGE).line for each in found}
    assert "MLX" in told["fast"] and "PyTorch" in told["slow"]
    facts = page_facts.facts(PAGE, f"**{found[0].facts}**", found, Path("none"), site.opening)
    assert facts["own"] == found[0].key and list(facts["openings"]) == [found[1].key]
    assert "image/svg+xml" in facts["openings"][found[1].key][1]["data"]
