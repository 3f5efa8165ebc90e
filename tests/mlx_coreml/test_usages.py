"""The zoo of usages: a judge that sees faults, a usage of every kind, and with time all of them."""

import dataclasses
import warnings

import mlx.nn as nn
import numpy as np
import pytest

from mlx_coreml import convert
from mlx_coreml.coverage import usage_judge
from mlx_coreml.coverage.outcomes import causes
from mlx_coreml.coverage.usage_cases.usage import Kind, Made, Usage, call, normal
from mlx_coreml.coverage.usage_judge import judge_usage
from mlx_coreml.coverage.usages import KINDS, cases
from mlx_coreml.coverage.user_objects import changes, evaluated, pictured
from mlx_coreml.coverage.worker_processes import judge_all
from twins.frameworks import mx

USAGES = list(cases())


def usage(fn, example=(2, 4), refused="", **options) -> Usage:
    """A usage of a function of x that is made once."""

    def build():
        return Made(fn, call(normal(*example)), [call(normal(*example)), call(mx.zeros(example))], options)

    return Usage("test", "test: a function", build, refused)


def verdict(made: Usage) -> tuple[str, str]:
    outcome = judge_usage(made)
    return outcome.verdict, outcome.reason


def test_there_are_many_usages_of_every_kind_and_their_names_differ():
    assert len(USAGES) >= 200 and len({each.name for each in USAGES}) == len(USAGES)
    assert all(len(list(kind)) >= 3 for kind in KINDS)


def test_every_usage_has_calls_that_its_conversion_does_not_see():
    for each in USAGES:
        made = each.make()
        assert made.unseen, each.name
        flat = [usage_judge.arrays((unseen.args, unseen.named)) for unseen in made.unseen]
        given = usage_judge.arrays((made.example.args, made.example.named))
        same = [len(arrays) == len(given) and all(map(np.array_equal, arrays, given)) for arrays in flat]
        assert each.refused or not all(same), each.name


def test_a_usage_is_made_anew_with_the_same_numbers():
    first, again = (next(iter(KINDS[0])).make() for _ in range(2))
    assert first.fn is not again.fn and mx.array_equal(first.fn.weight, again.fn.weight)


def test_names_in_a_kind_differ():
    kind = Kind("kind")

    def build():
        """A usage"""

    kind(build)
    with pytest.raises(ValueError, match="has the docstring 'A usage' or none"):
        kind(build)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_usage_of_every_kind(kind):
    outcome = judge_usage(next(each for each in kind if not each.refused))
    assert (outcome.verdict, outcome.reason) == ("right", "")


@pytest.mark.oracle
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_usage_is_right_or_refused_as_expected(kind, tmp_path):
    outcomes = list(judge_all(list(kind), 1, "float32", 240, tmp_path / "log"))
    assert [o for o in outcomes if o.verdict not in ("right", "refused")] == [], causes(outcomes, 20)


@pytest.mark.oracle
def test_usages_that_ask_for_no_precision_are_right_in_half_precision(tmp_path):
    outcomes = list(judge_all(USAGES[::9], 1, "float16", 240, tmp_path / "log"))
    assert [o for o in outcomes if o.verdict not in ("right", "refused")] == [], causes(outcomes, 20)


def test_numbers_of_the_example_that_are_baked_in_are_seen(monkeypatch):
    def baked(fn, x, **options):
        constant = fn(x)
        return convert(lambda x: constant + 0 * x, x, **options)

    monkeypatch.setattr(usage_judge, "convert", baked)
    told = verdict(usage(mx.tanh))
    assert told[0] == "wrong" and told[1].startswith("call 0 of (2, 4), output: rms-relative error")


def test_a_refusal_that_is_not_expected_is_a_crash():
    told = verdict(usage(lambda x: x * x.sum().item()))
    assert told[0] == "crash" and "a refusal that the usage does not expect: CaptureError" in told[1]


def test_an_expected_refusal_is_compared_with_its_sentence():
    read = "reads the numbers in an array"
    assert verdict(usage(lambda x: x * x.sum().item(), refused=read))[0] == "refused"
    assert verdict(usage(lambda x: x * x.sum().item(), refused="something else"))[0] == "crash"
    assert verdict(usage(mx.tanh, refused=read)) == ("wrong", f"converted; it must be refused: {read}")


def test_an_error_that_is_not_the_converters_own_is_a_crash(monkeypatch):
    monkeypatch.setattr(usage_judge, "convert", lambda *example, **options: [][1])
    assert verdict(usage(mx.tanh, refused="list"))[0] == "crash"


def test_what_is_printed_and_warned_is_seen(monkeypatch):
    def loud(*example, **options):
        print("a word")
        return convert(*example, **options)

    def wordy(*example, **options):
        warnings.warn("one", stacklevel=1)
        warnings.warn("two", stacklevel=1)
        return convert(*example, **options)

    monkeypatch.setattr(usage_judge, "convert", loud)
    assert verdict(usage(mx.tanh)) == ("wrong", "the conversion printed 'a word\\n'")
    monkeypatch.setattr(usage_judge, "convert", wordy)
    assert verdict(usage(mx.tanh)) == ("wrong", "2 warnings: one | two")


def test_objects_that_a_conversion_changes_are_seen(monkeypatch):
    net = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.1))

    def changing(fn, *example, **options):
        net.eval()
        return convert(fn, *example, **options)

    monkeypatch.setattr(usage_judge, "convert", changing)
    told = verdict(usage(lambda x: net(x)))
    assert told[0] == "wrong" and "_training was True and is False" in told[1]


def test_a_state_that_is_not_kept_is_seen(monkeypatch):
    made = next(each for each in USAGES if each.name == "state: Two counters")
    monkeypatch.setattr(usage_judge, "convert", lambda fn, *example, **options: convert(
        lambda x, a, b: (x * 2 + b, a + 2, b + a), *example, **options))  # fmt: skip
    assert verdict(made)[0] == "wrong"


@dataclasses.dataclass
class Holder:
    """An object with all that a picture must see."""

    net: nn.Module
    items: list
    slot: dict


def change_weight(holder):
    holder.net.weight = holder.net.weight * 1


def change_number(holder):
    holder.net.weight = holder.net.weight * 2


def trace(holder):
    mx.export_function(lambda event: None, lambda x: holder.slot.update(y=x * 2) or x, mx.zeros(3))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda holder: None, None),
        (change_weight, None),
        (change_number, ".0.net.weight was"),
        (lambda holder: holder.items.append(1), ".0.items was"),
        (lambda holder: holder.net.freeze(), ".0.net._no_grad.0 was None"),
        (lambda holder: setattr(holder, "more", 1), ".0.more was None"),
        (trace, "an array that cannot be evaluated"),
        (lambda holder: mx.random.normal(), "mx.random.state was"),
    ],
)
def test_pictures_of_objects_differ_where_the_objects_do(change, told):
    holder = Holder(nn.Linear(4, 3), [2.0], {})
    mx.eval(mx.random.state)
    before = pictured(holder)
    change(holder)
    found = changes(before, pictured(holder))
    assert bool(found) == (told is not None)
    assert told is None or any(told in text for text in found), found


def test_evaluation_is_in_float32():
    net = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5))
    net.set_dtype(mx.bfloat16)
    evaluated(lambda x: net(x))
    assert not net.layers[1].training and net.layers[0].weight.dtype == mx.float32
