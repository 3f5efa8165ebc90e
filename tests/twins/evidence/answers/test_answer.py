"""Answers are computed from records, and say one direction only."""

import pytest

from twins.evidence import summary
from twins.evidence.answers import answer, training
from twins.records import store
from twins.timing import wording

MACHINE = "intel-xeon-processor-24gb"


@pytest.fixture(scope="module")
def found():
    own = [
        r for r in store.read(store.ROOT / "data" / "results").records if r.notebook == "02_transformer_lm"
    ]
    return training.answer(summary.evidence(store.Found(own, []), MACHINE))


def test_an_answer_names_the_faster_framework_and_both_times(found):
    table = answer.table(found.cases)
    assert list(table.columns[:3]) == ["case", "MLX", "PyTorch"]
    assert table["MLX"].str.contains(r"^[\d.,]+ m?s, [\d,]+ tokens/s$").all()
    assert table["as fast [95 % interval]"].str.contains("× as fast").all()
    assert found.line in found.sentences[0]


def test_without_records_there_is_no_answer():
    assert training.answer([]) is None


def test_an_answer_has_at_most_four_sentences():
    with pytest.raises(ValueError, match="1 to 4 sentences, found 5"):
        answer.Answer("line", ("a",) * 5, "")


@pytest.mark.parametrize(
    ("ratio", "told"),
    [(0.344, "PyTorch 2.91× as fast"), (2.0, "MLX 2.00× as fast"), (118.4, "MLX 118× as fast")],
)
def test_a_ratio_is_said_as_the_faster_framework(ratio, told):
    assert wording.as_fast(ratio) == told


def test_ranges_and_intervals_read_in_one_direction():
    assert wording.between([2.95, 2.39]) == "2.39–2.95×"
    assert wording.between([2.391, 2.392]) == "2.39×"
    assert wording.interval(0.25, 0.5, "PyTorch") == "[2.00–4.00]"
    assert wording.milliseconds(0.0264) == "26.4 ms"
    assert wording.milliseconds(0.2) == "200 ms"
    assert wording.milliseconds(1.25) == "1.25 s"
