"""The licences of all that is installed or downloaded, as a table: `python tests/licences.py --write`.

Names of licences are those that packages state in their metadata; what is not installed here keeps its row,
which was read from the wheel. https://packaging.python.org/en/latest/specifications/core-metadata
"""

import csv
import io
import re
import sys
from importlib import metadata
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "data" / "licences.csv"
COLUMNS = ("name", "kind", "licence")
# Licences whose packages a project under the MIT licence may use; MPL covers its own files alone.
ALLOWED = r"""
(?:MIT(?:-0|-CMU)?|0?BSD(?:-[23]-Clause)?|3-Clause\ BSD|ISC|ISC\ License\ \(ISCL\)|BSL-1\.0|CC0-1\.0
|Apache(?:\ Software|-2\.0|\ 2\.0|\ License,\ Version\ 2\.0)?|Apache-2\.0\ WITH\ LLVM-exception
|PSF-2\.0|Python\ Software\ Foundation|CNRI-Python|Public\ Domain
|MPL-2\.0|Mozilla\ Public\ License\ 2\.0\ \(MPL\ 2\.0\))
(?:\ License)?
"""
STATED = {  # what a package says elsewhere than in its metadata, or says of a part that is not used
    "axe-playwright-python": "MIT AND MPL-2.0",  # its LICENSE, and axe-core's that it ships
    "torchao": "BSD-3-Clause",  # its LICENSE
    "docutils": "Public Domain AND BSD-2-Clause",  # its GPL is of a mode for Emacs, which no wheel holds
}


def pinned() -> list[str]:
    """Every package of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return list(dict.fromkeys(re.split("==", line)[0] for line in lines if not line.startswith("#")))


def stated(name: str) -> str:
    """What an installed package says of its licence; empty where it is not installed."""
    if name in STATED:
        return STATED[name]
    try:
        told = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return ""
    classifiers = [
        each.rpartition(" :: ")[2] for each in told.get_all("Classifier") or [] if "License ::" in each
    ]
    first = (told.get("License") or "").strip().partition("\n")[0]
    return told.get("License-Expression") or " AND ".join(classifiers) or first


def rows() -> list[tuple[str, str, str]]:
    """Name, kind and licence of every pin and of every download; a pin that is not installed as it was."""
    kept = {row["name"]: row["licence"] for row in csv.DictReader(TABLE.open())} if TABLE.exists() else {}
    found = [(name, "package", stated(name) or kept.get(name, "")) for name in pinned()]
    data = yaml.safe_load((ROOT / "data" / "downloads.yaml").read_text())
    return found + [(name, "download", entry["terms"]) for name, entry in data.items()]


def text() -> str:
    """The table as it is to be."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([COLUMNS, *rows()])
    return written.getvalue()


def allowed(licence: str) -> bool:
    """Whether every part of a licence may be used; of a choice one part is enough."""
    parts = re.split(r" AND ", licence.replace("(", "").replace(")", "") if " OR " in licence else licence)
    return all(
        any(re.fullmatch(ALLOWED, each.strip(), re.X) for each in part.split(" OR ")) for part in parts
    )


if __name__ == "__main__":
    if "--write" in sys.argv:
        TABLE.write_text(text())
    print(text(), end="")
