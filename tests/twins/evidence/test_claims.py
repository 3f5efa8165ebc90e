"""Verdicts follow from records: every kind of verdict, both ways, and no number but from records."""

import ast
import re
from dataclasses import replace

import pandas as pd
import pytest
import yaml
from msgspec import structs
from records import MACHINE, step, timed
from test_summary import written

from twins.evidence import summary
from twins.evidence.published import published_benchmarks
from twins.evidence.verdicts import claims, export_queries, power, queries, recommendations
from twins.evidence.verdicts.claims import CONTRADICTED, DEPENDS, NOT_HERE, SUPPORTED, UNDECIDED, Claim
from twins.records import store
from twins.records.export_types import DIRECT, OURS, Conversion
from twins.records.record_types import Breadth
from twins.records.store import Found
from twins.series import notebook_files, runner, show
from twins.timing.statistics import AGAIN

CLAIMS = {claim.id: claim for claim in claims.load()}
MACS = {
    name: structs.replace(MACHINE, id=f"synthetic-{name}", chip=f"Synthetic {name}", device="Apple GPU")
    for name in ("fast", "slow", "mixed")
}


def converted(route: str, seconds: float, right: bool = True, steps: int = 2, model: str = "bert"):
    """A conversion by a route, in so many equal steps."""
    each = {f"step {i}": seconds / steps for i in range(steps)}
    case = {"precision": "float32", "target": "iOS17", "runs": 1}
    return Conversion(model, route, case, each, 1000, 10, 1e-7, right, "line", "", "", [])


def on(machine, *bodies, notebook="02_transformer_lm"):
    return written(machine, *bodies, machine=machine, notebook=notebook)


def said(name: str, *bodies, machine=MACHINE) -> claims.Verdict:
    return claims.verdict(CLAIMS[name], on(machine, *bodies))


# --- records in, verdict out -----------------------------------------------------------------------


def test_changing_a_record_changes_the_verdict_both_ways():
    mac = MACS["fast"]
    assert said("training-transformer", step(4, 1.0, 1.5), machine=mac).word == SUPPORTED
    assert said("training-transformer", step(4, 1.0, 1.1), machine=mac).word == UNDECIDED
    assert said("training-transformer", step(4, 1.5, 1.0), machine=mac).word == CONTRADICTED
    assert said("training-transformer", step(4, 1.0, 2.5), step(8, 2.5, 1.0), machine=mac).word == DEPENDS
    assert said("twice-as-fast", step(4, 1.0, 1.3), machine=mac).word == CONTRADICTED
    assert said("twice-as-fast", step(4, 1.0, 1.3), step(1, 1.0, 3.5), machine=mac).word == SUPPORTED


def test_a_claim_about_another_device_is_not_measured_here_and_says_what_this_one_reads():
    verdict = said("training-transformer", step(4, 2.0, 1.0))
    assert verdict.word == NOT_HERE
    assert verdict.why == (
        "needs an M-series Mac: make report-02 there. On the CPU of this machine: contradicted, "
        "0.5 [0.387, 0.646] over 1 case, within one session: provisional; "
        "transformer_lm, batch 4: 0.5 [0.312, 0.801]"
    )
    assert said("training-transformer").why == "needs an M-series Mac: make report-02 there"


def test_copying_is_a_share_of_the_work():
    variants = {"MLX CPU then GPU, shared": 1.0, "PyTorch CPU then GPU, copied": 1.0, "PyTorch twice": 1.0}
    for share, word in ((0.2, SUPPORTED), (0.01, CONTRADICTED)):
        seconds = variants | {"hand-over alone, copied": share, "PyTorch twice" + AGAIN: 1.0}
        assert (
            said("unified-memory", timed("switching", {"n": 8}, seconds), machine=MACS["fast"]).word == word
        )


def test_what_sharing_saves_is_the_forced_step_over_the_free_one():
    seconds = {f"{name} {kind}": 1.0 for name in ("MLX", "PyTorch") for kind in ("none", "none" + AGAIN)}
    seconds |= {"MLX through NumPy": 1.5, "PyTorch through NumPy": 1.2}
    body = timed("step with hand-overs", {"twin": "transformer_lm", "batch": 8}, seconds)
    record = store.Record(1, "timing", "a", "CPU", {}, "05", "quick", "a", body)
    for framework, value in (("MLX", 1.5), ("PyTorch", 1.2)):
        (found,) = queries.saved_by_sharing([record], framework)
        assert (found.case["kind"], found.value) == ("through NumPy", pytest.approx(value))
        assert found.band == 1.05 and found.case["batch"] == "8"


