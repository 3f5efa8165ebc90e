"""From a twin to records: what is refused, what is not timed, and what the records hold."""

from dataclasses import asdict
from types import SimpleNamespace

import mlx.nn as mnn
import msgspec
import numpy as np
import psutil
import pytest
from msgspec import structs

from twins.machine import fresh_process, identity
from twins.models import transformer_lm as lm
from twins.parity.differences import Verdict
from twins.records import store
from twins.records.record_types import Gate, Timing
from twins.timing import harness, statistics, study
from twins.timing.ceilings import probes
from twins.timing.harness import Plan
from twins.timing.study import Study

TINY = Study("transformer_lm", asdict(lm.tiny()))
ONCE = Plan(processes=1, rounds=1, block=2, warmup=0)
PASSED = Gate("transformer_lm", TINY.config, True, [], {})
FAILED = Gate(
    "transformer_lm",
    TINY.config,
    False,
    [
        {"name": "names", "value": 0.0, "limit": 0.0, "where": "32 tensors", "passed": True},
        {"name": "gradients", "value": 4.21e-3, "limit": 1e-5, "where": "blocks.0.up.bias", "passed": False},
        {"name": "outputs", "value": None, "limit": 1e-5, "where": "(2, 3)", "passed": False},
    ],
    {},
)


def examples(count: int = 3, size: int = 4) -> list:
    rng = np.random.default_rng(0)
    return [lm.example(lm.tiny(), rng, size) for _ in range(count)]


def twice(what: str) -> list[str]:
    return [f"{framework} {what}{statistics.AGAIN}" for framework in ("MLX", "PyTorch")]


@pytest.fixture
def here(monkeypatch):
    """Do in this process what is otherwise done in fresh ones: the same variants, sooner."""

    def measured(variants, arguments, plan, tell=None, **_):
        return [statistics.run_from(harness.timed(variants, arguments, asdict(plan), 0))]

    monkeypatch.setattr(harness, "measure", measured)
    monkeypatch.setattr(
        fresh_process, "call", lambda target, arguments: fresh_process.find(target)(**arguments)
    )


@pytest.fixture
def never(monkeypatch):
    """Timing anything is a failure."""

    def refuse(*arguments):
        raise AssertionError(f"{arguments} was timed")

    monkeypatch.setattr(harness, "measure", refuse)
    monkeypatch.setattr(fresh_process, "call", refuse)


# --- refusals --------------------------------------------------------------------------------------


def test_a_width_that_heads_do_not_divide_is_refused():
    with pytest.raises(ValueError) as raised:
        Study("transformer_lm", TINY.config | {"width": 30, "heads": 4})
    assert str(raised.value) == (
        "transformer_lm: width 30 is not divisible by heads 4; widths allowed with 4 heads are its multiples"
    )


def test_an_unknown_model_is_refused():
    with pytest.raises(
        ValueError, match=r"no model named 'gpt5' in twins\.models; there are .*transformer_lm"
    ):
        Study("gpt5", {})


def test_the_published_size_is_refused_with_the_estimate(monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=16 * 2**30))
    published = Study("transformer_lm", asdict(lm.published()))
    needed = lm.memory(lm.published(), 32)
    assert needed > 64 * 2**30
    with pytest.raises(MemoryError) as raised:
        study.room(published, 32)
    assert str(raised.value) == (
        f"training transformer_lm at batch 32 is estimated to need {needed / 2**30:.1f} GiB; "
        "16.0 GiB are free and 70% of that may be used"
    )
    with pytest.raises(MemoryError):
        next(study.steps(published, PASSED, [32], ["eager"], ONCE))
    assert study.room(TINY, 4) == lm.memory(lm.tiny(), 4)


@pytest.mark.parametrize(
    "sizes",
    [
        {"vocabulary": 1024, "context": 256, "width": 256, "layers": 2, "heads": 4, "batch": 8},
        {"vocabulary": 8192, "context": 64, "width": 512, "layers": 2, "heads": 8, "batch": 4},
    ],
    ids=["activations", "parameters"],
)
@pytest.mark.parametrize("framework", ["MLX", "PyTorch"])
def test_the_estimate_is_within_a_factor_of_two(sizes, framework, monkeypatch):
    monkeypatch.setenv("TWINS_DEVICE", "cpu")  # where the resident set is all that training holds
    config, batch = {k: v for k, v in sizes.items() if k != "batch"}, sizes["batch"]
    arguments = {"model": "transformer_lm", "config": config, "batch": batch}
    read = fresh_process.call(
        "twins.timing.variants:memory", arguments | {"framework": framework, "mode": "eager", "steps": 2}
    )
    estimate = lm.memory(lm.Config(**config), batch)
    assert 1 / 2 < read["resident"] / estimate < 2


