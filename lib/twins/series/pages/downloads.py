"""What a reader can take along from a page: the executed notebook, its records as JSON lines and as CSV."""

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path

NOTEBOOKS, RECORDS = "notebooks", "records"  # folders in the site


def write(site: Path, pages: Iterable[Path], results: Path) -> None:
    """Copy the notebooks and the records of each page, of all machines, into a site."""
    for page in pages:
        target = site / NOTEBOOKS / page.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(page.read_bytes())
        lines = [line for path in of(page.stem, results) for line in path.read_text("utf-8").splitlines()]
        if lines:
            (site / RECORDS).mkdir(parents=True, exist_ok=True)
            (site / RECORDS / f"{page.stem}.jsonl").write_text("\n".join([*lines, ""]), "utf-8")
            (site / RECORDS / f"{page.stem}.csv").write_text(table(lines), "utf-8")


def of(page: str, results: Path) -> list[Path]:
    """The files with a page's records, one per machine."""
    return sorted(results.glob(f"*/{page}.jsonl"))


def offered(page: str, results: Path) -> dict[str, str]:
    """What a page offers: its words -> its address in the site; the first page, without a name, nothing."""
    found = {"Notebook": f"{NOTEBOOKS}/{page}.ipynb"} if page else {}
    if of(page, results):
        found |= {f"Records ({kind})": f"{RECORDS}/{page}.{end}" for kind, end in FORMS.items()}
    return found


FORMS = {"JSON lines": "jsonl", "CSV": "csv"}


def table(lines: Iterable[str]) -> str:
    """Records as CSV: one row a record, one column a value, named by its place, as in body.runs.0.wall.

    A line that is no JSON object is left out; `make report` names it.
    """
    rows = []
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            rows.append(flat(record))
    out = io.StringIO()
    writer = csv.DictWriter(
        out, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def flat(value, name: str = "") -> dict[str, object]:
    """A nested value as one level; a list of plain values stays one cell, separated by semicolons."""
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list) and any(isinstance(each, dict | list) for each in value):
        parts = enumerate(value)
    else:
        return {name: ";".join(map(str, value)) if isinstance(value, list) else value}
    found: dict[str, object] = {}
    for key, part in parts:
        found |= flat(part, f"{name}.{key}" if name else str(key))
    return found
