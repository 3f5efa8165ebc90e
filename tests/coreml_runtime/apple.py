"""pytest plug-in: runs Apple's own tests, as shipped in the coremltools wheel, against the reference runtime.

    PYTHONPATH=tests/coreml python -m pytest -o addopts= -p apple --pyargs
    coremltools.converters.mil.mil.ops.tests

Those tests hold expected outputs which they compare with Core ML on macOS. Here coremltools is told that it
is on macOS, and the runtime predicts. A miss must match an entry of `apple_causes.yaml`; any other is a
failure of the run.

`--sample K` keeps K cases of each test, `--limit N` keeps N cases of all; both choose by a hash of the name.
"""

import fnmatch
import hashlib
from collections import Counter, defaultdict
from pathlib import Path

import coremltools.models.utils as coremltools_utils
import numpy as np
import pytest
import torch
import yaml
from coremltools.models import MLModel

from coreml_runtime.execution.emulation import ReferenceProxy, reference_predictions

CAUSES = yaml.safe_load((Path(__file__).parent / "apple_causes.yaml").read_text())
GOAL = 0.99
counts: Counter[str] = Counter()
made: Counter[str] = Counter()  # by the test that runs
explained: Counter[str] = Counter()
errors: dict[str, float] = {}

_platform = pytest.MonkeyPatch()
_platform.setenv("PYMIL_TEST_TARGETS", "mlprogram")  # read when the tests are collected
_platform.setenv("INCLUDE_MIL_FP32_UNIT_TESTS", "1")
# The tests decide at import what to skip, so the platform is set before they are collected.
_platform.setattr(coremltools_utils, "_macos_version", lambda: (26, 0))
_platform.setattr(coremltools_utils, "_is_macos", lambda: True)


def pytest_addoption(parser):
    parser.addoption("--sample", type=int, default=0, help="cases kept of each of Apple's tests")
    parser.addoption("--limit", type=int, default=0, help="cases kept of all of Apple's tests")


def pytest_configure(config):
    import coremltools.converters.mil.frontend.torch.test.testing_utils as torch_testing
    import coremltools.converters.mil.testing_utils as testing

    torch.set_num_threads(1)
    predictions = reference_predictions()
    predictions.__enter__()
    config.add_cleanup(lambda: predictions.__exit__(None, None, None))
    config.add_cleanup(_platform.undo)
    _platform.setattr(MLModel, "predict", _only_programs(MLModel.predict))
    for module in (testing, torch_testing):
        _platform.setattr(module, "_IS_MACOS", True)
    _platform.setattr(testing, "compare_backend", _recorded(testing.compare_backend, testing))


def _only_programs(predict):
    """`MLModel.predict`, which skips the test for a neural network."""

    def guarded(model, data, state=None):
        if model._spec.WhichOneof("Type") != "mlProgram":
            pytest.skip("a neural network, which this runtime does not read")
        return predict(model, data, state)

    return guarded


def _recorded(compare, testing):
    """Apple's comparison, counted; the error of a miss is kept for the causes that bound it."""

    def compare_backend(mlmodel, input_key_values, expected_outputs, dtype="fp32", **options):
        made["comparisons"] += 1
        try:
            return compare(mlmodel, input_key_values, expected_outputs, dtype=dtype, **options)
        except AssertionError:
            if options.get("state") is not None:  # the prediction has changed it
                made["misses"] += 1
                raise
        # The other reading of fp16 types: Core ML may keep more bits than they have.
        arguments = (mlmodel.package_path, "ALL", mlmodel.function_name, {}, None)
        mlmodel.__proxy__ = ReferenceProxy(*arguments, precision="exact")
        try:
            result = compare(mlmodel, input_key_values, expected_outputs, dtype=dtype, **options)
            made["exact"] += 1
            return result
        except AssertionError:
            made["misses"] += 1
            found = testing.run_core_ml_predict(mlmodel, input_key_values)
            errors["last"] = relative_error(found, expected_outputs)
            raise

    return compare_backend


def relative_error(found: dict, expected: dict) -> float:
    """The largest difference of any output over its largest expected value; inf for another shape."""
    worst = 0.0
    for name, wanted in expected.items():
        a, b = np.asarray(found.get(name, np.nan), np.float64), np.asarray(wanted, np.float64)
        if a.shape != b.shape:
            return np.inf
        scale = np.abs(b[np.isfinite(b)]).max(initial=1e-12)
        worst = max(worst, float(np.abs(a - b).max(initial=0.0) / scale))
    return worst


def pytest_collection_modifyitems(config, items):
    kept = [item for item in items if not _is_neural_network(item)]
    groups = defaultdict(list)
    for item in sorted(kept, key=lambda item: hashlib.sha256(item.nodeid.encode()).hexdigest()):
        groups[item.nodeid.split("[")[0]].append(item)
    sample, limit = config.getoption("sample"), config.getoption("limit")
    chosen = [item for group in groups.values() for item in (group[:sample] if sample else group)]
    chosen.sort(key=lambda item: hashlib.sha256(item.nodeid.encode()).hexdigest())
    wanted = set(chosen[:limit] if limit else chosen)
    config.hook.pytest_deselected(items=[item for item in items if item not in wanted])
    items[:] = [item for item in items if item in wanted]


def _is_neural_network(item) -> bool:
    parameters = getattr(item, "callspec", None)
    backend = parameters.params.get("backend") if parameters else None
    return getattr(backend, "backend", None) == "neuralnetwork" or (
        isinstance(backend, tuple) and backend[0] == "neuralnetwork"
    )


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    if call.when == "setup":
        errors.clear()
        made.clear()
    outcome = yield
    report = outcome.get_result()
    if call.when == "call" and not report.skipped:
        if report.passed:  # a test may expect a miss
            made["misses"] = 0
        counts.update(made)
    if not report.failed:
        return
    cause = cause_of(item.nodeid, str(report.longrepr), errors.get("last"))
    if cause:
        explained[cause["cause"]] += 1
        counts["loose"] += cause.get("loose", False)
        report.outcome, report.wasxfail = "skipped", cause["cause"]


def cause_of(nodeid: str, text: str, error: float | None) -> dict | None:
    """The listed cause of a failure: its test matches, its text occurs, and its error is below the listed
    bound.
    """
    for entry in CAUSES:
        if not any(fnmatch.fnmatch(nodeid, f"*{pattern}*") for pattern in entry["tests"]):
            continue
        if entry.get("says", "") not in text:
            continue
        if "error_below" in entry and (error is None or not error < entry["error_below"]):
            continue
        return entry
    return None


def pytest_terminal_summary(terminalreporter):
    if not counts["comparisons"]:
        return
    compared, passed, fitting = totals()
    terminalreporter.section("reference runtime against Apple's tests")
    share = f"{passed / compared:.2%}, {counts['exact']} of them only with fp16 values kept in float32"
    terminalreporter.line(f"{passed} of {compared} comparisons pass at Apple's tolerance ({share})")
    share = f"{passed / fitting:.2%}, goal {GOAL:.0%}"
    terminalreporter.line(f"{passed} of the {fitting} whose tolerance fits their data ({share})")
    for cause, count in explained.most_common():
        terminalreporter.line(f"{count:5d}  {cause}")


def totals() -> tuple[int, int, int]:
    """Comparisons made, passed, and made with a tolerance that fits their data."""
    compared = counts["comparisons"]
    return compared, compared - counts["misses"], compared - counts["loose"]


def pytest_sessionfinish(session):
    _, passed, fitting = totals()
    if passed < GOAL * fitting:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