def test_inference_takes_what_both_frameworks_ran():
    case = {"model": "llama", "dtype": "float32", "batch": 1, "length": 16}
    both = timed("run", case, {"MLX": 1.0, "PyTorch": 2.0, "PyTorch" + AGAIN: 2.0})
    alone = timed("run", case | {"dtype": "4-bit"}, {"MLX": 1.0, "MLX" + AGAIN: 1.0})
    verdict = said("inference", both, alone, machine=MACS["fast"])
    assert (verdict.word, len(verdict.figures)) == (SUPPORTED, 1)
    assert verdict.figures[0].label == "run, float32, batch 1, 16 tokens"


EXPORTS = [
    converted(DIRECT, 1.0),
    converted("PyTorch, torch.jit.trace", 2.0, steps=3),
    converted("PyTorch, ONNX, onnxsim", 0.5, steps=4),
]


def of_models(rows: list[Conversion], *names: str) -> list[Conversion]:
    """The same conversions of several models: one alone does not decide."""
    return [structs.replace(row, model=name) for name in names for row in rows]


@pytest.mark.parametrize(
    ("name", "changed", "before", "after"),
    [
        ("export-onnx", {1: {"right": False}}, CONTRADICTED, SUPPORTED),
        ("export-steps", {0: {"steps": {str(i): 0.1 for i in range(9)}}}, SUPPORTED, CONTRADICTED),
        ("export-time", {2: {"right": False}}, CONTRADICTED, SUPPORTED),
        ("export-failures", {1: {"right": False}, 2: {"right": False}}, CONTRADICTED, SUPPORTED),
    ],
)
def test_export_claims_follow_their_conversions(name, changed, before, after):
    assert said(name, *of_models(EXPORTS, "bert", "vit")).word == before
    rows = [structs.replace(row, **changed.get(i, {})) for i, row in enumerate(EXPORTS)]
    assert said(name, *of_models(rows, "bert", "vit")).word == after


def test_a_route_that_is_not_there_is_no_failure():
    gone = structs.replace(
        EXPORTS[1], right=None, failed="trace", message="RuntimeError: needs macOS: not here"
    )
    figures = export_queries.export_failures(on(MACHINE, EXPORTS[0], gone))
    assert figures == []


def test_breadth_counts_the_longer_list():
    rows = [Breadth("MLX", "layers", 100, []), Breadth("PyTorch", "layers", 50, [])]
    assert said("ecosystem", *rows).figures[0].value == 2
    assert said("ecosystem", *rows).word == SUPPORTED
    fewer = [structs.replace(rows[0], total=40), rows[1]]
    assert said("ecosystem", *fewer).word == CONTRADICTED


def test_platforms_come_from_their_table(monkeypatch):
    row = published_benchmarks.Platform("Atari", True, False, "http", "http", "2026-01-01", "")
    for rows, word in (
        ([row], SUPPORTED),
        ([replace(row, pytorch=False, mlx=True)], CONTRADICTED),
        ([replace(row, mlx=None)], NOT_HERE),
    ):
        monkeypatch.setattr(published_benchmarks, "platforms", lambda rows=rows: rows)
        assert said("cross-platform").word == word


def test_a_package_counts_when_core_ml_itself_ran_it():
    case = {"package": "lm", "units": ["ALL"]}
    ran = timed("Core ML prediction", case, {"ALL": 1.0, "ALL" + AGAIN: 1.0})
    assert said("usable-in-xcode", ran, machine=MACS["fast"]).word == SUPPORTED
    assert said("usable-in-xcode", machine=MACS["fast"]).word == NOT_HERE


# --- three synthetic Macs --------------------------------------------------------------------------


def three_macs() -> dict[str, list[store.Record]]:
    """Three Macs that are not: one faster with MLX, one with PyTorch, one depending on the batch size."""
    fast, slow, mixed = MACS.values()
    made = [
        *on(fast, fast, step(4, 1.0, 1.8), step(16, 1.0, 1.6)),
        *on(slow, slow, step(4, 1.8, 1.0), step(16, 1.6, 1.0)),
        *on(mixed, mixed, step(4, 1.8, 1.0), step(16, 1.0, 3.4)),
    ]
    return summary.machines(Found(made, []))


def test_machines_are_judged_side_by_side():
    table = claims.by_machine(CLAIMS.values(), three_macs()).set_index("claim")
    row = table.loc[CLAIMS["training-transformer"].claim]
    assert dict(row) == {
        "synthetic-fast": SUPPORTED,
        "synthetic-slow": CONTRADICTED,
        "synthetic-mixed": DEPENDS,
    }
    assert set(table.loc[CLAIMS["training-bert"].claim]) == {NOT_HERE}
    assert dict(table.loc[CLAIMS["twice-as-fast"].claim])["synthetic-mixed"] == SUPPORTED


