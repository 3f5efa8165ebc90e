"""Figures over sessions: how they are pooled, and what the committed sessions say of the printed interval."""

import itertools
from collections import defaultdict

import numpy as np
import pytest
from records import step
from scipy import stats
from test_summary import written

from twins.records import measurements, store
from twins.timing import comparison, sessions

RESULTS = store.ROOT / "data" / "results"


def test_a_session_is_the_mean_of_its_processes_paired():
    """What a whole process is slower by is no difference between the frameworks."""
    found = [comparison.runs(step(4, scale, 2.0 * scale))[0] for scale in (1.0, 3.0, 9.0)]
    assert np.allclose(sessions.logs(found, "PyTorch eager", "MLX eager"), np.log(2.0))


def test_one_session_has_the_known_spread():
    found = sessions.pooled([np.log([2.0, 2.0])], "training step")
    assert (found.count, found.spread, found.freedom) == (1, pytest.approx(0.12), 4.0)
    wide = stats.t.ppf(0.975, 4) * 0.12 * np.sqrt(2)
    assert found.ratio.low == pytest.approx(2 * np.exp(-wide)) and found.ratio.high == pytest.approx(
        2 * np.exp(wide)
    )


def test_sessions_bring_their_own_spread():
    """The known spread counts for four degrees of freedom, the sessions' own for one less than there are."""
    means = np.array([0.0, 0.3, 0.6])
    found = sessions.pooled([np.array([mean]) for mean in means], "training step")
    assert found.mean == pytest.approx(0.3)
    assert found.spread**2 == pytest.approx((4 * 0.12**2 + 2 * means.var(ddof=1)) / 6)
    quiet = sessions.pooled([np.array([0.3])] * 3, "training step")
    assert quiet.spread < 0.12 < found.spread


def test_scatter_of_processes_widens():
    calm, noisy = (sessions.pooled([np.array([-x, x])], "training step").spread for x in (0.0, 0.3))
    assert noisy**2 - calm**2 == pytest.approx(0.3**2)


def test_what_is_not_known_is_taken_as_wide():
    assert sessions.pooled([np.zeros(3)], "something new").spread == sessions.OTHER
    assert max(sessions.SPREAD["training step"], sessions.SPREAD["token"]) < sessions.OTHER


def test_how_many_sessions_decide():
    assert sessions.needed(1.0, 0.1, 1) == 2
    assert sessions.needed(0.05, 0.1, 1) == 13
    assert sessions.needed(0.001, 0.1, 1) is None


def test_the_same_work_in_several_runs_is_one_case():
    one = written(step(4, 1.0, 2.0), step(8, 1.0, 2.0), run="2026-01-01")
    two = written(step(4, 1.0, 2.0), step(4, 1.0, 2.0))
    found = measurements.by_case([*two, *one])
    assert [[len(each.runs) for each in own] for own in found] == [[3, 6], [3]]
    assert measurements.by_case([*two, *one], "token") == []


def test_a_size_that_a_later_session_calls_filled_is_one_case():
    old, new = step(4, 1.0, 2.0), step(4, 1.0, 2.0)
    new.case.update(filled=True, bound="computation")
    (own,) = measurements.by_case([*written(new), *written(old, run="2026-01-01")])
    assert [each.case.get("filled") for each in own] == [True, True]


# --- the committed sessions ------------------------------------------------------------------------


def committed() -> dict[str, list[list[np.ndarray]]]:
    """By subject: the log ratios of every case that several sessions timed, session by session."""
    found = defaultdict(list)
    for own in measurements.by_case(store.read(RESULTS).records):
        for kind in comparison.kinds(own[0]) if len(own) > 1 else []:
            same = [comparison.runs(each) for each in own if kind in comparison.kinds(each)]
            logs = [sessions.logs(runs, f"PyTorch{kind}", f"MLX{kind}") for runs in same]
            found[own[0].subject].append(logs)
    return found


COMMITTED = committed()


@pytest.mark.parametrize("subject", [*sessions.SPREAD, None])
def test_the_known_spread_is_that_of_the_committed_sessions(subject):
    """Within a factor of two: it is not fitted again with every session that is added."""
    known = sessions.SPREAD.get(subject, sessions.OTHER)
    subjects = [subject] if subject else [each for each in COMMITTED if each not in sessions.SPREAD]
    squares = freedom = 0.0
    for logs in (logs for each in subjects for logs in COMMITTED.get(each, [])):
        means = np.array([each.mean() for each in logs])
        within = np.mean([each.var(ddof=1) / len(each) if len(each) > 1 else 0.0 for each in logs])
        squares += ((means - means.mean()) ** 2).sum() - within * (len(means) - 1)
        freedom += len(means) - 1
    assert freedom > 0, "no case of this subject has several sessions"
    assert np.sqrt(max(squares, 0.0) / freedom) < 1.5 * known
    assert known < 0.13 or np.sqrt(squares / freedom) > known / 3


@pytest.mark.parametrize("count", [1, 2])
def test_the_interval_of_committed_sessions_holds_a_further_one(count):
    held = []
    for subject, cases in COMMITTED.items():
        for logs in cases:
            for *some, last in itertools.permutations(range(len(logs)), count + 1):
                if list(some) == sorted(some):
                    ratio = sessions.pooled([logs[i] for i in some], subject).ratio
                    held.append(ratio.low <= np.exp(logs[last].mean()) <= ratio.high)
    assert len(held) > 50 and np.mean(held) >= 0.9
