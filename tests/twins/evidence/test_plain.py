"""A verdict is one plain sentence, with names for people and one direction; its card escapes texts."""

import re
from dataclasses import replace

import pytest
from bs4 import BeautifulSoup
from msgspec import structs
from records import MACHINE, step
from test_summary import written

from twins.evidence import summary
from twins.evidence.published import published_counts
from twins.evidence.verdicts import claims, plain, queries
from twins.evidence.verdicts.claims import Verdict
from twins.evidence.verdicts.queries import Figure
from twins.evidence.verdicts.rules import CONTRADICTED, DEPENDS, SUPPORTED, UNDECIDED
from twins.records import store
from twins.series import verdict_cards
from twins.timing import wording

CLAIMS = {claim.id: claim for claim in claims.load()}
MAC = structs.replace(MACHINE, id="mac", chip="Apple M5", device="Apple GPU")
RESULTS = store.read(store.ROOT / "data" / "results")
IDENTIFIER = re.compile(rf"\b({'|'.join(wording.NAMES)}|prefill|decoder step)\b")


def said(*steps, name="training-transformer", machine=MAC) -> plain.Plain:
    found = claims.verdict(CLAIMS[name], written(machine, *steps, machine=machine))
    return plain.plain(found, [machine.device])


@pytest.mark.parametrize(
    ("steps", "word", "sentence"),
    [
        ([step(4, 1.0, 1.5)], SUPPORTED, "MLX is 1.50× as fast on average."),
        (
            [step(4, 3.0, 1.0), step(8, 4.0, 1.0)],
            CONTRADICTED,
            "PyTorch is 3.00–4.00× as fast in both cases.",
        ),
        (
            [step(4, 1.5, 1.0), step(8, 6.0, 1.0)],
            CONTRADICTED,
            "PyTorch is 3.00× as fast on average over 2 cases, 1 of which alone would not show it.",
        ),
        (
            [step(4, 1.0, 2.5), step(8, 2.5, 1.0)],
            DEPENDS,
            "MLX is 2.50× as fast in 1 of 2 cases; PyTorch is 2.50× as fast in 1 of 2 cases. "
            "It depends on the batch.",
        ),
    ],
)
def test_what_a_mac_measured_is_one_sentence_in_the_direction_of_the_faster(steps, word, sentence):
    assert said(*steps) == plain.Plain(word, plain.MARKS[word], sentence)


def test_up_to_is_said_of_the_case_that_is_best_for_mlx():
    found = said(step(4, 1.0, 3.5), step(8, 1.0, 1.2), name="twice-as-fast")
    assert (found.word, found.sentence) == (
        SUPPORTED,
        "MLX is 3.50× as fast in the case that is best for MLX (GPT, batch 4).",
    )


def test_an_undecided_claim_says_what_would_decide():
    found = said(step(4, 1.0, 1.1))
    assert found.word == UNDECIDED
    assert re.fullmatch(
        r"No difference beyond the error\. If the figure stays, \d+ sessions would decide\.", found.sentence
    )


def test_another_device_says_what_it_measured_and_what_is_needed():
    found = said(step(4, 2.5, 1.0), machine=MACHINE)
    assert (found.word, found.sentence) == (
        claims.NOT_HERE,
        "On this CPU PyTorch is 2.50× as fast. Needs an M-series Mac: `make report-02` there.",
    )
    assert said(machine=MACHINE).sentence == "Needs an M-series Mac: `make report-02` there."


def test_every_query_has_words_for_verdicts_and_for_figures():
    assert set(plain.TOLD) == set(plain.FIGURES) == set(queries.QUERIES)


def test_every_word_of_a_verdict_has_a_mark_of_its_own():
    assert set(plain.MARKS) == set(claims.WORDS) and len(set(plain.MARKS.values())) == len(plain.MARKS)


@pytest.mark.parametrize("machine", sorted({record.machine for record in RESULTS.records}))
def test_no_identifier_and_no_ratio_below_one_is_shown(machine):
    evidence = summary.evidence(RESULTS, machine)
    for claim in CLAIMS.values():
        found = claims.verdict(claim, evidence)
        sentence = plain.plain(found, ["CPU"]).sentence
        told = [sentence, *plain.figures(found)]
        assert not [text for text in told if IDENTIFIER.search(text)], claim.id
        assert not [text for text in told if re.search(r"\b0\.\d+×|faster by", text)], claim.id
        assert sentence.endswith(".") and ".." not in sentence, claim.id


