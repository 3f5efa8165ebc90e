"""Float32 as shipped: a reduced precision is found, and a CPU is said to have none."""

import os
import subprocess
import sys

import numpy as np
import pytest
from records import MACHINE
from test_summary import written

from twins.evidence.verdicts import claims, queries
from twins.frameworks import MLX, SHIPPED
from twins.machine import fresh_process
from twins.records.record_types import AS_SHIPPED, EQUAL, Gate, Precision
from twins.timing import comparison
from twins.timing.harness import Plan
from twins.timing.questions import float32_as_shipped

CLAIM = next(claim for claim in claims.load() if claim.id == "float32-as-shipped")


def reduced(x: np.ndarray) -> np.ndarray:
    """Float32 numbers rounded to a mantissa of 10 bits, as TF32 reads the inputs of a product."""
    bits = x.astype(np.float32).view(np.uint32).astype(np.uint64) + 0x1000
    return (bits & 0xFFFFE000).astype(np.uint32).view(np.float32)


@pytest.fixture
def pretended(monkeypatch) -> None:
    """MLX, as shipped, reads the inputs of its products in reduced precision; nothing starts a process."""
    exact = MLX.array

    def call(target, arguments, environment=None):
        def array(values, dtype=None):
            return exact(reduced(values) if values.dtype == np.float32 else values, dtype)

        with pytest.MonkeyPatch.context() as patch:
            if environment:
                patch.setattr(MLX, "array", array)
            return fresh_process.find(target)(**arguments)

    monkeypatch.setattr(float32_as_shipped.fresh_process, "call", call)


def test_rounding_keeps_ten_bits():
    x = np.float32([1.0, 1 + 2**-10, 1 + 2**-12, -(1 + 2**-11 + 2**-12)])
    assert reduced(x).tolist() == [1.0, 1 + 2**-10, 1.0, -(1 + 2**-10)]


@pytest.mark.usefixtures("pretended")
def test_a_reduced_precision_is_found():
    found = list(float32_as_shipped.precisions(64))
    by = {(each.framework, each.setting): each.product for each in found}
    assert list(by) == [(f, s) for s in (AS_SHIPPED, EQUAL) for f in ("MLX", "PyTorch")]
    assert 1e-4 < by["MLX", AS_SHIPPED] < 1e-3 and by["MLX", EQUAL] < 1e-6
    assert by["PyTorch", AS_SHIPPED] == by["PyTorch", EQUAL] < 1e-6
    assert comparison.differing(found) == ["MLX"]
    assert float32_as_shipped.reading(found).startswith("As shipped, MLX computes float32 less exactly")
    verdict = claims.judge(CLAIM, queries.shipped_precision(written(MACHINE, *found)))
    assert verdict[0] == claims.CONTRADICTED and "MLX less exact" in verdict[1]


def test_this_cpu_computes_one_float32_as_shipped_and_as_set():
    found = list(float32_as_shipped.precisions(64))
    assert comparison.differing(found) == []
    assert float32_as_shipped.reading(found).startswith("Nothing differs here")
    assert all(each.product < 1e-6 and each.gradients < 1e-5 for each in found)
    assert list(float32_as_shipped.timings(found, Plan(1, 1))) == []
    verdict = claims.judge(CLAIM, queries.shipped_precision(written(MACHINE, *found)))
    assert verdict[0] == claims.SUPPORTED


def test_without_a_record_nothing_is_judged():
    assert claims.judge(CLAIM, queries.shipped_precision([]))[0] == claims.NOT_HERE


@pytest.mark.parametrize(("environment", "told"), [({SHIPPED: "1"}, "None"), ({}, "'0'")])
def test_as_shipped_leaves_the_variable_unset(environment, told):
    code = "import os, twins.frameworks; print(repr(os.environ.get('MLX_ENABLE_TF32')))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == told


def test_both_settings_are_timed_where_they_differ():
    found = [Precision("MLX", AS_SHIPPED, 16, 1e-4, 1e-4), Precision("MLX", EQUAL, 16, 1e-7, 1e-7)]
    timed = list(float32_as_shipped.timings(found, Plan(1, 1, 2, 0)))
    assert [record.case["setting"] for record in timed] == [AS_SHIPPED, EQUAL]
    rows = float32_as_shipped.table(found, timed)
    assert list(rows["float32"]) == [AS_SHIPPED, EQUAL] and (rows["product, ms"] > 0).all()


def test_a_step_as_shipped_is_timed_only_where_it_differs(monkeypatch):
    twin = float32_as_shipped.Study(
        "transformer_lm", {"vocabulary": 32, "context": 8, "width": 8, "layers": 1, "heads": 1}
    )
    gate = Gate("transformer_lm", {}, True, [], {})
    rows = [Precision("MLX", AS_SHIPPED, 16, 1e-4, 1e-4), Precision("MLX", EQUAL, 16, 1e-7, 1e-7)]
    for known, count, told in (
        ([], 0, "has not run"),
        ([rows[1], Precision("MLX", AS_SHIPPED, 16, 1e-7, 1e-7)], 0, "no other step"),
        (rows, 1, "not equal work"),
    ):
        monkeypatch.setattr(float32_as_shipped, "known", lambda machine, known=known: known)
        made = list(float32_as_shipped.steps(twin, gate, 2, Plan(1, 1, 2, 0), MACHINE))
        assert len(made) == count and told in float32_as_shipped.step_reading(made, MACHINE)
