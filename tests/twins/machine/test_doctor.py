"""Setting up: which Python is taken, what is replaced, what is refused, and what the doctor says.

Pythons, pip and the system's tools are scripts in a folder of the test, so nothing is installed; the doctor
is the real one, run by this Python, which is told what it shall take itself for.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import records
from msgspec import structs

from twins.machine import doctor, time_estimate
from twins.records import store
from twins.records.store import ROOT
from twins.series import notebook_files, runner, sharing

TOOLS = ["awk", "basename", "cat", "cp", "env", "grep", "mkdir", "rm", "sh", "touch", "uname"]
NEEDED = ["Makefile", "lib/twins/pyproject.toml", "constraints.txt", "lib/hashes.txt", "lib/environment.sh"]
NEEDED += ["lib/twins/__init__.py"]
NEEDED += [f"lib/twins/machine/{name}.py" for name in ("__init__", "doctor", "time_estimate", "macos")]
PYTHON = """#!/bin/sh
echo "$0 $* compat=$SYSTEM_VERSION_COMPAT" >> "$LOG"
case "$*" in
  "-m venv .venv") [ -z "$NOVENV" ] && mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
  "-m pip "*) exit ${{PIP:-0}} ;;
  "-m twins.machine.doctor"*)
    shift 2
    export TRANSLATED={translated}
    exec "{real}" -c 'import platform, runpy, shutil, sys, types
sys.version_info = {version}
{prelude}
runpy.run_module("twins.machine.doctor", run_name="__main__")' "$@" ;;
  "-m twins.series.runner"*) exit 7 ;;
esac
"""
MAC = 'platform.system = lambda: "Darwin"\nplatform.machine = lambda: "{}"'
FULL = "shutil.disk_usage = lambda path: types.SimpleNamespace(free=2**30)"
ARM, INTEL = MAC.format("arm64"), MAC.format("x86_64")
SYSCTL = """#!/bin/sh
case "$2" in
  kern.osproductversion) echo {version} ;;
  sysctl.proc_translated) echo "${{TRANSLATED:-0}}" ;;
  machdep.cpu.brand_string) echo 'Apple M3 Max' ;;
  *) exit 1 ;;
esac
"""


class Place:
    """A copy of what setting up needs, in a folder with a space, and a PATH of its own."""

    def __init__(self, folder):
        self.root, self.bin, self.log = folder / "a clone", folder / "bin", folder / "log"
        self.bin.mkdir()
        for name in NEEDED:
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self.root / name)
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))

    def tool(self, name, text, folder=None):
        """An executable script."""
        path = (folder or self.bin) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def python(self, name, version, prelude="", translated=0, folder=None):
        """A Python that takes itself for a version; `prelude` is what it pretends besides."""
        numbers = tuple(map(int, version.split(".")))
        text = PYTHON.format(real=sys.executable, version=numbers, prelude=prelude, translated=translated)
        return self.tool(name, text, folder)

    def venv(self, version, finished=True, **more):
        """A .venv of a version, and a file in it that only the old one has."""
        self.python("python", version, folder=self.root / ".venv" / "bin", **more)
        (self.root / ".venv" / "old").touch()
        if finished:
            (self.root / ".venv" / ".twins-ready").touch()

    def make(self, *targets, **environment):
        """Run make with this PATH and nothing else in the environment."""
        words = [shutil.which("make"), "--no-print-directory", *targets]
        given = {"PATH": str(self.bin), "LOG": str(self.log)} | environment
        return subprocess.run(words, cwd=self.root, env=given, capture_output=True, text=True, check=False)

    def made(self):
        """The version of the Python in .venv, None without a finished one."""
        if not (self.root / ".venv" / ".twins-ready").exists():
            return None
        text = (self.root / ".venv" / "bin" / "python").read_text()
        found = re.search(r"version_info = \((\d+), (\d+)", text)
        return f"{found[1]}.{found[2]}"

    def logged(self, what):
        """The lines of calls that hold a text."""
        return [line for line in self.log.read_text().splitlines() if what in line]


@pytest.fixture
def place(tmp_path):
    """A place to set up in."""
    return Place(tmp_path)


def sentence(done):
    """The one sentence on standard error, make's own line apart."""
    lines = [line for line in done.stderr.strip().splitlines() if not line.startswith("make")]
    assert done.returncode != 0 and len(lines) == 1, done.stderr
    return lines[0]