# --- the gate --------------------------------------------------------------------------------------


def test_a_correct_twin_passes_and_is_not_refused():
    verdict = study.gate(TINY, examples(), torch_compiled=False)
    assert verdict.passed
    assert study.refusal(verdict) == ""
    assert {len(losses) for losses in verdict.losses.values()} == {3}
    assert msgspec.convert(structs.asdict(verdict), Gate) == verdict


def test_a_wrong_twin_is_refused_by_check_tensor_and_size(monkeypatch):
    monkeypatch.setattr(mnn, "gelu", mnn.gelu_approx)
    verdict = study.gate(TINY, examples(), torch_compiled=False)
    assert not verdict.passed
    (found,) = [check for check in verdict.checks if check["name"] == "gradients"]
    assert found["value"] > found["limit"]
    sentence = study.refusal(verdict)
    assert sentence.startswith("**transformer_lm is not timed**, because its halves do not compute the same")
    assert f"gradients: {found['value']:.2g}, limit 1e-05, at {found['where']}" in sentence


def test_a_refusal_in_words():
    assert study.refusal(FAILED) == (
        "**transformer_lm is not timed**, because its halves do not compute the same thing: "
        "gradients: 0.0042, limit 1e-05, at blocks.0.up.bias; "
        "outputs: no finite number, limit 1e-05, at (2, 3)."
    )
    assert study.refusal(PASSED) == ""


@pytest.mark.usefixtures("never")
def test_nothing_is_timed_when_the_gate_failed():
    assert list(study.steps(TINY, FAILED, [1, 2], ["eager"], ONCE)) == []
    assert list(study.parts(TINY, FAILED, 1, ONCE)) == []
    assert list(study.memory(TINY, FAILED, 1, ["eager"])) == []


# --- what is measured ------------------------------------------------------------------------------


@pytest.mark.usefixtures("here")
def test_steps_are_timed_by_batch_size():
    made = list(study.steps(TINY, PASSED, [1, 3], ["eager"], ONCE))
    assert [record.case for record in made] == [
        {"twin": "transformer_lm", **TINY.config, "batch": batch} for batch in (1, 3)
    ]
    for record in made:
        (run,) = record.runs
        assert list(run["arms"]) == ["MLX eager", "PyTorch eager", *twice("eager")]
        assert all(len(samples["wall"]) == 1 for samples in run["arms"].values())


@pytest.mark.usefixtures("here")
def test_half_types_that_passed_are_timed_beside_float32():
    verdicts = [
        Gate("transformer_lm", TINY.config | {"dtype": dtype}, passed, [], {})
        for dtype, passed in (("float16", True), ("bfloat16", False))
    ]
    (record,) = study.half_types(TINY, verdicts, 2, ONCE)
    assert record.case == {"twin": "transformer_lm", **TINY.config, "batch": 2}
    assert list(record.runs[0]["arms"]) == [
        "MLX float32",
        "PyTorch float32",
        "MLX float16",
        "PyTorch float16",
        *twice("float32"),
    ]
    assert list(study.half_types(TINY, verdicts[1:], 2, ONCE)) == []
    assert list(study.half_types(TINY, [], 2, ONCE)) == []


def test_the_gate_of_a_half_type_is_a_record_of_its_own():
    verdict = study.half_type_gate(TINY, examples(), "float16")
    assert verdict.passed
    assert verdict.case == TINY.config | {"dtype": "float16"}
    assert verdict.checks[0]["name"] == "float16 type"


@pytest.mark.usefixtures("here")
def test_parts_are_timed_in_both():
    (record,) = study.parts(TINY, PASSED, 2, ONCE)
    names = ["data", "forward", "forward and backward", "optimizer"]
    known = [f"{framework} {name}" for framework in ("MLX", "PyTorch") for name in names]
    assert list(record.runs[0]["arms"]) == [*known, *twice("forward")]


@pytest.mark.usefixtures("here")
def test_memory_is_read_in_both():
    made = list(study.memory(TINY, PASSED, 2, ["eager"]))
    assert [record.arm for record in made] == ["MLX eager", "PyTorch eager"]
    assert all(record.resident >= 0 for record in made)
    assert [len(record.readings) for record in made] == [3, 3]
    assert all(record.resident == sorted(record.readings)[1] for record in made)
    assert made[0].allocator > 16 * 20_000  # at least parameters, gradients and two moments


