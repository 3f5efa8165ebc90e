"""Correct pairs of many kinds pass the gate; mistakes planted in them are refused, and their causes named.

A wrong cause costs more than a missing one: none may be named. `make bench-diagnosis` prints what is said of
each mistake.
"""

from collections import Counter

import pytest
from pair_corpus import Mistake, Pair, pairs
from pair_corpus.judged import PLACED, RIGHT, judge

import mlx.core as mx  # isort: skip  (after judged: the BLAS)

CORPUS = pairs()
PLANTED = [(pair, mistake) for pair in CORPUS for mistake in pair.mistakes]
SAMPLE = CORPUS[:: len(CORPUS) // 12][:12]
SEEDS, MANY = range(3), range(20)
EVERY = 3  # mistake is tried by `make test`, and all of them by `make oracle`
SHARE = 0.85  # of the mistakes have their causes named
OUTCOMES: Counter[str] = Counter()  # of the mistakes that were tried


def called(planted: tuple[Pair, Mistake]) -> str:
    pair, mistake = planted
    return f"{pair.name}: {mistake.name}"


@pytest.fixture
def uncompiled():
    """MLX compiles nothing: it runs a C++ compiler for each new graph, which only the sample has time for."""
    mx.disable_compile()
    yield
    mx.enable_compile()


def test_names_are_told_apart_and_every_mistake_can_be_written(tmp_path):
    assert len({pair.name for pair in CORPUS}) == len(CORPUS)
    assert len({called(planted) for planted in PLANTED}) == len(PLANTED)
    for pair, mistake in [*((pair, None) for pair in CORPUS), *PLANTED]:
        compile(pair.written(tmp_path, mistake).read_text(), pair.name, "exec")


def refused(pair: Pair, seeds: range, tmp_path) -> dict[int, tuple[tuple[str, ...], str]]:
    path = pair.written(tmp_path)
    found = {seed: judge(path, seed) for seed in seeds}
    return {seed: (judged.failed, judged.told) for seed, judged in found.items() if not judged.passed}


@pytest.mark.parametrize("pair", CORPUS, ids=lambda pair: pair.name)
def test_a_correct_pair_passes(pair, tmp_path, uncompiled):
    assert refused(pair, SEEDS, tmp_path) == {}


@pytest.mark.parametrize("pair", SAMPLE, ids=lambda pair: pair.name)
def test_a_correct_pair_passes_twenty_times_of_twenty(pair, tmp_path):
    assert refused(pair, MANY, tmp_path) == {}


def rarely(place: int, planted: tuple[Pair, Mistake]):
    return pytest.param(planted, marks=pytest.mark.oracle if place % EVERY else ())


@pytest.mark.parametrize("planted", [rarely(*each) for each in enumerate(PLANTED)], ids=called)
def test_a_mistake_is_refused_and_no_wrong_cause_named(planted, tmp_path, uncompiled):
    pair, mistake = planted
    judged = judge(pair.written(tmp_path, mistake))
    outcome = judged.outcome(mistake)
    OUTCOMES[outcome] += 1
    assert outcome in (RIGHT, PLACED), judged


def test_causes_are_named():
    """Of the mistakes that this run has tried, which are all but few unless some were chosen by name."""
    if OUTCOMES.total() < len(PLANTED) // EVERY:
        pytest.skip("too few of the mistakes were tried in this run")
    assert OUTCOMES[RIGHT] >= SHARE * OUTCOMES.total()
