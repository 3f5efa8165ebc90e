"""The circulating text: every statement has a claim with its page, or says why nothing can be checked."""

import re

import pytest
import yaml
from msgspec import structs
from records import MACHINE, step, timed
from test_claims import CLAIMS, MACS, on, said

from twins.evidence.verdicts import circulating, claims
from twins.records.record_types import Machine
from twins.series import runner
from twins.timing.statistics import AGAIN

STATEMENTS = circulating.load()
VERDICTS = [claims.verdict(claim, []) for claim in CLAIMS.values()]


def test_every_statement_names_a_claim_and_a_page_or_says_why_not():
    pages = {path.stem for path in runner.sources()}
    for each in STATEMENTS:
        assert (each.claim in CLAIMS and each.page in pages) != bool(each.opinion)
    assert len(STATEMENTS) >= 20 and 0 < sum(bool(each.opinion) for each in STATEMENTS) < 10


def test_claims_of_the_text_have_a_statement():
    named = {each.claim for each in STATEMENTS}
    assert set(CLAIMS) - named == {
        *("float32-as-shipped", "lora-speed", "qlora-memory", "core-ai-failures")  # not in the text
    }
    for name in ("coremltools-direct", "mlx-own-export", "twice-on-m3-max", "speed-from-sharing"):
        assert name in named


def test_the_page_is_one_that_the_claim_needs():
    for each in (each for each in STATEMENTS if each.claim):
        numbers = re.findall(r"report-(\d\d)", CLAIMS[each.claim].needs)
        assert not numbers or each.page[:2] in numbers, each.statement


def test_mlmodel_and_mlpackage_are_told_apart():
    (each,) = (each for each in STATEMENTS if each.claim == "mlmodel-file")
    assert "older" in each.note and ".mlpackage" in each.note
    assert "older single file" in CLAIMS["mlmodel-file"].note


def test_the_table_shows_verdicts_and_opinions():
    table = circulating.table(STATEMENTS, VERDICTS)
    assert len(table) == len(STATEMENTS)
    words = dict(zip(table["claim"], table["verdict"], strict=True))
    assert words["export-time"] == claims.NOT_HERE and words["cross-platform"] == claims.SUPPORTED
    opinions = table[table["claim"].isna()]["verdict"]
    assert opinions.str.startswith("opinion, not checkable: ").all() and opinions.str.len().min() > 40


def test_a_claim_without_a_verdict_is_refused():
    wrong = circulating.Statement("It flies.", "flies", "11_published")
    with pytest.raises(ValueError, match="circulating: no claim 'flies'; there are training-transformer"):
        circulating.table([wrong], VERDICTS)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"claim": "inference"}, "'It flies.': allowed is a claim with its page, or an opinion without them"),
        ({"page": "11_published"}, "'It flies.': allowed is a claim with its page"),
        ({}, "'It flies.': allowed is a claim with its page"),
        ({"claim": "inference", "page": "06_inference", "opinion": "so"}, "'It flies.': allowed is a claim"),
        ({"verdict": "true"}, "circulating.yaml: Object contains unknown field `verdict`"),
        ({"claim": 3}, "circulating.yaml: Expected `str`, got `int`"),
    ],
)
def test_a_bad_statement_is_refused_in_one_sentence(tmp_path, entry, why):
    path = tmp_path / "circulating.yaml"
    path.write_text(yaml.safe_dump([{"statement": "It flies."} | entry]))
    with pytest.raises(ValueError) as raised:
        circulating.load(path)
    assert why in str(raised.value) and "\n" not in str(raised.value)


# --- the new claims -----------------------------------------------------------------------------------


def test_a_claim_about_a_chip_is_judged_on_that_chip_alone():
    for chip, word in (("Apple M3 Max", claims.SUPPORTED), ("Apple M3", claims.NOT_HERE)):
        mac = structs.replace(MACS["fast"], chip=chip)
        records = on(mac, mac, step(4, 1.0, 3.5))
        assert any(isinstance(record.body, Machine) for record in records)
        verdict = claims.verdict(CLAIMS["twice-on-m3-max"], records)
        assert verdict.word == word
    assert "needs a Mac with an M3 Max" in verdict.why and "of this machine: supported" in verdict.why


def test_speed_from_sharing_needs_a_step_that_loses_by_handing_over():
    def handed(copied: float, through: float):
        seconds = {"MLX none": 1.0, "MLX copied": copied, "MLX through NumPy": through}
        seconds |= {"PyTorch none": 1.0, "PyTorch copied": 9.0, "PyTorch none" + AGAIN: 1.0}
        return timed("step with hand-overs", {"twin": "transformer_lm", "batch": 4}, seconds)

    mac = MACS["fast"]
    assert said("speed-from-sharing", handed(1.5, 2.0), machine=mac).word == claims.SUPPORTED
    assert said("speed-from-sharing", handed(1.01, 1.02), machine=mac).word == claims.UNDECIDED
    assert said("speed-from-sharing", handed(0.8, 0.8), machine=mac).word == claims.CONTRADICTED
    assert said("speed-from-sharing", handed(0.6, 2.0), machine=mac).word == claims.DEPENDS
    assert said("speed-from-sharing", handed(1.5, 2.0)).word == claims.NOT_HERE
    assert said("speed-from-sharing", step(4, 1.0, 2.0), machine=MACHINE).word == claims.NOT_HERE


def test_networks_of_apps_are_judged_by_the_vision_twins():
    def vision(twin: str, torch: float):
        seconds = {"MLX eager": 1.0, "PyTorch eager": torch, "PyTorch eager" + AGAIN: torch}
        return timed("training step", {"twin": twin, "batch": 4}, seconds)

    mac = MACS["fast"]
    assert (
        said("app-networks", vision("resnet", 2.0), vision("vit", 2.0), machine=mac).word == claims.SUPPORTED
    )
    assert said("app-networks", vision("resnet", 0.5), vision("vit", 2.0), machine=mac).word == claims.DEPENDS
    assert said("app-networks", step(4, 1.0, 2.0), machine=mac).word == claims.NOT_HERE
    assert "MobileNets" in CLAIMS["app-networks"].note