def nothing_made(place):
    """Whether neither an environment nor a folder of made things came to be."""
    return not (place.root / ".venv").exists() and not (place.root / "build").exists()


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        ({"python3.11": "3.11.9", "python3.12": "3.12.1", "python3": "3.13.0"}, "3.11"),
        ({"python3.12": "3.12.1", "python3": "3.9.6"}, "3.12"),
        ({"python3": "3.12.4"}, "3.12"),
        ({"python3": "3.11.2"}, "3.11"),
    ],
)
def test_a_python_that_every_package_has_wheels_for_is_taken(place, there, taken):
    for name, version in there.items():
        place.python(name, version)
    done = place.make("setup")
    assert done.returncode == 0, done.stderr
    assert place.made() == taken
    assert done.stdout == "installing into .venv, about 2 GB\n"
    hashed, rest = place.logged("-m pip install")
    assert "--require-hashes --no-deps -r lib/hashes.txt" in hashed and "-e lib/twins" in rest
    assert all(line.endswith("compat=0") for line in place.logged("-m pip install"))
    assert place.make("setup").stdout == ""  # nothing is done twice
    assert place.logged("-m pip install") == [hashed, rest]


@pytest.mark.parametrize(
    ("there", "found"),
    [
        ({"python3": "3.9.6"}, "found python3 (Python 3.9.6); "),
        ({"python3": "3.13.0"}, "found python3 (Python 3.13.0); "),
        ({}, "found none that runs; "),
    ],
)
@pytest.mark.parametrize("target", ["setup", "report", "test"])
def test_without_such_a_python_one_sentence_and_nothing_made(place, there, found, target):
    for name, version in there.items():
        place.python(name, version)
    told = sentence(place.make(target))
    assert told.startswith("error: Python 3.11 or 3.12 is needed") and found in told
    assert nothing_made(place)


def test_a_name_that_does_not_run_is_passed_over(place):
    place.tool("python3.11", "#!/bin/sh\necho 'pyenv: python3.11: command not found' >&2\nexit 127\n")
    place.python("python3.12", "3.12.1")
    assert place.make("setup").returncode == 0
    assert place.made() == "3.12"


@pytest.mark.parametrize(
    ("old", "why"),
    [
        ({"version": "3.9.6"}, "its Python is Python 3.9.6"),
        ({"version": "3.13.0"}, "its Python is Python 3.13.0"),
        ({"version": "3.11.9", "finished": False}, "its installation was never finished"),
        (
            {"version": "3.11.9", "prelude": ARM, "translated": 1},
            "its Python is Python 3.11.9 for Intel under Rosetta",
        ),
    ],
)
def test_a_stale_environment_is_replaced(place, old, why):
    place.tool("sysctl", SYSCTL.format(version="15.1"))
    place.venv(**old)
    place.python("python3.11", "3.11.9")
    done = place.make("setup")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f".venv is replaced: {why}"
    assert place.made() == "3.11" and not (place.root / ".venv" / "old").exists()


def test_an_environment_whose_python_is_gone_is_replaced(place):
    (place.root / ".venv" / "bin").mkdir(parents=True)
    (place.root / ".venv" / "bin" / "python").symlink_to("/nowhere/python3.11")
    place.python("python3.11", "3.11.9")
    assert place.make("setup").stdout.splitlines()[0] == ".venv is replaced: its Python is broken"
    assert place.made() == "3.11"


def test_a_stale_environment_stays_where_there_is_nothing_to_replace_it_with(place):
    place.venv("3.9.6")
    place.python("python3", "3.9.6")
    assert "found python3 (Python 3.9.6)" in sentence(place.make("setup"))
    assert (place.root / ".venv" / "old").exists()


def test_a_sound_environment_is_updated_in_place_when_the_pins_change(place):
    place.venv("3.12.1")
    os.utime(place.root / ".venv" / ".twins-ready", (1, 1))
    assert place.make("setup").stdout == "installing into .venv, about 2 GB\n"
    assert (place.root / ".venv" / "old").exists() and place.made() == "3.12"


def test_a_python_without_venv_is_one_sentence(place):
    place.python("python3.11", "3.11.9")
    assert "python3.11 cannot make an environment" in sentence(place.make("setup", NOVENV="1"))
    assert not (place.root / ".venv").exists()


def test_an_installation_that_fails_counts_as_none(place):
    place.python("python3.11", "3.11.9")
    assert "the installation did not finish" in sentence(place.make("setup", PIP="1"))
    assert place.made() is None
    done = place.make("setup")
    assert done.stdout.splitlines()[0] == ".venv is replaced: its installation was never finished"
    assert place.made() == "3.11"


