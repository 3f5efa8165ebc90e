"""The project as a newcomer meets it: one list of packages, commands that work, a report that is made."""

import os
import re
import subprocess
import sys

import nbformat
import psutil
import pytest
import yaml
from packaging.requirements import Requirement

from twins.evidence.answers import rows
from twins.records import leaks, store
from twins.records.store import ROOT
from twins.series import publish, runner, site
from twins.series.source_digest import PACKAGES

README = (ROOT / "README.md").read_text()
COMMANDS = [
    line.partition("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.S)
    for line in block.splitlines()
]


def test_readme_commands_are_these():
    assert COMMANDS[:3] == ["make report", "make report-12", "make share"]
    assert {"make doctor", "make record", "make test", "make lab"} <= set(COMMANDS)
    assert all(re.match(r"(TWINS_\w+=\S+ )*make [a-z0-9-]+", command) for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_readme_commands_name_targets_and_parameters_there_are(command):
    dry = subprocess.run(f"{command} -n", shell=True, cwd=ROOT, capture_output=True, text=True, check=False)
    assert dry.returncode == 0, dry.stderr
    number = re.search(r"make report-(\d\d)", command)
    paths = runner.chosen(runner.sources(), [number[1]] if number else [])
    given = re.search(r"SET=(?:\"(.*?)\"|(\S+))", command)
    values = (given[1] or given[2]).split() if given else []
    profile = re.search(r"PROFILE=(\w+)", command)
    assert runner.parameters(paths, profile[1] if profile else "quick", values)


def test_the_readme_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = {}
    exec(re.search(r"```python\n(.*?)```", README, re.S)[1], made)  # the README's own lines
    assert made["report"].passed
    assert [value.shape for value in made["outputs"].values()] == [(1, 8)]


def test_make_alone_lists_every_target():
    told = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("report", "report-%", "test", "doctor", "bench", "lab", "site", "lint", "clean"):
        assert f"make {target} " in told


def test_a_second_report_executes_nothing_and_prints_its_path(smoke):
    command = ["make", "--no-print-directory", "report", "PROFILE=smoke"]  # make may run these tests
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    states = [line.split()[-1] for line in again.stdout.splitlines() if line.startswith("[")]
    assert states == ["unchanged"] * len(runner.sources())
    assert again.stdout.splitlines()[-1] == f"the report: {smoke / 'site' / 'index.html'}"
    assert (smoke / "site" / "index.html").is_file()


def test_every_page_names_the_machine_and_what_its_figures_are_not(smoke):
    from twins.machine import identity

    for page in site.finished(smoke / "notebooks"):
        cells = nbformat.read(page, as_version=4).cells[:6]
        told = str([cell.get("outputs") for cell in cells])
        assert all(sentence in told.replace("\\'", "'") for sentence in identity.of_frameworks()), page.name


def test_pages_and_records_leak_nothing(smoke):
    for path in [*site.finished(smoke / "notebooks"), *smoke.glob("results/*/*.jsonl")]:
        assert leaks.leaks(path.read_text()) == [], path.name
    committed = [
        *(ROOT / "report").glob("*"),
        *(ROOT / "data").glob("apart/*"),
        *(ROOT / "data").glob("results/*/*"),
    ]
    for path in committed:
        assert leaks.leaks(path.read_text("utf-8", errors="replace")) == [], path.name


def test_smoke_records_are_whole(smoke):
    found = store.read(smoke / "results")
    assert found.problems == []
    kinds = {type(record.body).__name__ for record in found.records}
    assert {"Machine", "Timing", "Gate", "Fit", "Accuracy", "Work", "Memory"} <= kinds


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("dataset=shakespear", "no data set is called 'shakespear'; known: markov, stdlib, "),
        ("network=[32,2,3]", "width 32 is not divisible by heads 3"),
        ("batch=1000000", "a batch of 1000000 windows of 17 tokens needs 17000000 tokens, more than the "),
        pytest.param(
            "published=true",
            "is estimated to need ",
            marks=pytest.mark.skipif(
                psutil.virtual_memory().available > 140 * 2**30, reason="this machine can train that size"
            ),
        ),
    ],
)
def test_bad_values_are_one_sentence(given, sentence, tmp_path):
    command = [sys.executable, "-m", "twins.series.runner", "--profile", "smoke", "--only", "02", "-p", given]
    done = subprocess.run(
        [*command, "--out", tmp_path], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert sentence in done.stderr


def test_an_absent_device_is_one_sentence(tmp_path):
    command = [
        sys.executable,
        "-m",
        "twins.series.runner",
        "--profile",
        "smoke",
        "--only",
        "01",
        "--out",
        tmp_path,
    ]
    environment = os.environ | {"TWINS_DEVICE": "tpu"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1
    assert "device 'tpu' is not there for both frameworks; MLX has cpu" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_conda_installs_the_same_list():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert set(environment) <= {"name", "channels", "dependencies"}
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    script = (ROOT / "lib" / "environment.sh").read_text()
    installed = re.findall(r"-e '?(lib/[\w\[\]]+)", script)
    assert pip == ["-c constraints.txt", *(f"-e ./{each}" for each in installed)]
    assert {each.partition("[")[0] for each in installed} == {f"lib/{name}" for name in PACKAGES}
    assert "python=3.11" in environment["dependencies"]


def test_constraints_are_exact_and_hold_what_must_hold():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pins = {pin.name: pin for pin in map(Requirement, lines)}
    assert all(re.fullmatch(r"==[\w.+!-]+", str(pin.specifier)) for pin in pins.values())
    assert str(pins["torch"].specifier) == "==2.13.0"
    assert pins["numpy"].specifier.contains("2.3.5")
    assert {"mlx", "mlx-cpu", "mlx-metal", "coremltools", "papermill"} <= set(pins)
    assert not [name for name in pins if re.match(r"torchvision|nvidia|cuda|triton", name)]


def test_every_pin_but_pytorch_has_its_hashes():
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line[0] != "#"]
    text = (ROOT / "lib" / "hashes.txt").read_text()
    hashed = re.findall(r"^(\S+==.+?)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", text, re.M)
    assert [pin for pin, _ in hashed] == [pin for pin in pins if not pin.startswith("torch==")], text[:400]
    told = re.sub(r"^#.*\n", "", text, flags=re.M)
    assert told == "".join(f"{pin}{each}\n" for pin, each in hashed)
    script = (ROOT / "lib" / "environment.sh").read_text()
    assert script.index("--require-hashes --no-deps -r lib/hashes.txt") < script.index("-e lib/")


def test_the_readme_headline_is_what_the_records_say():
    machine = re.search(r"\(machine `([\w-]+)`", README)
    assert machine, "README.md holds no headline; `make publish` makes it"
    found = store.read(ROOT / "data" / "results")
    # A reader's own Mac, measured after publishing, is not in the README yet.
    known = [r for r in found.records if r.device != rows.MAC or f"{r.machine}`" in README]
    text = publish.headline(store.Found(known, []), machine[1])
    assert len(text.splitlines()) <= 14 and text.count("![") == 1
    assert publish.with_headline(README, text) == README
