"""The workflows of a code host: what they may do, that their commands exist, that faults are found."""

import re
import shutil
import subprocess

import pytest
import yaml

from twins.records.store import ROOT

PATHS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
LINTER = ROOT / ".github" / "actionlint"
SAID = "actionlint was not run on the workflows"


def read(name):
    return yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text())


def steps(workflow, job):
    return workflow["jobs"][job]["steps"]


def commands(workflow, job):
    return [step["run"] for step in steps(workflow, job) if "run" in step]


def triggers(workflow):
    return workflow[True]  # "on" is a truth value in YAML 1.1


# What a job may do besides reading the repository.
GRANTED = {("pages", "publish"): {"pages": "write", "id-token": "write"}}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_workflow_reads_only_and_ends(path):
    workflow = read(path.stem)
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert 0 < job["timeout-minutes"] <= 720
        assert job.get("permissions", {}) == GRANTED.get((path.stem, name), {})
        for step in job["steps"]:
            assert "continue-on-error" not in step  # hides what failed
            assert "${{" not in step.get("run", "")  # what is typed in goes through the environment
            assert "uses" not in step or re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"])


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_target_of_make_is_there(path):
    workflow = read(path.stem)
    found = [
        target
        for job in workflow["jobs"]
        for command in commands(workflow, job)
        for target in re.findall(r"\bmake ([a-z0-9-]+)", command)
    ]
    assert found
    for target in found:
        dry = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert dry.returncode == 0, dry.stderr


def test_the_hosted_mac_runs_everything_on_its_cpu():
    workflow = read("ci")
    assert set(triggers(workflow)) == {"push", "pull_request"}
    mac = workflow["jobs"]["macos"]
    assert mac["runs-on"] == "macos-latest" and mac["env"]["TWINS_DEVICE"] == "cpu"
    wanted = ["make test", "make report PROFILE=smoke", "swift build", "swift test", "make share"]
    given = commands(workflow, "macos")
    places = [next(i for i, command in enumerate(given) if command.startswith(each)) for each in wanted]
    assert places == sorted(places)
    after = steps(workflow, "macos")[-5:]  # one that fails keeps no other from running
    assert all("cancelled" in step["if"] or step["if"] == "always()" for step in after)


@pytest.mark.parametrize(("name", "job"), [("ci", "macos"), ("measure", "measure")])
def test_the_shared_file_is_kept(name, job):
    kept = [step["with"] for step in steps(read(name), job) if "upload-artifact" in step.get("uses", "")]
    (records,) = [each for each in kept if each["path"] == "build/share"]
    assert records["if-no-files-found"] == "error"
    assert "make share" in commands(read(name), job)


def test_a_swift_package_is_built_where_page_09_writes_it():
    page = (ROOT / "notebooks" / "09_coreml_ship.ipynb").read_text()
    assert 'store.ROOT / \\"build\\" / \\"shipped\\" / \\"ios\\" / \\"LanguageModel\\"' in page
    built = [c for c in commands(read("ci"), "macos") if c.startswith("swift ")]
    assert {c.rpartition(" ")[2] for c in built} == {"build/shipped/ios/LanguageModel"}


def test_measuring_starts_by_hand_alone_and_changes_nothing():
    workflow = read("measure")
    assert set(triggers(workflow)) == {"workflow_dispatch"}
    (job,) = workflow["jobs"].values()
    assert job["runs-on"][0] == "self-hosted" and "env" in job and "TWINS_DEVICE" not in job["env"]
    profiles = {path.stem for path in (ROOT / "notebooks" / "profiles").glob("*.yaml")}
    assert set(triggers(workflow)["workflow_dispatch"]["inputs"]["profile"]["options"]) <= profiles
    assert job["steps"][0]["with"] == {"persist-credentials": False}


def test_the_site_is_published_without_measuring():
    workflow = read("pages")
    assert commands(workflow, "build") == ["make setup PIP_NO_CACHE_DIR=", "make site"]
    (uploaded,) = [s for s in steps(workflow, "build") if "upload-pages-artifact" in s.get("uses", "")]
    assert uploaded["with"] == {"path": "build/quick/site"}  # where `make site` builds by default
    assert "repository" in workflow["jobs"]["build"]["env"]["TWINS_REPOSITORY"]
    # the job that may publish runs nothing of this repository
    (published,) = steps(workflow, "publish")
    assert published["uses"].startswith("actions/deploy-pages@") and "run" not in published


def linted(folder, path=None):
    environment = {"PATH": path} if path else None
    return subprocess.run(
        ["/bin/sh", str(folder / ".github" / "actionlint")],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


def test_without_a_linter_it_says_so(tmp_path):
    shutil.copytree(ROOT / ".github", tmp_path / ".github")
    (tmp_path / "bin").mkdir()
    for tool in ("dirname", "sh"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool))
    done = linted(tmp_path, str(tmp_path / "bin"))
    assert done.returncode == 0 and done.stdout.startswith(SAID)


def test_the_workflows_have_no_fault():
    done = linted(ROOT)
    assert done.returncode == 0, done.stdout
    if not done.stdout.startswith(SAID):
        assert done.stdout == ""


def test_a_fault_is_told_by_a_linter_of_that_name(tmp_path):
    shutil.copytree(ROOT / ".github", tmp_path / ".github")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "dirname").symlink_to(shutil.which("dirname"))
    fake = tmp_path / "bin" / "actionlint"
    fake.write_text('#!/bin/sh\necho "$# workflows"\nexit 1\n')
    fake.chmod(0o755)
    done = linted(tmp_path, str(tmp_path / "bin"))
    assert (done.returncode, done.stdout) == (1, f"{len(PATHS)} workflows\n")