BASE = {"CONDA_DEFAULT_ENV": "base"}
NAMED = {"CONDA_DEFAULT_ENV": "twins"}


@pytest.mark.parametrize(
    ("variable", "version", "more", "taken"),
    [
        ("CONDA_PREFIX", "3.11.9", BASE, False),
        ("CONDA_PREFIX", "3.12.1", NAMED, True),
        ("CONDA_PREFIX", "3.13.0", NAMED, False),
        ("VIRTUAL_ENV", "3.11.9", {}, True),
        ("VIRTUAL_ENV", "3.9.6", {}, False),
    ],
)
def test_which_active_environment_is_taken(place, tmp_path, variable, version, more, taken):
    place.python("python3.11", "3.11.9")
    active = tmp_path / "active one"
    place.python("python", version, folder=active / "bin")
    done = place.make("setup", **{variable: str(active)}, **more)
    assert done.returncode == 0, done.stderr
    assert (active / ".twins-ready").exists() == taken
    assert place.made() == (None if taken else "3.11")
    said = [line for line in done.stdout.splitlines() if line.startswith("the active environment has no")]
    assert len(said) == (0 if taken or more == BASE else 1)


@pytest.mark.parametrize(
    ("prelude", "release", "translated", "told"),
    [
        (ARM, "13.6.1", 0, "error: macOS 14 or later is needed, found 13.6.1: MLX has no build for it"),
        (INTEL, "15.1", 0, "error: Apple silicon is needed on macOS, found x86_64: "),
        (INTEL, "15.1", 1, "found python3.11 (Python 3.11.9 for Intel under Rosetta)"),
        (FULL, "15.1", 0, "error: 3 GB of free disk space are needed for the installation, found 1.0 GB in "),
    ],
)
@pytest.mark.parametrize("target", ["setup", "report"])
def test_what_cannot_work_is_refused_before_anything_is_made(
    place, prelude, release, translated, told, target
):
    place.tool("sysctl", SYSCTL.format(version=release))
    place.python("python3.11", "3.11.9", prelude, translated)
    assert told in sentence(place.make(target))
    assert nothing_made(place)


@pytest.mark.parametrize(
    ("there", "code", "lines"),
    [
        ({"python3.11": "3.11.9"}, 0, ["- There is no C++ compiler: ", "C++ compiler    none"]),
        ({"python3": "3.9.6"}, 2, ["- Python 3.11 or 3.12 is needed, found 3.9.6: "]),
        ({"python3": "3.13.0"}, 2, ["- Python 3.11 or 3.12 is needed, found 3.13.0: "]),
    ],
)
def test_the_doctor_answers_whatever_python_there_is_and_makes_nothing(place, there, code, lines):
    for name, version in there.items():
        place.python(name, version)
    done = place.make("doctor")
    assert done.returncode == code, done.stderr
    assert [line for line in lines if line not in done.stdout] == []
    assert nothing_made(place) and place.logged("-m pip") == []


def test_the_doctor_without_any_python(place):
    assert "found none that runs" in sentence(place.make("doctor"))


def test_a_mac_stays_awake_as_long_as_the_report_runs_and_its_status_is_the_reports(place):
    place.tool("caffeinate", '#!/bin/sh\necho "caffeinate $*" >> "$LOG"\n')
    place.python("python3.11", "3.11.9")
    assert place.make("report").returncode == 2
    assert len(place.logged("-m twins.series.runner --profile=quick")) == 1
    end = time.monotonic() + 30  # it runs beside the report, and may write after it
    while not (told := place.logged("caffeinate")) and time.monotonic() < end:
        time.sleep(0.05)
    assert re.fullmatch(r"caffeinate -i -w \d+", told[0])


def seen(**changes):
    """A Mac on which everything runs."""
    mac = doctor.Look(
        python=(3, 11, 9),
        system="Darwin",
        release=(26, 1),
        processor="arm64",
        rosetta=False,
        chip="Apple M3 Max",
        gpu_cores=40,
        memory=64 * 2**30,
        disk=100 * 2**30,
        make="GNU Make 3.81",
        compiler="Apple clang version 17.0.0",
        xctest=True,
        power="mains",
        low_power=False,
        conda="",
        folder="/twins",
        work=time_estimate.REFERENCE,
    )
    return replace(mac, **changes)


