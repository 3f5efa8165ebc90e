"""The runner: refuses before it runs, executes only what changed, resumes, and loses nothing."""

import json
import signal
import subprocess
import sys

import nbformat
import psutil
import pytest

from twins.records import store
from twins.series import notebook_files, runner

DRIVER = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a script starts in the background
from twins.series import runner
runner.ROOT = Path(sys.argv.pop(1))
runner.SOURCES = runner.ROOT / "notebooks"
if "--no-site" in sys.argv:  # its building takes longer than the rest, and has tests of its own
    sys.argv.remove("--no-site")
    runner.site.build = lambda notebooks, out, profile: out / "index.html"
runner.main()
"""
RECORDS = "from twins.records import store\nfound = store.read()"


def write(project, name, code, reads=False):
    cells = [
        nbformat.v4.new_markdown_cell(f"# {name}\n\nWhy?", id="title"),
        nbformat.v4.new_code_cell(
            "steps = 1  # how many", id="parameters", metadata={"tags": ["parameters"]}
        ),
        nbformat.v4.new_code_cell(code, id="code"),
    ]
    made = nbformat.v4.new_notebook(cells=cells)
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    if reads:
        made.metadata["twins"] = {"reads_records": True}
    nbformat.write(made, project / "notebooks" / f"{name}.ipynb")


@pytest.fixture
def project(tmp_path):
    """A report of three small notebooks in a folder of its own."""
    (tmp_path / "notebooks" / "profiles").mkdir(parents=True)
    (tmp_path / "notebooks" / "profiles" / "quick.yaml").write_text("01_a: {steps: 2}\n")
    (tmp_path / "constraints.txt").write_text("")
    write(tmp_path, "00_summary", "print('summary')", reads=True)
    write(tmp_path, "01_a", "print('steps', steps)")
    write(tmp_path, "02_b", "print('b')")
    return tmp_path


def command(project, *arguments, site=False):
    """The command line of the runner in a project's folder."""
    return [sys.executable, "-c", DRIVER, str(project), *([] if site else ["--no-site"]), *arguments]


def run(project, *arguments, site=False):
    words = command(project, *arguments, site=site)
    return subprocess.run(words, capture_output=True, text=True, check=False)


def states(done):
    """Notebook -> what the runner said of it last."""
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines() if line.startswith("[")]
    return {name: state.split()[0] for _, name, state in lines}


def test_runs_skips_and_reruns_only_what_changed(project):
    first = run(project, site=True)
    assert first.returncode == 0, first.stderr
    assert states(first) == {"01_a": "done", "02_b": "done", "00_summary": "done"}
    assert first.stdout.splitlines()[-1] == f"the report: {project}/build/quick/site/index.html"
    executed = nbformat.read(project / "build/quick/notebooks/01_a.ipynb", as_version=4)
    assert executed.cells[-1].outputs[0].text == "steps 2\n"
    assert str(project) not in nbformat.writes(executed)

    again = run(project)
    assert set(states(again).values()) == {"unchanged"}

    write(project, "02_b", "print('changed')")
    assert states(run(project)) == {"01_a": "unchanged", "02_b": "done", "00_summary": "unchanged"}

    folder = project / "data" / "results" / "m"
    folder.mkdir(parents=True)
    (folder / "01_a.jsonl").write_text("")
    assert states(run(project)) == {"01_a": "unchanged", "02_b": "unchanged", "00_summary": "done"}


def test_plain_lines_name_page_and_section_and_times_are_kept(project):
    write(project, "02_b", "print('· process 1 of 2', flush=True)")
    kept = {"quick": {"00_summary": 60, "01_a": 60, "02_b": 600.0}, "full": {"01_a": 9}}
    (project / "build").mkdir()
    (project / "build" / "times.json").write_text(json.dumps(kept))
    lines = run(project).stdout.splitlines()
    assert lines[0].endswith("; a whole run takes about 12 min (as the last one); `make doctor` says more")
    assert "[2/3] 02_b  running  about 11 min left" in lines
    assert "  02_b  02_b  · process 1 of 2" in lines  # the section is the page's title
    times = json.loads((project / "build" / "times.json").read_text())
    assert times["full"] == kept["full"] and set(times["quick"]) == set(kept["quick"])
    assert all(0 < seconds < 60 for seconds in times["quick"].values())


