"""Results whose order MIL leaves open are compared as sets, and the report says so."""

import numpy as np
import pytest
import torch
from cases import floats
from coremltools.converters.mil.mil import Builder as mb
from packages import OPSETS, save

from coreml_runtime import verify


def last(x):
    """The last of equal greatest elements, where torch and MIL's reference give the first."""
    return x.shape[1] - 1 - x.flip(1).argmax(1)


def last_sorted(x):
    return x.shape[1] - 1 - torch.argsort(x.flip(1), dim=1, stable=True, descending=True)


CASES = {
    "topk without an order": (
        lambda x: mb.topk(x=x, k=4, axis=1, sort=False, name="t"),
        lambda x: [part.flip(1) for part in torch.topk(x, 4, 1)],
        "topk leaves it open (sort=False)",
    ),
    "equal elements of argmax": (
        lambda x: mb.reduce_argmax(x=mb.round(x=x), axis=1, name="t"),
        lambda x: last(torch.round(x)),
        "reduce_argmax leaves it open (equal elements)",
    ),
    "equal elements of argsort": (
        lambda x: mb.cast(x=mb.argsort(x=mb.round(x=x), axis=1), dtype="fp32", name="t"),
        lambda x: last_sorted(torch.round(x)).float(),
        "argsort leaves it open (equal elements)",
    ),
}
WRONG = {
    "the least instead of the greatest": (
        lambda x: mb.topk(x=x, k=4, axis=1, sort=False, ascending=True, name="t"),
        lambda x: list(torch.topk(x, 4, 1)),
    ),
    "the greatest with an order": (
        lambda x: mb.topk(x=x, k=4, axis=1, name="t"),
        lambda x: [part.flip(1) for part in torch.topk(x, 4, 1)],
    ),
    "one element several times": (
        lambda x: mb.topk(x=mb.round(x=x), k=4, axis=1, sort=False, name="t")[1],
        lambda x: last(torch.round(x))[:, None].expand(-1, 4),
    ),
    "another axis": (
        lambda x: mb.reduce_argmax(x=x, axis=0, name="t"),
        lambda x: x.argmin(0),
    ),
}


def report_of(tmp_path, program, source):
    built = mb.program(input_specs=[mb.TensorSpec(shape=(5, 20))], opset_version=OPSETS[17])(program)
    return verify(source, save(built, 17, tmp_path / "m.mlpackage"), {"x": floats(5, 20)}, framework="torch")


@pytest.mark.parametrize("case", CASES)
def test_an_open_order_passes_and_is_told(tmp_path, case):
    program, source, told = CASES[case]
    report = report_of(tmp_path, program, source)
    assert report.passed and told in str(report), str(report)


@pytest.mark.parametrize("case", WRONG)
def test_other_elements_fail(tmp_path, case):
    report = report_of(tmp_path, *WRONG[case])
    assert not report.passed and (report.divergence or report.reason)


def test_the_usual_order_is_not_mentioned(tmp_path):
    report = report_of(
        tmp_path, lambda x: mb.argsort(x=x, axis=1), lambda x: x.argsort(dim=1, descending=True)
    )
    assert report.passed and report.note == ""
    assert np.isfinite(report.worst.rms_relative)