@pytest.mark.usefixtures("here")
def test_probes_name_what_they_measure(monkeypatch):
    monkeypatch.setitem(probes.CEILINGS, "stream", {"numbers": 1000})
    made = list(probes.probes([8, 16], [8], ONCE, grow=False))
    assert [(record.subject, record.case) for record in made] == [
        ("matmul", {"n": 8, "dtype": "float32"}),
        ("matmul", {"n": 16, "dtype": "float32"}),
        ("matmul", {"n": 8, "dtype": "float16"}),
        ("matmul", {"n": 8, "dtype": "bfloat16"}),
        ("stream", {"numbers": 1000, "new_pages": made[4].case["new_pages"]}),
        ("synchronisation", {}),
    ]


def test_the_ceiling_is_read_where_it_was_measured(monkeypatch, tmp_path):
    monkeypatch.setenv("TWINS_RESULTS", str(tmp_path))
    fingerprint = identity.fingerprint()
    timed = Timing("matmul", {"n": 4, "dtype": "float32"}, [])
    now = Timing("matmul", {"n": 1024, "dtype": "float32"}, [])
    half = Timing("matmul", {"n": 512, "dtype": "float16"}, [])
    monkeypatch.setattr(harness, "measure", lambda variants, case, plan: [])
    monkeypatch.setattr(probes, "settled", lambda made: True)
    assert probes.ceiling_probes(fingerprint, ONCE) == [now]
    book = store.Book("01_machine", fingerprint)
    book.extend([timed, Timing("addition", {}, [])])
    assert probes.ceiling_probes(fingerprint, ONCE) == [timed]
    assert probes.ceiling_probes(fingerprint, ONCE, dtypes=("float32", "float16")) == [timed, half]
    monkeypatch.setattr(probes.kept_processes, "call", lambda place, target, case: {})
    (stream,) = probes.ceiling_probes(fingerprint, ONCE, "stream")  # an addition that allocates is no ceiling
    assert stream.subject == "stream"
    other = (
        structs.replace(fingerprint, id="another-8gb"),
        structs.replace(fingerprint, versions={"mlx": "0.1"}),
    )
    assert [probes.ceiling_probes(machine, ONCE) for machine in other] == [[now], [now]]


def test_work_is_counted_by_batch_size():
    one, four = study.works(TINY, PASSED, [1, 4])
    assert four.flops == 4 * one.flops > 0
    assert (four.twin, four.case) == ("transformer_lm", TINY.config | {"batch": 4})


@pytest.mark.parametrize(("fault", "modes"), [("", ["eager", "compiled"]), ("It cannot.", ["eager"])])
def test_modes_need_both_compilers(monkeypatch, fault, modes):
    monkeypatch.setattr(study, "compile_fault", lambda: fault)
    assert study.modes() == modes


def test_next_tokens_are_one_ahead():
    windows = np.arange(24).reshape(2, 3, 4)
    pairs = study.next_token(windows)
    assert len(pairs) == 2
    for ids, targets in pairs:
        assert ids.shape == targets.shape == (3, 3)
        assert np.array_equal(ids + 1, targets)


class CompilerError(RuntimeError):
    """As torch's compiler raises it."""


CompilerError.__module__ = "torch._inductor.exc"


def test_a_model_that_cannot_be_compiled_keeps_its_page(monkeypatch):
    asked = []

    def gate(name, make, batches, torch_compiled, mlx_compiled=True):
        asked.append(torch_compiled)
        if torch_compiled:
            raise CompilerError("no lowering for aten.strange\nand more")
        return Verdict(name, (), {})

    monkeypatch.setattr(study.fairness_gate, "gate", gate)
    monkeypatch.setattr(study.diagnosis, "refused", lambda *_: None)
    verdict = study.gate(TINY, TINY.examples(2, 1))
    assert asked == [True, False]
    assert study.modes(verdict) == ["eager"]
    assert study.uncompiled(verdict).endswith("refuses this model (no lowering for aten.strange).")
    assert study.modes(compiled=False) == ["eager"]
    assert study.uncompiled(compiled=False).startswith("Compiled steps are left out, as the parameter")


def test_another_error_of_a_model_is_not_taken_for_the_compilers(monkeypatch):
    def gate(*_, **__):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(study.fairness_gate, "gate", gate)
    monkeypatch.setattr(study.diagnosis, "refused", lambda *_: None)
    with pytest.raises(RuntimeError, match="out of memory"):
        study.gate(TINY, TINY.examples(2, 1))
