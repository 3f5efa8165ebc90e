"""The coverage zoo: nothing of MLX is forgotten, the judge sees faults, enough of MLX converts and agrees."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mlx_coreml import ConversionError, coverage
from mlx_coreml.conversion.convert import convert
from mlx_coreml.coverage import inventory, judge
from mlx_coreml.coverage.cases import configurations, layers
from mlx_coreml.coverage.cases.case import Case, normal, texts
from mlx_coreml.coverage.judge import difference
from mlx_coreml.coverage.operation_cases import operations
from mlx_coreml.coverage.outcomes import Outcome, causes, shares, write
from mlx_coreml.coverage.worker_processes import Worker, judge_all
from twins.frameworks import mx

import mlx.nn as nn  # isort: skip

CASES = list(coverage.find())
# The shares of cases that must convert and agree; no case may be wrong or crash.
LEAST = {
    "layer": 95,
    "loss": 95,
    "operation": 90,
    "architecture": 95,
    "model": 100,
    "generation": 90,
    "usage": 80,
}


def case(name: str, group: str = "operation") -> Case:
    (found,) = [each for each in CASES if (each.group, each.name) == (group, name)]
    return found


def test_every_public_name_has_a_case_or_a_reason():
    assert {kind: names for kind, names in inventory.missing().items() if names} == {}


def test_what_is_left_out_exists_and_has_no_case():
    assert set(layers.LEFT_OUT) <= inventory.layer_names()
    assert set(operations.LEFT_OUT) <= inventory.operation_names()
    assert set(configurations.LEFT_OUT) <= inventory.architecture_names()
    assert inventory.covered(layers.cases(), "nn") & set(layers.LEFT_OUT) == set()


def test_an_unknown_name_of_mlx_would_be_missed():
    some = list(texts("operation", {"x": normal(3)}, "mx.exp(x)\n mx.fast.rms_norm(x, None, 1e-5)"))
    assert inventory.covered(some, "mx") == {"exp", "fast.rms_norm"}


def test_case_names_are_unique():
    assert [key for key, n in Counter((c.group, c.name) for c in CASES).items() if n > 1] == []


def test_an_unknown_group_lists_the_groups():
    with pytest.raises(ConversionError, match="'layers' is not known; known are layer, loss"):
        list(coverage.find(["layers"]))


def test_draws_differ_and_parameters_do_not():
    chosen = case("nn.Linear(8, 3) of x float32[2, 5, 8]", "layer")
    (first, (x,)), (again, (same,)), (other,) = chosen.make(), chosen.make(), chosen.arrays(1)
    assert mx.array_equal(x, same) and not mx.array_equal(x, other)
    assert mx.array_equal(first.weight, again.weight) and mx.array_equal(first.bias, again.bias)


def test_parameters_that_start_equal_are_made_to_differ():
    norm, _ = case("nn.BatchNorm(8) of x float32[8, 8]", "layer").make()
    values = [norm.weight, norm.bias, norm.running_mean, norm.running_var]
    assert all(len(np.unique(np.array(value))) == 8 for value in values)
    assert mx.min(norm.running_var) > 0.5


@pytest.mark.parametrize(
    ("found", "wanted", "fault"),
    [
        ([1.0, np.nan], [1.0, np.nan], ""),
        ([np.inf, 1.0], [np.inf, 1.0], ""),
        ([1.00001, 2.0], [1.0, 2.0], ""),
        ([1.001, 2.0], [1.0, 2.0], "rms-relative error 4.5e-04"),
        ([1.0, 0.0], [1.0, np.nan], "rms-relative error inf"),
        ([[1.0]], [1.0], "shape (1, 1), MLX's is (1,)"),
        ([1], [1.0], "type int64, MLX's is float64"),
        ([1.0], [True], "type float64, MLX's is bool"),
        ([3, 4], [3, 5], "1 of 2 numbers differ"),
        ([1, 0], [True, False], ""),
        ([2.0], 2.0, ""),
    ],
)
def test_difference(found, wanted, fault):
    assert difference(np.array(found), np.array(wanted), 1e-4)[0] == fault


def test_a_right_case():
    outcome = judge.judge(case("mx.tanh(x) of x float32[3, 4]"))
    assert (outcome.verdict, outcome.reason) == ("right", "")
    assert outcome.error < 1e-6 and outcome.operations > 0


def test_a_refused_case_carries_the_sentence():
    outcome = judge.judge(Case("operation", "item", lambda: lambda x: x * x.sum().item(), {"x": normal(3)}))
    assert outcome.verdict == "refused"
    assert outcome.reason.startswith("CaptureError: <lambda> reads the numbers in an array")


def test_a_model_that_computes_something_else_is_wrong(monkeypatch):
    monkeypatch.setattr(judge, "convert", lambda fn, x, **options: convert(mx.tan, x, **options))
    outcome = judge.judge(case("mx.tanh(x) of x float32[3, 4]"))
    assert outcome.verdict == "wrong" and outcome.error > 0.1


def test_numbers_baked_from_the_example_are_wrong(monkeypatch):
    def baked(fn, x, **options):
        constant = fn(x)
        return convert(lambda x: constant + 0 * x, x, **options)

    monkeypatch.setattr(judge, "convert", baked)
    assert judge.judge(case("mx.tanh(x) of x float32[3, 4]")).verdict == "wrong"


def test_an_error_that_is_not_the_converters_own_is_a_crash(monkeypatch):
    monkeypatch.setattr(judge, "convert", lambda fn, *example, **options: [][1])
    outcome = judge.judge(case("mx.tanh(x) of x float32[3, 4]"))
    assert outcome.verdict == "crash"
    assert outcome.reason.startswith("IndexError: list index out of range [test_zoo.py:")


def test_a_dead_worker_says_nothing(tmp_path):
    log = tmp_path / "log"
    log.touch()
    worker = Worker("float32", log)
    worker.process.kill()
    worker.process.join()
    assert worker.judge(case("mx.tanh(x) of x float32[3, 4]"), 60) is None


def test_a_case_beyond_the_limit_is_a_timeout(tmp_path):
    chosen = case("mx.tanh(x) of x float32[3, 4]")
    (outcome,) = judge_all([chosen], 1, "float32", 1e-6, tmp_path / "log")
    assert (outcome.name, outcome.verdict, outcome.reason) == (chosen.name, "timeout", "more than 1e-06 s")


OUTCOMES = [
    Outcome("layer", "a", "right", seconds=1.0),
    Outcome("layer", "b", "refused", "X: rank 6 of node AB (2, 3)", seconds=0.5),
    Outcome("layer", "c", "refused", "X: rank 7 of node AB (4,)"),
    Outcome("operation", "d", "wrong", "y: rms-relative error 2.0e-01", 0.2),
]


def test_shares_and_causes(tmp_path):
    table = shares(OUTCOMES)
    assert table.loc["layer", ["cases", "right", "refused", "wrong", "right %"]].tolist() == [
        3,
        1,
        2,
        0,
        33.3,
    ]
    assert causes(OUTCOMES).splitlines() == [
        "wrong x1: y: rms-relative error 2.0e-01",
        "    operation: d",
        "refused x2: X: rank 6 of node AB (2, 3)",
        "    layer: b",
        "    layer: c",
    ]
    write(OUTCOMES, tmp_path / "deep" / "mlx.csv")
    assert (tmp_path / "deep" / "mlx.csv").read_text().splitlines()[1] == "layer,a,right,,,0,1.0"


SAMPLE = [case for case in CASES if case.group != "usage"][::37]  # usages have a test of their own


def judged(cases: list[Case], jobs: int, folder: Path) -> list[Outcome]:
    outcomes = list(judge_all(cases, jobs, "float32", 120, folder / "log"))
    bad = [(o.verdict, o.name, o.reason) for o in outcomes if o.verdict not in ("right", "refused")]
    assert bad == []
    return outcomes


def test_a_sample_of_all_groups_converts_and_agrees(tmp_path):
    outcomes = judged(SAMPLE, 1, tmp_path)
    refused = {o.name: o.reason for o in outcomes if o.verdict == "refused"}
    assert len(refused) <= 0.05 * len(outcomes), refused


@pytest.mark.oracle
@pytest.mark.parametrize("group", list(coverage.GROUPS))
def test_coverage(group, tmp_path):
    outcomes = judged([c for c in CASES if c.group == group], 2, tmp_path)
    share = shares(outcomes).loc[group, "right %"]
    assert share >= LEAST[group], causes(outcomes, examples=20)


@pytest.mark.oracle
def test_half_precision_agrees_for_layers_and_models(tmp_path):
    chosen = [c for c in CASES if c.group in ("layer", "model")][::4]
    outcomes = list(judge_all(chosen, 1, "float16", 120, tmp_path / "log"))
    assert [(o.verdict, o.name, o.reason) for o in outcomes if o.verdict not in ("right", "refused")] == []


def test_an_evaluated_module_is_in_evaluation_mode():
    made, _ = case("nn.Dropout(0.5) of x float32[2, 5, 8]", "layer").make()
    assert isinstance(made, nn.Dropout) and not made.training
