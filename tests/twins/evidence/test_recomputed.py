"""README, summary and verdicts agree with what the committed JSON lines come to by code of its own.

Nothing of claims, rules, queries or sessions is called for the expected values: lines are read by json,
pooled with NumPy and judged here. The known spread between sessions, a constant, is that of sessions.py.
"""

import csv
import json
import re
from collections import Counter, defaultdict

import numpy as np
import pytest
import yaml
from scipy import stats

from twins.evidence import summary
from twins.evidence.verdicts import claims, queries
from twins.records import store
from twins.series import notebook_files, publish
from twins.timing.sessions import ALIKE, FREEDOM, OTHER, SPREAD

ROOT = store.ROOT
CLAIMS = {entry["id"]: entry for entry in yaml.safe_load((ROOT / "data" / "claims.yaml").read_text())}
LIMITS = {"float32": 1e-5, "float16": 5e-3}


def lines() -> dict[str, list[dict]]:
    """Every machine's lines on its GPU or else on its CPU, of the versions of its newest run."""
    found = defaultdict(list)
    for path in sorted((ROOT / "data" / "results").glob("*/*.jsonl")):
        for line in path.read_text().splitlines():
            found[json.loads(line)["machine"]].append(json.loads(line))
    kept = {}
    for machine, own in found.items():
        device = "CPU" if {r["device"] for r in own} == {"CPU"} else "Apple GPU"
        own = [r for r in own if r["device"] == device]
        newest = max(own, key=lambda r: r["run"])
        kept[machine] = [r for r in own if r["versions"] == newest["versions"]]
    return kept


LINES = lines()
VERDICTS = {
    machine: {claim.id: (claim, claims.verdict(claim, own)) for claim in claims.load()}
    for machine, own in summary.machines(store.read(ROOT / "data" / "results")).items()
}


# --- timed claims ----------------------------------------------------------------------------------


def median(samples: dict) -> float:
    return float(np.median(samples["wall"]))


def ratios(own: list[dict], subject: str, over: str, under: str) -> tuple[float, float, float, int] | None:
    """Mean log ratio, spread of a session, degrees of freedom and number of sessions."""
    by_run = defaultdict(list)
    for record in own:
        for run in record["body"]["runs"]:
            if {over, under} <= set(run["arms"]):
                by_run[record["run"]].append(np.log(median(run["arms"][over]) / median(run["arms"][under])))
    if not by_run:
        return None
    means = [np.mean(each) for each in by_run.values()]
    within = np.mean([np.var(each, ddof=1) / len(each) if len(each) > 1 else 0 for each in by_run.values()])
    freedom = FREEDOM + len(means) - 1
    known = SPREAD.get(ALIKE.get(subject, subject), OTHER) ** 2 + within
    square = FREEDOM * known + np.var(means) * len(means)
    return float(np.mean(means)), float(np.sqrt(square / freedom)), freedom, len(means)


SAID = ("filled", "bound", "compiled")  # entries of a case that change nothing in its eager variants


def timed(machine: str, subjects: list[str]) -> dict[tuple, list[dict]]:
    found = defaultdict(list)
    for record in LINES[machine]:
        if record["kind"] == "timing" and record["body"]["subject"] in subjects:
            case = record["body"]["case"]
            same = {name: value for name, value in case.items() if name not in SAID}
            found[record["body"]["subject"], json.dumps(same, sort_keys=True)].append(record)
    last = {key: max(own, key=lambda record: record["run"])["body"]["case"] for key, own in found.items()}
    return {(key[0], json.dumps(last[key], sort_keys=True)): own for key, own in found.items()}


def speeds(machine: str, entry: dict) -> dict[str, tuple[float, float, float, int]]:
    """What a claim on speed rests on: the eager step of every case, or where asked the filled size alone."""
    asked, found = entry["of"], {}
    cases = timed(machine, asked["subjects"])
    filled = {json.loads(c).get("twin") for _, c in cases if json.loads(c).get("filled")}
    for (subject, text), own in cases.items():
        case = json.loads(text)
        if "twins" in asked and case["twin"] not in asked["twins"]:
            continue
        if asked.get("bound_by_computation") and case["twin"] in filled and not case.get("filled"):
            continue
        kinds = {name.partition(" ")[2] for record in own[:1] for name in record["body"]["runs"][0]["arms"]}
        mode = " eager" if "eager" in kinds else ""
        if made := ratios(own, subject, f"PyTorch{mode}", f"MLX{mode}"):
            found[f"{subject} {text}"] = made
    return found


TIMED = [name for name, entry in CLAIMS.items() if entry["query"] == "speed"]


