"""Every case of the table, run from a saved package, against its expected result."""

from collections import defaultdict

import numpy as np
import pytest
from cases import Case, all_cases
from packages import feeds, flat_inputs, folded, save_cases

from coreml_runtime import load

CASES = all_cases()


@pytest.fixture(scope="session")
def results(tmp_path_factory) -> dict[int, tuple[np.ndarray, ...]]:
    """What the runtime returns for each case: one package per opset holds all of its cases."""
    by_opset = defaultdict(list)
    for index, case in enumerate(CASES):
        by_opset[case.opset].append((index, case))
    found = {}
    for opset, group in by_opset.items():
        path = tmp_path_factory.mktemp("cases") / f"{opset}.mlpackage"
        names = save_cases([case for _, case in group], opset, path)
        inputs = {k: v for i, (_, case) in enumerate(group) for k, v in feeds(case, f"c{i}").items()}
        outputs = load(path).predict(inputs)
        found |= {
            index: tuple(outputs[name] for name in names[f"c{i}"]) for i, (index, _) in enumerate(group)
        }
    return found


def expected_of(case: Case) -> tuple[np.ndarray, ...]:
    if case.expected is None:
        values = folded(case)
        assert values is not None, f"coremltools does not fold {case.operation}: the case needs `expected`"
        return values
    values = case.expected(*flat_inputs(case).values())
    return values if isinstance(values, tuple) else (values,)


@pytest.mark.parametrize("index", range(len(CASES)), ids=[str(case) for case in CASES])
def test_operation(index, results):
    case = CASES[index]
    for found, wanted in zip(results[index], expected_of(case), strict=True):
        wanted = np.atleast_1d(np.asarray(wanted))
        assert found.shape == wanted.shape
        scale = np.abs(wanted[np.isfinite(wanted)], dtype=np.float64).max(initial=1.0)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=case.tolerance * scale)
