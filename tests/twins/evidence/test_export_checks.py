"""Statements on export to Core ML are tried live, and a statement that held would be told as held."""

import coremltools as ct
import mlx.nn
import pytest
from records import MACHINE
from test_claims import CLAIMS, said
from test_summary import written

from twins.evidence.published import export_checks, published_tables
from twins.evidence.verdicts import claims
from twins.records.record_types import Finding

FOUND = {found.name: found for found in export_checks.checks()}
ID = {
    "coremltools-direct": "coremltools converts an MLX module",
    "mlx-own-export": "MLX exports to Core ML",
    "mlmodel-file": "an ML program is an .mlmodel file",
}


@pytest.mark.parametrize("name", FOUND)
def test_the_statement_fails_where_its_control_works(name):
    assert FOUND[name].reproduced and FOUND[name].effect == 0 < FOUND[name].control
    assert FOUND[name].told


def test_the_record_says_what_was_looked_for_and_found():
    assert f"coremltools {ct.__version__}" in FOUND[ID["coremltools-direct"]].told
    assert "Unable to determine the type of the model" in FOUND[ID["coremltools-direct"]].told
    exported = FOUND[ID["mlx-own-export"]]
    assert "Core ML is named by none" in exported.told
    assert {"mlx.core.export_function", "mlx.core.export_to_dot", "mlx.core.save_safetensors"} <= set(
        exported.told.partition("written by ")[2].split(", ")
    )
    assert exported.control >= 6
    assert "must be .mlpackage (not .mlmodel)" in FOUND[ID["mlmodel-file"]].told


def test_an_export_of_mlx_would_be_found(monkeypatch):
    def export_model(path):
        """Write the model as a Core ML package."""

    monkeypatch.setattr(mlx.nn, "export_model", export_model, raising=False)
    found = export_checks.own_export()
    assert (found.effect, found.reproduced) == (1, False)
    assert "named by mlx.nn.export_model;" in found.told


def test_a_conversion_that_works_would_be_told(monkeypatch):
    package = ct.convert
    monkeypatch.setattr(
        ct, "convert", lambda model, **more: package(model, **more) if callable_trace(model) else model
    )
    found = export_checks.direct_conversion()
    assert (found.effect, found.reproduced) == (1.0, False) and found.told.endswith(": converted")


def callable_trace(model) -> bool:
    return not isinstance(model, mlx.nn.Module)


def test_another_error_of_saving_is_not_taken_for_a_refusal(monkeypatch):
    def full(self, path):
        raise OSError("no space left")

    monkeypatch.setattr(ct.models.MLModel, "save", full)
    with pytest.raises(OSError, match="no space left"):
        export_checks.single_file()


@pytest.mark.parametrize("claim", ID)
def test_claims_are_judged_by_what_was_tried(claim):
    found = FOUND[ID[claim]]
    assert said(claim).word == claims.NOT_HERE
    assert said(claim, found).word == claims.CONTRADICTED and found.told in said(claim, found).why
    worked = Finding(found.name, found.measure, 1.0, 1.0, False, "it worked")
    assert said(claim, worked).word == claims.SUPPORTED
    other = Finding("something else", found.measure, 1.0, 1.0, False, "it worked")
    assert said(claim, other).word == claims.NOT_HERE


def test_older_findings_are_read_and_the_table_shows_all():
    record = written(MACHINE, Finding("a", "b", 0.0, 1.0, True))[-1]
    assert record.body.told == ""
    table = published_tables.tried(FOUND.values())
    assert list(table["statement"]) == list(FOUND) and list(table["works"]) == [0, 0, 0]


def test_every_claim_of_a_statement_that_was_tried_names_one_that_is_tried():
    asked = {claim.of["finding"] for claim in CLAIMS.values() if claim.query == "tried"}
    assert asked == set(FOUND)