@pytest.mark.parametrize("machine", LINES)
@pytest.mark.parametrize("name", TIMED)
def test_a_claim_on_speed_has_the_figures_of_the_lines(machine, name):
    claim, verdict = VERDICTS[machine][name]
    expected = speeds(machine, CLAIMS[name])
    figures = queries.speed(summary.evidence(store.read(ROOT / "data" / "results"), machine), **claim.of)
    told = sorted((figure.value, figure.low, figure.high) for figure in figures)
    known = []
    for mean, spread, freedom, count in expected.values():
        wide = stats.t.ppf(0.975, freedom) * spread * np.sqrt(1 + 1 / count)
        known.append((np.exp(mean), np.exp(mean - wide), np.exp(mean + wide)))
    assert np.allclose(told, sorted(known)) if known else not figures
    assert len(verdict.figures) == len(known)
    if known and claim.rule == "mean":
        middle = np.mean([each[0] for each in expected.values()])
        error = np.mean([spread / np.sqrt(count) for _, spread, _, count in expected.values()])
        wide = stats.t.ppf(0.95, min(each[2] for each in expected.values())) * error
        low, high = np.exp([middle - wide, middle + wide])
        told = f"{np.exp(middle):.3g} [{low:.3g}, {high:.3g}] over {len(known)} case"
        assert told in claims.judge(claim, figures)[1]
        if high < claim.least and max(value for value, *_ in known) < claim.least:
            assert claims.judge(claim, figures)[0] == claims.CONTRADICTED


@pytest.mark.parametrize("machine", LINES)
@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_about_another_device_is_not_measured_here(machine, name):
    entry, (_, verdict) = CLAIMS[name], VERDICTS[machine][name]
    elsewhere = entry["device"] not in ("", *{record["device"] for record in LINES[machine]})
    assert verdict.word == claims.NOT_HERE if elsewhere else bool(verdict.word)


# --- claims on export, reach and breadth -----------------------------------------------------------


def as_asked(body: dict) -> bool | None:
    """Whether a conversion is right within the limit of the precision asked for."""
    if body.get("within_asked") is not None:
        return body["within_asked"]
    if body["failed"]:
        return False
    if not body["right"] or body["error"] is None:
        return body["right"]
    return body["error"] <= LIMITS[body["case"]["precision"]]


def conversions(machine: str) -> dict[str, dict[str, list[tuple[str, bool, int]]]]:
    """By model and precision: route, right as asked, and steps, of the newest run of each page."""
    own = [r for r in LINES[machine] if r["kind"] == "conversion"]
    own = [r for r in own if not {"apart", "group"} & set(r["body"]["case"])]
    newest = {r["notebook"]: max(x["run"] for x in own if x["notebook"] == r["notebook"]) for r in own}
    found: dict = defaultdict(lambda: defaultdict(list))
    for record in own:
        body = record["body"]
        missing = body["failed"] and re.search(r"is not installed here|needs macOS", body["message"])
        if record["run"] == newest[record["notebook"]] and not missing:
            row = body["route"], bool(as_asked(body)), len(body["steps"])
            found[body["model"]][body["case"]["precision"]].append(row)
    return found


@pytest.mark.parametrize("machine", LINES)
def test_claims_on_export_have_the_figures_of_the_lines(machine):
    parted, steps = [], {}
    for model, rows in conversions(machine).items():
        sides = {}
        for side in ("MLX direct", "PyTorch"):
            tried = [[r for r in own if r[0].startswith(side)] for own in rows.values()]
            sides[side] = [any(r[1] for r in own) for own in tried if own]
        if all(sides.values()):
            parted.append(all(sides["MLX direct"]) - all(sides["PyTorch"]))
        shortest = [
            [min((r[2] for r in own if r[0].startswith(side) and r[1]), default=0) for side in sides]
            for own in rows.values()
        ]
        if any(all(each) for each in shortest):
            steps[model] = min(theirs / ours for ours, theirs in shortest if ours and theirs)
    _, failures = VERDICTS[machine]["export-failures"]
    assert [figure.value for figure in failures.figures] == ([sum(parted)] if parted else [])
    assert all(f"of {len(parted)} models" in figure.label for figure in failures.figures)
    _, counted = VERDICTS[machine]["export-steps"]
    assert {figure.case["model"]: figure.value for figure in counted.figures} == pytest.approx(steps)
    if steps and min(steps.values()) > 1.05:
        assert counted.word == claims.SUPPORTED