@pytest.mark.parametrize(
    ("figure", "told"),
    [
        (("copying", "n = 8", 0.018, 0.014, 0.022), "n = 8: 1.8 % [1.4–2.2]"),
        (("platforms", "Linux, AMD GPU", 1, 1, 1), "AMD GPU (Linux): only PyTorch"),
        (("platforms", "Atari", 0, 0, 0), "Atari: only MLX"),
        (("onnx_needed", "bert", 0, 0, 0), "BERT: without ONNX"),
        (("saved_by_sharing", "MLX through NumPy, bert, batch 8", 1.5, 1.4, 1.6),
         "MLX through NumPy, BERT, batch 8: 1.50× the time without hand-overs [1.40–1.60]"),
        (("saved_by_sharing", "MLX copied, bert, batch 8", 0.8, 0.5, 1.6),
         "MLX copied, BERT, batch 8: 1.25× the time with hand-overs, when there are none [0.62–2.00]"),
        (("breadth", "layers", 0.5, 0.5, 0.5), "layers: 2.00× as long in MLX"),
        (("export_failures", "a route, of 3 models", -2, -3, -1),
         "MLX failed on 2 models more than a route, of 3 models; the 95 % interval is -3 to -1"),
        (("shipped_precision", "float32 as shipped, MLX less exact", 0, 0, 0),
         "float32 is less exact by default than when asked for, in MLX"),
        (("speed", "prefill, float32, batch 1", 0.5, 0.4, 0.625),
         "reading a prompt, float32, batch 1: PyTorch 2.00× as fast [1.60–2.50]"),
    ],
)  # fmt: skip
def test_a_figure_is_said_in_the_words_of_its_query(figure, told):
    query, label, value, low, high = figure
    claim = replace(CLAIMS["inference"], query=query)
    verdict = Verdict(claim, SUPPORTED, "", [Figure(label, value, low, high, {})])
    assert plain.figures(verdict) == [told]


def test_one_published_pair_is_said_as_one():
    chosen = published_counts.about(CLAIMS["twice-on-m3-max"].published["topics"], "M3 Max")
    assert published_counts.in_words(chosen).startswith("The one sound published pair has MLX ahead (1.35×).")


# --- cards -------------------------------------------------------------------------------------------


def cards(*verdicts):
    data = verdict_cards.cards(verdicts, ["CPU"])._repr_mimebundle_()
    return BeautifulSoup(data["text/html"], "html.parser"), data["text/plain"]


def test_every_claim_is_a_card_with_its_id_in_one_of_two_groups():
    verdicts = [claims.verdict(claim, []) for claim in CLAIMS.values()]
    html, text = cards(*verdicts)
    found = html.select("article.claim")
    assert {card["id"] for card in found} == set(CLAIMS) and len(found) == len(CLAIMS)
    groups = [each.get_text() for each in html.select("h3.claims")]
    assert groups == ["About Apple GPUs", "Decided on any machine"]
    for card in found:
        claim = CLAIMS[card["id"]]
        assert card.h4.get_text() == claim.claim
        assert claim.decision in card.details.get_text() and not card.details.has_attr("open")
        assert card.details.a["href"] == claim.source
        assert claim.note in card.details.get_text()
        assert claim.claim in text


def test_a_chip_has_a_mark_and_a_word_and_a_class():
    verdict = claims.verdict(CLAIMS["training-transformer"], written(MAC, step(4, 1.0, 1.5), machine=MAC))
    html, _ = cards(verdict)
    chip = html.select_one(".chip")
    assert (chip.get_text(), chip["class"]) == ("✓ supported", ["chip", "chip-supported"])
    assert chip.span["aria-hidden"] == "true"


def test_a_card_escapes_every_text():
    bad = "<script>alert('x')</script>"
    claim = replace(
        CLAIMS["coremltools-direct"], id='a"b', claim=bad, source=f'https://a.org/{bad}"', note=bad
    )
    html, _ = cards(Verdict(claim, CONTRADICTED, bad, [Figure(bad, 0, 0, 0, {})]))
    assert not html.find_all("script")
    assert html.article["id"] == 'a"b' and html.h4.get_text() == bad
    assert html.details.a["href"] == f'https://a.org/{bad}"'
    assert bad in html.details.get_text() and bad in html.article.get_text()