@pytest.mark.parametrize(
    ("changes", "starts"),
    [
        ({}, []),
        ({"python": (3, 13, 0)}, ["Python 3.11 or 3.12 is needed, found 3.13.0"]),
        ({"rosetta": True, "processor": "x86_64"}, ["Python is built for Intel and runs under Rosetta"]),
        ({"processor": "x86_64"}, ["Apple silicon is needed on macOS, found x86_64"]),
        ({"release": (13, 6)}, ["macOS 14 or later is needed, found 13.6"]),
        ({"disk": 2**30, "release": (13,)}, ["macOS 14 or later", "3 GB of free disk space are needed"]),
    ],
)
def test_refusals(changes, starts):
    found = doctor.refusals(seen(**changes), install=True)
    assert len(found) == len(starts)
    assert all(told.startswith(start) for told, start in zip(found, starts, strict=True))


@pytest.mark.parametrize(
    ("changes", "starts"),
    [
        ({}, []),
        ({"compiler": ""}, ["There is no C++ compiler"]),
        ({"folder": "/my twins"}, ["The folder's path has a space"]),
        ({"xctest": False, "power": "battery"}, ["There is no XCTest", "The machine runs on battery"]),
        ({"release": (14, 6)}, ["Core ML packages for iOS 18 need macOS 15"]),
        ({"low_power": True, "conda": "base"}, ["Low power mode is on", "conda's base is active"]),
        ({"memory": 4 * 2**30}, ["There is little memory"]),
        ({"system": "Linux", "release": None, "xctest": False}, ["This is no Mac"]),
        ({"memory": None, "gpu_cores": None, "power": None, "low_power": None}, []),
    ],
)
def test_notes(changes, starts):
    found = doctor.notes(seen(**changes))
    assert len(found) == len(starts)
    assert all(told.startswith(start) for told, start in zip(found, starts, strict=True))
    assert all(note in doctor.page(seen(**changes), install=False) for note in found)


def test_disk_counts_only_where_packages_are_yet_to_be_installed():
    assert doctor.refusals(seen(disk=2**30), install=False) == []


def recorded(folder, starts):
    """Records of pages by the time each began; estimates read no more of them."""
    for machine, page, profile, clock in starts:
        path = folder / machine / f"{page}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"run": f"2026-01-01T{clock}.000000Z", "notebook": page, "profile": profile})
        path.write_text((path.read_text() if path.exists() else "") + f"{line}\n")


def test_durations_are_from_a_pages_start_to_the_next_ones(tmp_path):
    starts = [("m", "01_a", "quick", "10:00:00"), ("m", "02_b", "quick", "10:01:00")]
    starts += [("m", "03_c", "quick", "10:04:00"), ("m", "01_a", "quick", "12:00:00")]
    starts += [("m", "02_b", "quick", "12:02:00"), ("m", "04_d", "smoke", "12:03:00")]
    recorded(
        tmp_path, [*starts, ("fewer", "01_a", "quick", "10:00:00"), ("fewer", "02_b", "quick", "10:00:01")]
    )
    (tmp_path / "m" / "broken.jsonl").write_text("{broken\n")
    # 03_c has no next page within an hour: the median of the others
    none = tmp_path / "no times.json"
    assert time_estimate.recorded("quick", tmp_path) == {"01_a": 60.0, "02_b": 180.0, "03_c": 120.0}
    assert time_estimate.minutes(time_estimate.REFERENCE, "quick", None, tmp_path, none) == 6.0
    assert time_estimate.minutes(
        2 * time_estimate.REFERENCE, "quick", ["01_a"], tmp_path, none
    ) == pytest.approx(2)
    assert time_estimate.minutes(time_estimate.REFERENCE, "record", ["02_b"], tmp_path, none) == 3.0
    assert time_estimate.minutes(time_estimate.REFERENCE, "full", None, tmp_path, none) is None
    assert time_estimate.minutes(time_estimate.REFERENCE, "quick", None, tmp_path / "none", none) is None
    told = doctor.greeting(seen(), "quick", ["02_b"], tmp_path, none)
    assert told.startswith("Apple M3 Max, 40 GPU cores, 64 GB, macOS 26.1, Python 3.11.9; ")
    assert "takes about 3 min (an estimate)" in told


