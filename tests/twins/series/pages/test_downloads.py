"""What a reader takes along: records as JSON lines and as CSV."""

import csv
import io
import json

from twins.series.pages import downloads

RECORD = {"kind": "timing", "body": {"case": {"batch": 4}, "runs": [{"wall": [1.5, 2]}, {"wall": [3]}]}}


def test_a_record_is_one_row_and_nothing_is_lost():
    text = downloads.table([json.dumps(RECORD), '{"kind": "a, \\"b\\"", "none": null}', "cut o"])
    first, second = csv.DictReader(io.StringIO(text))
    assert first["kind"] == "timing" and first["body.case.batch"] == "4"
    assert (first["body.runs.0.wall"], first["body.runs.1.wall"]) == ("1.5;2", "3")
    assert second["kind"] == 'a, "b"' and second["none"] == "" and second["body.case.batch"] == ""


def test_files_of_a_page_are_those_of_every_machine(tmp_path):
    page = tmp_path / "02_x.ipynb"
    page.write_text("{}")
    assert downloads.offered("02_x", tmp_path) == {"Notebook": "notebooks/02_x.ipynb"}
    for machine in ("a", "b"):
        (tmp_path / machine).mkdir()
        (tmp_path / machine / "02_x.jsonl").write_text(f'{{"machine": "{machine}"}}\n')
    downloads.write(tmp_path / "site", [page], tmp_path)
    assert (tmp_path / "site/records/02_x.csv").read_text() == "machine\na\nb\n"
    for to in downloads.offered("02_x", tmp_path).values():
        assert (tmp_path / "site" / to).is_file()
    assert downloads.offered("", tmp_path) == {}