def test_what_to_use_is_the_faster_one_or_what_it_depends_on():
    told = {
        name: recommendations.table(own).set_index("to").loc["train a transformer language model"]
        for name, own in three_macs().items()
    }
    assert [row["use"] for row in told.values()] == ["MLX", "it depends", "PyTorch"]
    assert told["synthetic-fast"]["because"].startswith("MLX 1.70× as fast [1.")
    mixed = "MLX is 3.40× as fast in 1 of 2 cases; PyTorch is 1.80× as fast in 1 of 2 cases"
    assert told["synthetic-mixed"]["because"] == mixed


def test_the_route_to_core_ml_is_the_side_with_more_right_models():
    wrong = [structs.replace(EXPORTS[1], model=str(i), right=False) for i in range(3)]
    row = recommendations.table(on(MACHINE, *EXPORTS, *wrong)).set_index("to").loc["get a model to Core ML"]
    assert row["use"] == OURS
    assert row["because"].endswith("PyTorch's best route: 1 of 4 models right, median 0.5 s")
    nothing = recommendations.table([]).set_index("to")
    assert set(nothing["use"].drop("run on other platforms")) == {recommendations.NOT_HERE}


# --- the file --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"query": "sped"}, "query is 'sped'; allowed: 'speed', "),
        ({"rule": "most"}, "rule is 'most'; allowed: 'mean', 'largest', 'every'"),
        ({"device": "Atari"}, "device is 'Atari'; allowed: 'Apple GPU', "),
        ({"above": "much"}, "above is 'much'; it must be a number"),
        ({"source": "heard"}, "source is 'heard'; it must be an address"),
        ({"extra": 1}, "fields missing or unknown: extra; known: id, "),
    ],
)
def test_a_claim_that_cannot_be_judged_is_one_sentence(tmp_path, change, sentence):
    entry = yaml.safe_load(claims.FILE.read_text())[0] | change
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump([entry]))
    with pytest.raises(claims.ClaimError, match=re.escape(f"claim 'training-transformer': {sentence}")):
        claims.load(path)


def test_ids_are_not_shared(tmp_path):
    entry = yaml.safe_load(claims.FILE.read_text())[0]
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump([entry, entry]))
    with pytest.raises(claims.ClaimError, match="claims share the id training-transformer"):
        claims.load(path)


def test_every_claim_that_the_mission_names_is_there():
    assert {claim.query for claim in CLAIMS.values()} == set(queries.QUERIES)
    assert all(isinstance(claim, Claim) and claim.needs and claim.decision for claim in CLAIMS.values())


# --- no number but from records --------------------------------------------------------------------


def plain_text(found) -> str:
    bundle = found._repr_mimebundle_()
    return (bundle[0] if isinstance(bundle, tuple) else bundle)["text/plain"]


def shown(path, monkeypatch) -> list[str]:
    """What the cells of a notebook show, in plain text, when run here in this process."""
    names, told = {}, []
    for name in ("display", "update_display"):  # of the opening
        monkeypatch.setattr(show, name, lambda found, display_id: told.append(plain_text(found)))
    for cell in notebook_files.read(path).cells:
        if cell.cell_type == "code":
            *body, last = ast.parse(cell.source).body
            exec(compile(ast.Module([*body], []), "cell", "exec"), names)
            if isinstance(last, ast.Expr):
                found = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
                if isinstance(found, show.Opening):
                    found._ipython_display_()
                elif found is not None:
                    told.append(plain_text(found))
            else:
                exec(compile(ast.Module([last], []), "cell", "exec"), names)
        else:
            told.append(cell.source)
    return told


NUMBER = re.compile(r"(?<![\w.-])\d+(?:\.\d+)?(?![\w-])")


def test_without_records_the_summary_holds_no_number_but_the_limits_of_its_rules(monkeypatch):
    monkeypatch.setattr(store, "read", lambda: Found([], []))
    monkeypatch.setattr(published_benchmarks, "benchmarks", list)
    monkeypatch.setattr(published_benchmarks, "platforms", list)
    path = next(path for path in runner.sources() if path.stem == "00_summary")
    monkeypatch.setattr(power, "table", lambda draws, sessions: pd.DataFrame())
    monkeypatch.setattr(claims, "changes", pd.DataFrame)
    *told, machine = shown(path, monkeypatch)
    about_this_machine = set(NUMBER.findall(machine))
    limits = {f"{limit:g}" for claim in CLAIMS.values() for limit in (claim.above, claim.least)} | {
        "0",
        "1",
        "95",
        str(len(CLAIMS)),
        *(str(sum(bool(claim.device) == apple for claim in CLAIMS.values())) for apple in (True, False)),
    }
    left = {number for text in told for number in NUMBER.findall(re.sub(r"https?://\S+", "", text))}
    assert left - limits - about_this_machine == set()
    assert len(left) > 3