def test_a_failure_keeps_the_partial_page_and_the_others_run(project):
    write(project, "01_a", "print('before')\nraise ValueError('width 3 is not divisible by heads 2')")
    done = run(project)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == [
        "error: 01_a, cell 4: ValueError: width 3 is not divisible by heads 2 "
        "(what ran: build/quick/notebooks/01_a.partial.ipynb)"
    ]
    assert states(done) == {"01_a": "FAILED", "02_b": "done", "00_summary": "done"}
    partial = nbformat.read(project / "build/quick/notebooks/01_a.partial.ipynb", as_version=4)
    assert "before" in str(partial.cells)
    assert not (project / "build/quick/notebooks/01_a.ipynb").exists()

    write(project, "01_a", "print('mended')")
    assert states(run(project)) == {"01_a": "done", "02_b": "unchanged", "00_summary": "unchanged"}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_interrupted_it_goes_on_where_it_stopped(project, how):
    code = "import os, time\nprint('· waiting', os.getpid(), flush=True)\ntime.sleep(600)"
    write(project, "02_b", code)
    going = subprocess.Popen(command(project), stdout=subprocess.PIPE, text=True, start_new_session=True)
    for line in going.stdout:
        if "waiting" in line:
            kernel = psutil.Process(int(line.split()[-1]))
            break
    going.send_signal(how)
    assert going.wait(timeout=60) == (-how if how == signal.SIGKILL else 130)
    going.stdout.close()
    kernel.wait(timeout=20)  # it ends, too
    assert (project / "build/quick/notebooks/01_a.ipynb").exists()
    assert not (project / "build/quick/notebooks/02_b.ipynb").exists()

    write(project, "02_b", "print('b')")
    assert states(run(project)) == {"01_a": "unchanged", "02_b": "done", "00_summary": "done"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-p", "step=3"], "01_a: no parameter is called 'step'; it takes steps"),
        (["-p", "steps=many"], "01_a: steps is 'many', str; it takes int"),
        (["-p", "steps"], "a parameter is written name=value, found 'steps'"),
        (["--profile", "slow"], "no profile is called 'slow'; there are quick"),
        (["--only", "99"], "no notebook is called '99'; there are 01_a, 02_b, 00_summary"),
    ],
)
def test_bad_input_is_one_sentence_before_anything_runs(project, arguments, sentence):
    done = run(project, *arguments)
    assert done.returncode == 1
    assert done.stderr.strip() == f"error: {sentence}"
    assert not (project / "build").exists()


def test_a_broken_record_is_named_and_the_report_still_made(project):
    folder = project / "data" / "results" / "some-machine"
    folder.mkdir(parents=True)
    (folder / "01_a.jsonl").write_text("{broken\n")
    done = run(project, site=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: some-machine/01_a.jsonl, line 1: JSON is malformed")
    assert len(done.stderr.strip().splitlines()) == 1
    assert (project / "build/quick/site/index.html").exists()


def test_parameters_given_by_hand_have_a_folder_of_their_own(project):
    done = run(project, "--only", "01", "-p", "steps=7")
    assert done.returncode == 0, done.stderr
    executed = nbformat.read(project / "build/quick-custom/notebooks/01_a.ipynb", as_version=4)
    assert executed.cells[-1].outputs[0].text == "steps 7\n"
    assert not (project / "data").exists()


def test_a_parameter_goes_to_the_notebooks_that_have_it():
    paths = runner.sources()
    given = runner.parameters(paths, "quick", ["steps=7"])
    takers = {path.stem for path in paths if "steps" in notebook_files.declared(path)}
    assert {name for name, values in given.items() if values.get("steps") == 7} == takers != set()


def test_the_kernel_is_this_python(project):
    write(project, "01_a", "import sys\nprint(sys.executable)")
    run(project, "--only", "01")
    executed = nbformat.read(project / "build/quick/notebooks/01_a.ipynb", as_version=4)
    told = executed.cells[-1].outputs[0].text.strip()
    assert told.replace("./", f"{store.ROOT}/", 1).endswith(sys.executable.removeprefix(str(store.ROOT)))


def test_a_page_that_reads_records_is_made_again_for_others_records_and_not_its_own(project):
    path, folder = project / "notebooks" / "00_summary.ipynb", project / "records"
    (folder / "machine").mkdir(parents=True)
    before = runner.key(path, {}, folder)
    (folder / "machine" / "00_summary.jsonl").write_text("own\n")
    assert runner.key(path, {}, folder) == before
    (folder / "machine" / "01_a.jsonl").write_text("another's\n")
    assert runner.key(path, {}, folder) != before
