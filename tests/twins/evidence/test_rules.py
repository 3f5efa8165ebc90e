"""Rules decide as they say: by hand-made figures, and by simulation of machines whose truth is known."""

import numpy as np
import pytest
import yaml
from records import over

from twins.evidence.verdicts import claims, power, rules
from twins.evidence.verdicts.power import FASTER, TWICE, Situation
from twins.evidence.verdicts.queries import Figure, timed_figure
from twins.evidence.verdicts.rules import CONTRADICTED, DEPENDS, SUPPORTED, UNDECIDED, Limits
from twins.timing.sessions import Sessions


def figure(value: float, factor: float = 1.02, band: float = 1.05, **case: str) -> Figure:
    """A figure over three sessions, whose next lies within a factor."""
    return timed_figure("a case", over(value, factor), case, band)


def point(value: float, **case: str) -> Figure:
    return Figure("a model", value, value, value, case)


@pytest.mark.parametrize(
    ("rule", "figures", "word"),
    [
        ("mean", [figure(1.3), figure(1.2)], SUPPORTED),
        ("mean", [figure(1.3), figure(0.8), figure(1.3)], UNDECIDED),  # no property says which
        ("mean", [figure(1.3, batch="1"), figure(0.8, batch="4")], DEPENDS),
        ("mean", [figure(0.9), figure(0.8)], CONTRADICTED),
        ("mean", [figure(1.0)], CONTRADICTED),  # a tie is no advantage
        ("mean", [figure(1.04, factor=1.05)], UNDECIDED),  # above 1, and too little to be worth the name
        ("mean", [figure(1.2, band=1.3)], UNDECIDED),  # within the harness's own error
        ("mean", [figure(1.2, factor=2.0)], UNDECIDED),
        ("mean", [point(2.0), point(1.9), point(2.1)], SUPPORTED),
        ("mean", [point(2.0)], UNDECIDED),  # one model says nothing of others
        ("mean", [point(0.5), point(0.4), point(0.5)], CONTRADICTED),
        ("every", [figure(1.3), figure(1.2)], SUPPORTED),
        ("every", [point(1.3), point(1.2)], SUPPORTED),
        ("every", [figure(1.3), figure(0.8)], DEPENDS),
        ("every", [figure(0.9), figure(0.8)], CONTRADICTED),
        ("every", [figure(1.3), figure(1.0, factor=1.3)], UNDECIDED),
    ],
)
def test_the_rule_gives_each_word(rule, figures, word):
    assert rules.RULES[rule](figures, FASTER)[0] == word


@pytest.mark.parametrize(
    ("values", "word"),
    [([1.2, 2.5], SUPPORTED), ([1.2, 1.5], CONTRADICTED), ([1.2, 2.01], UNDECIDED)],
)
def test_up_to_is_about_the_largest(values, word):
    found, why = rules.largest([figure(value) for value in values], TWICE)
    assert found == word and f"the largest of 2 cases is a case: {values[1]:.3g}" in why


def test_what_it_depends_on_is_the_property_with_the_fewest_groups():
    figures = [figure(1.5, twin=twin, batch=batch) for twin in ("lm", "bert") for batch in "12"]
    figures += [figure(0.6, twin=twin, batch="16") for twin in ("lm", "bert")]
    figures = [Figure(**{**vars(f), "case": f.case | {"id": str(i)}}) for i, f in enumerate(figures)]
    word, why = rules.mean(figures, FASTER)
    assert word == DEPENDS
    assert why.startswith("on batch: 1: for, 1.5; 2: for, 1.5; 16: against, 0.6. All: 1.11 [")


def test_the_models_of_a_sample_are_no_property():
    """Among models that each were measured once, each differs from each; only their mean is judged."""
    assert rules.mean([point(v, model=str(v)) for v in (0.5, 2.0, 3.0, 2.5)], FASTER)[0] == UNDECIDED


def test_undecided_says_what_would_decide():
    one = timed_figure("a case", Sessions(np.log(1.2), 1, 0.12, 4.0), {}, 1.05)
    word, why = rules.mean([one], FASTER)
    assert word == UNDECIDED
    assert why.endswith("within one session: provisional; a case: 1.2 [0.749, 1.92]. "
                        "If the figure stays, 2 sessions would decide")  # fmt: skip
    at_limit = timed_figure("a case", Sessions(np.log(1.05), 3, 0.12, 6.0), {}, 1.06)
    assert rules.mean([at_limit], FASTER)[1].endswith(
        "No number of sessions up to 50 would decide, because it lies at the limit"
    )


def test_a_claim_says_its_figure_its_spread_and_its_sessions():
    found = rules.overall([figure(2.0), figure(1.0)])
    assert str(found).startswith("1.41 [") and "over 2 cases, which differ by a factor of 1.63" in str(found)
    assert str(found).endswith(", and 3 sessions")
    assert found.sessions == 3 and found.value == pytest.approx(2**0.5)


# --- power and false verdicts ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "limits", "cases", "subject"),
    [
        ("mean", FASTER, 1, "training step"),
        ("mean", FASTER, 3, "training step"),
        ("mean", FASTER, 12, "training step"),
        ("every", FASTER, 5, "switching"),
    ],
)
def test_three_sessions_show_an_advantage_of_a_fifth_and_none_where_there_is_none(
    rule, limits, cases, subject
):
    shares = [power.verdicts(Situation(rule, limits, cases, true, 3, subject), 300) for true in (1.2, 1.0)]
    assert shares[0][SUPPORTED] >= 0.8 and shares[0][CONTRADICTED] <= 0.05
    assert shares[1][SUPPORTED] <= 0.05


@pytest.mark.parametrize("cases", [2, 8])
@pytest.mark.parametrize("sessions", [1, 3])
def test_up_to_twice_is_not_supported_by_less(cases, sessions):
    assert power.verdicts(Situation("largest", TWICE, cases, 1.8, sessions), 300)[SUPPORTED] <= 0.05


def test_more_than_twice_is_found():
    assert power.verdicts(Situation("largest", TWICE, 2, 2.5, 3), 300)[SUPPORTED] >= 0.8


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("spread", [0.04, 0.08, 0.12])
def test_the_printed_interval_holds_the_next_session(count, spread):
    assert power.coverage(count, spread, 400) >= 0.93


def test_every_rule_of_the_claims_is_simulated():
    assert {each.rule for each in power.situations((3,))} == {claim.rule for claim in claims.load()}
    assert list(power.table(2, (3,))["rule"].unique()) == ["mean", "largest", "every"]


# --- versions --------------------------------------------------------------------------------------


def test_every_change_of_the_rules_says_which_verdicts_it_changed():
    known, words = {claim.id for claim in claims.load()}, set(claims.WORDS)
    entries = yaml.safe_load(claims.CHANGES.read_text())
    versions = [entry["version"] for entry in entries]
    assert versions == sorted(versions) and [entry["after_looking"] for entry in entries] == [
        False,
        *[True] * (len(entries) - 1),
    ]
    for entry in entries:
        assert set(entry["changed"]) <= known
        assert all(len(pair) == 2 and set(pair) <= words for pair in entry["changed"].values())
    assert len(claims.changes()) == len(entries)


def test_limits_are_in_the_sentence_of_a_rule():
    claim = next(claim for claim in claims.load() if claim.id == "training-bert")
    assert claim.limits == Limits(1.0, 1.05)
    assert "lies above 1 with its bound (95 %) and is at least 1.05" in claim.decision
