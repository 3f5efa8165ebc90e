"""What a page that trains says first: every sentence needs the records that it is computed from."""

import re

import pytest
import records
from msgspec import structs
from records import step

from twins.evidence import summary
from twins.evidence.answers import pages, training
from twins.records import store
from twins.records.export_types import Conversion
from twins.records.record_types import Fit, Gate, Memory, Timing
from twins.records.store import Record

BOTH = ("eager", "compiled")
CHECKS = [{"name": name, "passed": True} for name in ("names", "outputs", "float64 losses")]


def record(body, run: str = "2026-01-01", notebook: str = "02_transformer_lm", device: str = "CPU") -> Record:
    kind = type(body).__name__.lower()
    return Record(1, kind, "chip-8gb", device, records.MACHINE.versions, notebook, "quick", run, body)


def timing(batch: int, mlx: float, torch: float, **case) -> Timing:
    made = step(batch, mlx, torch, BOTH)
    return structs.replace(made, case=made.case | {"context": 64} | case)


def fits(*apart: float, loss: float = 0.1) -> list[Fit]:
    made = [records.fit(apart=each) for each in apart]
    case = {"vocabulary": 2, "steps": 150}
    held_out = [{"MLX": loss + each, "PyTorch": loss, "floor": loss + 0.001} for each in apart]
    return [
        structs.replace(each, case=case, held_out=losses) for each, losses in zip(made, held_out, strict=True)
    ]


@pytest.fixture
def page() -> list[Record]:
    bodies = [timing(1, 0.04, 0.01), timing(16, 0.3, 0.1), Gate("transformer_lm", {}, True, CHECKS, {})]
    bodies += [*fits(0.001, -0.002, 0.003), *records.memory(MLX_eager=120, PyTorch_eager=70)]
    return [record(structs.replace(b, case={"batch": 16}) if isinstance(b, Memory) else b) for b in bodies]


def test_four_sentences_say_speed_compiling_equality_and_memory(page):
    found = training.answer(page)
    assert found.line == found.finding == "PyTorch 3.00–4.00× as fast in both cases"
    assert found.sentences == (
        "**PyTorch 3.00–4.00× as fast in both cases**, per training step, eager in both frameworks.",
        "**Compiling** saves MLX 50 % of a step and PyTorch 50 % of a step; both compiled: PyTorch "
        "3.00–4.00× as fast in both cases.",
        "**Both halves are the same network:** 3 of 3 checks passed; held-out losses: 0.1007 (MLX) and "
        "0.1000 nats (PyTorch) after 150 steps, equal within the margin over 3 seeds.",
        "**Memory:** training at batch 16 adds 70 MB (PyTorch eager) to 120 MB (MLX eager); peak of the "
        "resident set.",
    )
    assert found.not_covered.startswith("Apple and NVIDIA GPUs, other sizes")


def test_the_cases_are_eager_even_where_compiled_is_faster(page):
    first, second = training.answer(page).cases
    assert (first.label, first.mlx, first.torch) == ("GPT, batch 1", 0.04, 0.01)
    assert (second.amount, second.unit) == (16 * 64, "tokens")


@pytest.mark.parametrize(
    ("kind", "lost"), [(Fit, "held-out"), (Gate, "same network"), (Memory, "Memory"), (Timing, None)]
)
def test_without_its_records_a_sentence_is_not_made(page, kind, lost):
    found = training.answer([each for each in page if not isinstance(each.body, kind)])
    if lost is None:
        assert found is None
    else:
        assert lost not in " ".join(found.sentences)


def test_on_a_gpu_the_gpus_are_covered(page):
    found = training.answer([structs.replace(each, device="Apple GPU") for each in page])
    assert found.not_covered == training.NEVER


def test_compiling_that_saves_nothing_is_said_so(page):
    slower = timing(16, 0.3, 0.1)
    for run in slower.runs:
        run["arms"]["PyTorch compiled"] = run["arms"]["PyTorch eager"]
    told = training.answer([record(slower)]).sentences[1]
    assert told.startswith("**Compiling** saves MLX 50 % of a step and PyTorch nothing; both compiled: ")


def test_only_the_network_of_the_newest_run_counts(page):
    other = record(timing(16, 0.1, 0.1, width=999), run="2025-01-01")
    assert len(training.answer([*page, other]).cases) == 2
    newer = structs.replace(other, run="2027-01-01")
    assert [case.label for case in training.answer([*page, newer]).cases] == ["GPT, batch 16"]


def test_networks_of_one_page_are_told_apart():
    made = [timing(16, 0.3, 0.1, twin="resnet"), timing(16, 0.2, 0.1, twin="vit")]
    made += [Gate(twin, {}, True, CHECKS, {}) for twin in ("resnet", "vit")]
    found = training.answer([record(each, notebook="04_vision") for each in made])
    assert found.line == "PyTorch 2.00–3.00× as fast in both cases"
    assert "ResNet: PyTorch 3.00× as fast; ViT: PyTorch 2.00× as fast" in found.sentences[0]
    assert "the same networks:** ResNet 3 of 3 and ViT 3 of 3 checks passed" in found.sentences[2]
    assert [case.unit for case in found.cases] == ["images", "images"]


def test_a_task_that_was_learnt_is_preferred(page):
    guessed = [structs.replace(each, dataset="hard") for each in fits(0.0, 0.001, 0.002, loss=0.9)]
    kept = [each for each in page if not isinstance(each.body, Fit)]
    learnt = fits(0.001, -0.002, 0.003)
    told = training.answer([*kept, *map(record, guessed), *map(record, learnt)]).sentences[2]
    assert "0.1007 (MLX)" in told and "equal within the margin" in told
    told = training.answer([*kept, *map(record, guessed)]).sentences[2]
    assert "no better than guessing yet over 3 seeds" in told


def test_a_readers_pair_keeps_its_name_and_says_what_came_of_core_ml():
    body = structs.replace(step(8, 0.2, 0.1, BOTH), case={"twin": "my_net", "batch": 8})
    package = Conversion(
        "my_net", "MLX direct", {"precision": "fp32"}, {}, 1, 1, 0.0, True, "", "", "", [], True
    )
    wrong = structs.replace(package, right=False, within_asked=False, message="wrong")
    made = [record(each, notebook="12_your_model") for each in (body, package, wrong)]
    found = pages.of("12_your_model", made)
    assert found.cases[0].label == "my_net, batch 8" and found.cases[0].unit == "examples"
    assert found.sentences[-1].startswith("**To Core ML:** 1 of 2 packages compute what ")


def test_a_pair_that_is_not_equal_is_not_timed_and_the_answer_says_so():
    checks = [*CHECKS, {"name": "gradients", "passed": False}]
    found = training.answer([record(Gate("my_net", {}, False, checks, {}), notebook="12_your_model")])
    assert found.line == "not timed: the two halves do not compute the same thing"
    assert "3 of 4 checks passed. **Failed**: gradients (my_net)" in found.sentences[1]
    assert found.cases == ()


@pytest.mark.parametrize("name", ["02_transformer_lm", "03_bert", "04_vision", "12_your_model"])
def test_the_committed_records_answer_in_one_direction(name):
    own = [r for r in store.read(store.ROOT / "data" / "results").records if r.notebook == name]
    found = pages.of(name, summary.evidence(store.Found(own, []), "intel-xeon-processor-24gb"))
    told = " ".join([found.line, *found.sentences, *(case.label for case in found.cases)])
    assert not re.search(r"\b0\.\d+×|faster|transformer_lm|your_model|resnet|÷", told)
    assert len({case.label for case in found.cases}) == len(found.cases)
