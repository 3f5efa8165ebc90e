"""Notebooks as sources: clean, thin, commented; and their parameters checked before anything runs."""

import ast
import json
import re

import fresh
import nbformat
import pytest

from twins.machine import given
from twins.records import store
from twins.series import notebook_files, runner
from twins.timing.progress import PROGRESS

SERIES = runner.sources()
DEFINED = (r"95 % interval", r"\b(32|64)\s+bits", r"iOS\s\d+", r"above 1\b")
PROFILES = sorted((runner.SOURCES / "profiles").glob("*.yaml"))


@pytest.mark.parametrize("path", SERIES, ids=lambda path: path.stem)
class TestSource:
    def test_carries_no_output_and_is_valid(self, path):
        notebook = notebook_files.read(path)
        nbformat.validate(notebook)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
        assert notebook.metadata.kernelspec.name == "python3"

    def test_cells_are_short_and_hold_no_function_or_class(self, path):
        for cell in (c for c in notebook_files.read(path).cells if c.cell_type == "code"):
            tree = ast.parse(cell.source)
            assert not [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.For)]
            parameters = notebook_files.PARAMETERS in cell.metadata.get("tags", [])
            assert len(cell.source.splitlines()) <= (18 if parameters else 12)
            assert max(map(len, cell.source.splitlines())) <= 84

    def test_every_parameter_has_a_comment(self, path):
        cell = next(
            c
            for c in notebook_files.read(path).cells
            if notebook_files.PARAMETERS in c.metadata.get("tags", [])
        )
        assert notebook_files.declared(path)
        assert all(re.search(r"\S  # \S", line) for line in cell.source.splitlines())

    def test_prose_holds_no_number_but_by_definition(self, path):
        """Figures come from records; what is left are names of types, versions and the interval's level."""
        for cell in (c for c in notebook_files.read(path).cells if c.cell_type == "markdown"):
            left = re.sub("|".join(DEFINED), "", cell.source)
            assert re.findall(r"(?<![\w.-])\d+(?:\.\d+)?(?![\w-])", left) == []

    def test_links_lead_to_notebooks_there_are(self, path):
        prose = "\n".join(c.source for c in notebook_files.read(path).cells if c.cell_type == "markdown")
        links = re.findall(r"\]\(([^)#:]+\.ipynb)", prose)
        assert [link for link in links if not (runner.SOURCES / link).exists()] == []

    @pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem)
    def test_profiles_give_known_parameters_of_the_right_type(self, path, profile):
        given = notebook_files.profile(runner.SOURCES / "profiles", profile.stem, SERIES)
        notebook_files.check(path, given.get(path.stem, {}))


def notebook(
    folder, name="01_a", parameters="steps = 3  # a\nrate = 0.1  # b\nsizes = [1, 2]  # c", **metadata
):
    cells = [nbformat.v4.new_markdown_cell("# A\n\nWhy?")]
    if parameters is not None:
        cells.append(nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}))
    made = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    nbformat.write(made, folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"step": 5}, "01_a: no parameter is called 'step'; it takes steps, rate, sizes"),
        ({"steps": "many"}, "01_a: steps is 'many', str; it takes int"),
        ({"steps": True}, "01_a: steps is True, bool; it takes int"),
        ({"rate": "3e-4"}, "01_a: rate is '3e-4', str; it takes float"),
        ({"sizes": [1, "2"]}, "01_a: sizes is [1, '2'], list of int/str; it takes list of int"),
        ({"sizes": 3}, "01_a: sizes is 3, int; it takes list of int"),
    ],
)
def test_wrong_parameters_are_one_sentence(tmp_path, given, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        notebook_files.check(notebook(tmp_path), given)


def test_right_parameters_pass(tmp_path):
    notebook_files.check(notebook(tmp_path), {"steps": 5, "rate": 1, "sizes": []})


def test_a_notebook_without_parameters_cell_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"01_a\.ipynb has no cell tagged 'parameters'"):
        notebook_files.declared(notebook(tmp_path, parameters=None))


def test_unknown_profile_and_section(tmp_path):
    (tmp_path / "quick.yaml").write_text("01_b: {}\n")
    with pytest.raises(ValueError, match="no profile is called 'slow'; there are quick"):
        notebook_files.profile(tmp_path, "slow", SERIES)
    with pytest.raises(ValueError, match="profile quick: section '01_b' is no notebook; there are"):
        notebook_files.profile(tmp_path, "quick", SERIES)


def test_assignments():
    assert given.assignment("sizes=[1, 2]") == ("sizes", [1, 2])
    with pytest.raises(ValueError, match="a parameter is written name=value, found 'steps'"):
        given.assignment("steps")


def test_key_changes_with_cells_parameters_and_what_else_counts(tmp_path):
    path = notebook(tmp_path)
    keys = {
        notebook_files.key(path, {}, []),
        notebook_files.key(path, {"steps": 1}, []),
        notebook_files.key(path, {}, ["cpu"]),
    }
    notebook(tmp_path, parameters="steps = 4  # a")
    assert len(keys | {notebook_files.key(path, {}, [])}) == 4


def test_tidy_leaves_nothing_of_this_machine(tmp_path):
    error = {
        "output_type": "error",
        "ename": "E",
        "evalue": f"{tmp_path}/x",
        "traceback": [f"{tmp_path}/lib"],
    }
    text = f"{PROGRESS}step 1\nkept {tmp_path}/a\n"
    cell = nbformat.v4.new_code_cell(
        "1", metadata={"tags": ["injected-parameters"], "papermill": {"duration": 1}}
    )
    cell.outputs = [
        nbformat.v4.new_output("stream", name="stdout", text=text),
        nbformat.v4.new_output("stream", name="stdout", text=f"{PROGRESS}step 2\n"),
        nbformat.from_dict(error),
    ]
    made = notebook_files.tidy(nbformat.v4.new_notebook(cells=[cell], metadata={"papermill": {}}), tmp_path)
    assert str(tmp_path) not in json.dumps(made)
    assert [output.get("text") for output in made.cells[0].outputs] == ["kept ./a\n", None]
    assert "papermill" not in made.metadata
    assert "papermill" not in made.cells[0].metadata


def test_what_reads_records_runs_last_and_the_summary_after_all():
    assert [path.stem for path in SERIES if notebook_files.reads_records(path)] == [
        "11_published",
        "00_summary",
    ]
    assert SERIES[-1].stem == "00_summary"
    assert store.ROOT / "notebooks" == runner.SOURCES


def test_reading_a_notebook_makes_no_parser_of_addresses():
    """It takes seconds in every process that reads one."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from twins.series import notebook_files\n"
        f"print(len(notebook_files.declared(Path({str(SERIES[0])!r}))))\n"
        "print('lark' in sys.modules, 'jsonschema' in sys.modules)"
    )
    done = fresh.python(code, PYTHONPATH=str(store.ROOT / "lib"))
    assert done.stdout.split()[1:] == ["False", "True"], done.stderr
