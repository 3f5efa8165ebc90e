"""All that is installed or downloaded has a licence that is written down and may be used."""

import csv

import licences
import pytest

ROWS = list(csv.DictReader(licences.TABLE.open()))


def test_the_table_is_made_from_what_is_pinned_and_installed():
    assert licences.TABLE.read_text() == licences.text(), "run python tests/licences.py --write"


@pytest.mark.parametrize("row", [r for r in ROWS if r["kind"] == "package"], ids=lambda row: row["name"])
def test_a_package_may_be_used(row):
    assert licences.allowed(row["licence"]), row["licence"]


def test_every_download_states_its_terms():
    assert all(row["licence"] for row in ROWS)


@pytest.mark.parametrize(
    "licence", ["", "GPL-3.0-only", "MIT AND AGPL-3.0", "Proprietary", "GPL-2.0 OR SSPL-1.0"]
)
def test_others_may_not(licence):
    assert not licences.allowed(licence)


@pytest.mark.parametrize("licence", ["MIT", "GPL-3.0-only OR MIT", "MIT AND (Apache-2.0 OR BSD-2-Clause)"])
def test_these_may(licence):
    assert licences.allowed(licence)