def test_what_earlier_runs_took_here_goes_before_an_estimate(tmp_path):
    recorded(tmp_path, [("m", "01_a", "quick", "10:00:00"), ("m", "02_b", "quick", "10:01:00")])
    file, slow = tmp_path / "build" / "times.json", 2 * time_estimate.REFERENCE
    assert time_estimate.taken("quick", file) == {}
    time_estimate.note("quick", "01_a", 30.04, file)
    time_estimate.note("full", "01_a", 500, file)
    time_estimate.note("quick", "03_c", 10, file)
    assert time_estimate.taken("quick", file) == {"01_a": 30.0, "03_c": 10}
    by_page = time_estimate.by_page(slow, "quick", tmp_path, file)
    assert by_page == pytest.approx({"01_a": 30, "02_b": 120, "03_c": 10})
    assert "2 min (an estimate)" in doctor.greeting(
        seen(work=slow), "quick", ["01_a", "02_b"], tmp_path, file
    )
    assert "1 min (as the last one)" in doctor.greeting(seen(work=slow), "quick", ["01_a"], tmp_path, file)
    file.write_text("{broken")
    assert time_estimate.taken("quick", file) == {}
    time_estimate.note("quick", "01_a", 20, file)
    assert time_estimate.taken("quick", file) == {"01_a": 20}


def test_the_committed_records_give_an_estimate_for_every_page_that_measures():
    measured = {path.stem for path in runner.sources()} - {runner.LAST}
    assert set(time_estimate.recorded("quick")) == measured


def test_a_report_where_nothing_can_work_ends_before_it_begins():
    with pytest.raises(ValueError, match=r"^macOS 14 or later is needed, found 13\.6"):
        doctor.greeting(seen(release=(13, 6)), "quick")


def test_the_doctors_modules_need_nothing_that_is_to_be_installed():
    code = "import sys; sys.path.insert(0, 'lib'); from twins.machine import doctor; doctor.main()"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "make            GNU Make" in done.stdout


def test_the_record_profile_runs_the_pages_it_names_and_its_records_are_kept():
    assert [path.stem[:2] for path in runner.pages("record", [])] == ["01", "02", "03", "04", "06"]
    assert [path.stem[:2] for path in runner.pages("record", ["02"])] == ["02"]
    assert len(runner.pages("quick", [])) == len(runner.sources())
    assert "record" in runner.KEPT


def test_the_record_profile_measures_less_and_at_the_sizes_of_the_quick_one():
    counts = {
        "details",
        "seeds",
        "sizes",
        "half_sizes",
        "batch_sizes",
        "half_types",
        "prompts",
        "processes",
        "rounds",
        "steps",
        "exact_steps",
        "tested",
        "kernels",
        "layer_batches",
    }
    folder = runner.SOURCES / "profiles"
    quick = notebook_files.profile(folder, "quick", runner.sources())
    for path in runner.pages("record", []):
        given = notebook_files.profile(folder, "record", runner.sources())[path.stem]
        usual = notebook_files.declared(path) | quick[path.stem]
        assert set(given) <= counts
        for name, value in given.items():
            less = set(value) <= set(usual[name]) if isinstance(value, list) else value <= usual[name]
            assert less or name in ("processes", "half_types"), f"{path.stem}: {name}"


def test_a_macs_records_go_round_by_share_and_merge(tmp_path, monkeypatch):
    monkeypatch.setenv("TWINS_DATA", str(tmp_path / "raw"))
    mac = structs.replace(
        records.MACHINE,
        id="apple-m3-max-40-core-gpu-64gb",
        chip="Apple M3 Max",
        device="Apple GPU",
        system="macOS 26.1 (arm64)",
        gpu_cores=40,
        mlx_wheel="py3-none-macosx_26_0_arm64",
    )
    monkeypatch.setenv("TWINS_PROFILE", "record")
    book = store.Book("02_transformer_lm", mac, tmp_path / "mine")
    step = records.step(4, 0.01, 0.02)
    step = structs.replace(step, case=step.case | {"context": 16})  # as the pages read it
    book.extend([records.product(1024, "float32", 0.1, 0.1), step])
    path = sharing.share(mac.id, folder=tmp_path / "mine", target=tmp_path / "out")
    written, refused = sharing.merge([path], tmp_path / "theirs")
    assert refused == [] and len(written) == 1
    found = store.read(tmp_path / "theirs")
    assert found.problems == [] and {record.profile for record in found.records} == {"record"}
    assert found.records[0].body == structs.replace(mac, id=found.records[0].machine)
    assert [record.body for record in found.records[1:]] == [record.body for record in book.records[1:]]


def test_few_open_files_are_enough_for_mlx_lm():
    """Root may raise the limit, so what the system answers others is put in its place."""
    code = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
real = resource.setrlimit
def as_a_user(which, limits):
    if limits[1] > 256:
        raise ValueError("not allowed to raise maximum limit")
    real(which, limits)
resource.setrlimit = as_a_user
from mlx_startup import open_files
open_files.tolerate()
from twins import frameworks
import mlx_lm.utils
print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "(256, 256)\n", done.stderr