@pytest.mark.parametrize("machine", LINES)
def test_the_time_of_conversions_is_that_of_the_lines(machine):
    _, verdict = VERDICTS[machine]["export-time"]
    known = {}
    for (subject, text), own in timed(machine, ["conversion"]).items():
        first = own[0]["body"]["runs"]
        theirs = [name for name in first[0]["arms"] if name.startswith("PyTorch")]
        fastest = min(theirs, key=lambda name: np.median([median(run["arms"][name]) for run in first]))
        mean, *_ = ratios(own, subject, fastest, "MLX direct, checked")
        known[json.loads(text)["model"]] = np.exp(mean)
    if known:
        assert {figure.case["model"]: figure.value for figure in verdict.figures} == pytest.approx(known)


def test_platforms_and_breadth_are_counted():
    with (ROOT / "data" / "published" / "platforms.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["pytorch"] and row["mlx"]]
    alone = [float(row["pytorch"]) for row in rows if row["pytorch"] != row["mlx"]]
    for machine, own in LINES.items():
        assert [figure.value for figure in VERDICTS[machine]["cross-platform"][1].figures] == alone
        bodies = [r for r in own if r["kind"] == "breadth"]
        last = [r["body"] for r in bodies if r["run"] == max(x["run"] for x in bodies)]
        totals = {(body["framework"], body["group"]): body["total"] for body in last}
        groups = {group for _, group in totals}
        known = sorted(totals["MLX", group] / totals["PyTorch", group] for group in groups)
        told = sorted(figure.value for figure in VERDICTS[machine]["ecosystem"][1].figures)
        assert told == pytest.approx(known)


# --- what is printed -------------------------------------------------------------------------------


FACTORS = re.compile(r"(MLX|PyTorch) (?:is )?([\d.,]+)(?:–([\d.,]+))?× as fast")


def said(text: str) -> set[tuple[str, float]]:
    """Every framework with every factor that a text says it is as fast by."""
    found = FACTORS.findall(text)
    return {(who, float(end.replace(",", ""))) for who, *ends in found for end in ends if end}


def factors(machine: str, entry: dict) -> set[tuple[str, float]]:
    """What the lines give for the cases of a claim on speed, as a text says it."""
    means = [mean for mean, *_ in speeds(machine, entry).values()]
    written = [("MLX" if mean > 0 else "PyTorch", np.exp(abs(mean))) for mean in means]
    return {(who, round(value, 2 if value < 9.995 else 1)) for who, value in written}


def counted(machine: str, of_a_device: bool) -> dict[str, int]:
    own = [verdict.word for claim, verdict in VERDICTS[machine].values() if bool(claim.device) == of_a_device]
    return Counter(own)


@pytest.mark.parametrize(
    ("row", "twins"),
    [("language model or BERT", ["transformer_lm", "bert"]), ("ResNet or ViT", ["resnet", "vit"])],
)
def test_the_readme_prints_the_factors_of_the_lines(row, twins):
    text = (ROOT / "README.md").read_text()
    head = text[text.index(publish.BEGIN) : text.index(publish.END)]
    machine = re.search(r"machine `([^`]+)`", head)[1]
    (line,) = [each for each in head.splitlines() if row in each and each.startswith("|")]
    here = said(line.rpartition("|")[0].rpartition("|")[2])
    known = factors(machine, {"of": {"subjects": ["training step"], "twins": twins}})
    assert here and here <= known


def test_the_readme_counts_the_verdicts_of_the_lines():
    text = (ROOT / "README.md").read_text()
    machine = re.search(r"machine `([^`]+)`", text)[1]
    for word, number in counted(machine, of_a_device=False).items():
        assert f"{number} {word}" in text
    apple = counted(machine, of_a_device=True)
    assert f"{apple['not measured here']} of {sum(apple.values())} about Apple GPUs" in text


def test_the_summary_page_prints_the_verdicts_of_the_lines():
    page = notebook_files.read(ROOT / "report" / "00_summary.ipynb")
    outputs = [output.get("data", {}) for cell in page.cells for output in cell.get("outputs", [])]
    html = "".join(data.get("text/html", "") for data in outputs)
    machine = re.search(r"What to use, on ([^<]+)<", html)[1]
    for claim, verdict in VERDICTS[machine].values():
        card = re.search(rf'<article class="claim" id="{claim.id}">.*?</article>', html, re.DOTALL)[0]
        assert f"</span> {verdict.word}</span>" in card, claim.id
        if claim.query == "speed":
            sentence = card.partition("<details>")[0].partition('<p class="others">')[0]
            assert said(sentence) <= factors(machine, {"of": claim.of}), claim.id
