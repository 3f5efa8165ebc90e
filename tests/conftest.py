"""Ready the BLAS before any test imports mlx; run the whole report once, small, for those that look at it."""

import subprocess

import pytest
import signals

from twins import frameworks as frameworks
from twins.machine import kernel_compiler, macos
from twins.records.store import ROOT

signals.restore()
kernel_compiler.ready()

# The files that take longest; they begin early, so that none ends alone.
LONG = ("test_pair_corpus", "test_fairness_gate", "test_half_precision", "test_runner", "test_on_devices")
LONG += ("test_killed", "test_unlucky", "test_two_processes", "test_lost_processes", "test_docs")
LONG += ("test_browser",)


@pytest.fixture(scope="session")
def smoke():
    """The folder of the report made under the smoke profile, by the README's own command."""
    command = ["make", "report", "PROFILE=smoke"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return ROOT / "build" / "smoke"


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups
def pytest_collection_modifyitems(items):
    """For tests spread over processes: a file's tests share one, and so do all that need the report.

    These begin first, because the report takes longest; after them the report of the pretended Mac, and then
    the longest files.
    """
    items.sort(
        key=lambda item: (
            "smoke" not in item.fixturenames,
            item.path.parent.name != "mac",
            item.path.stem not in LONG,
        )
    )
    for item in items:
        shared = "smoke" in item.fixturenames
        item.add_marker(pytest.mark.xdist_group("report" if shared else str(item.path)))


@pytest.hookimpl(tryfirst=True)  # before anything is made for the test
def pytest_runtest_setup(item):
    """What the mark `mac` means; a pretended Mac runs these tests, too."""
    if item.get_closest_marker("mac") and not macos.here():
        pytest.skip("not run here: needs macOS")
