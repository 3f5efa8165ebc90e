"""How figures were measured, computed from the records themselves."""

from dataclasses import replace

import records
from msgspec import structs
from records import step

from twins.evidence import method


def test_processes_rounds_threads_noise_and_disturbances():
    busy = replace(records.QUIET, load_before=9.0)
    made = [step(1, 1.0, 2.0, conditions=busy), step(4, 1.0, 2.0)]
    assert method.told(made, records.MACHINE, "", "A note.") == (
        "3 fresh processes with 5 rounds each in random order, 1 CPU thread for each framework. Noise check: "
        "PyTorch timed against itself differed by up to 1.00×; differences below 1.05× count as ties.\n\n"
        "The machine was busy: load up to 9.0 on 2 cores (in 3 of 6 runs).\n\nA note."
    )


def test_plans_that_differ_are_a_range():
    once = structs.replace(step(4, 1.0, 2.0), runs=step(4, 1.0, 2.0).runs[:1])
    several = structs.replace(records.MACHINE, threads=8)
    assert method.plan([once, step(1, 1.0, 2.0)]).startswith("1–3 fresh processes")
    assert method.plan([once]) == "1 fresh process with 5 rounds each in random order"
    assert method.threads(several) == "8 CPU threads for each framework"


def test_a_page_that_timed_nothing_says_so():
    assert method.told([], records.MACHINE, "Why.") == "Nothing was timed.\n\nWhy."
