"""Every route gives a package or says at which step it failed, in the words of what failed."""

import ast
import importlib.util

import coremltools as ct
import numpy as np
import pytest
from networks_for_routes import small

from coreml_runtime import load
from twins.export import routes

TAKEN = [
    r
    for r in routes.ROUTES
    if r not in (*routes.NEEDS, *routes.WITHOUT_PACKAGE, "PyTorch, ONNX, coremltools")
]


@pytest.mark.parametrize("route", TAKEN)
def test_a_route_gives_a_package_and_seconds_for_every_step(route, tmp_path):
    network, example = small(routes.framework(route), width=8)
    seconds: dict[str, float] = {}
    job = routes.Job(network, example, ct.target.iOS17, "float16", tmp_path)
    package, _ = routes.follow(route, job, seconds)
    assert list(seconds) == [step.__name__ for step in routes.ROUTES[route]]
    assert min(seconds.values()) >= 0
    model = load(package)
    (made,) = model.predict({name: np.ones((1, 4), np.float32) for name in model.inputs}).values()
    assert made.shape == (1, 2)


def test_the_removed_front_end_fails_with_its_own_message(tmp_path):
    network, example = small("PyTorch")
    seconds: dict[str, float] = {}
    job = routes.Job(network, example, ct.target.iOS17, "float16", tmp_path)
    with pytest.raises(ValueError, match='Unrecognized value of argument "source": onnx'):
        routes.follow("PyTorch, ONNX, coremltools", job, seconds)
    assert list(seconds) == ["onnx_trace"]


def test_what_is_kept_out_of_the_environment_is_said():
    route = "PyTorch, ONNX, onnx2torch"
    assert importlib.util.find_spec("onnx2torch") is None
    assert routes.absent(route).startswith("onnx2torch is not installed here")
    assert routes.absent("MLX direct") == ""


@pytest.mark.parametrize("route", routes.ROUTES)
def test_what_a_user_writes_is_the_code_that_ran(route):
    assert routes.framework(route) in ("MLX", "PyTorch")
    written = ast.parse(routes.code(route)).body  # it is Python as it stands
    assert [step.name for step in written] == [step.__name__ for step in routes.ROUTES[route]]


def test_onnx_runtime_runs_the_graph_where_it_has_core_ml(tmp_path, monkeypatch):
    """As on macOS, with its CPU provider in Core ML's place."""
    import onnxruntime

    session, asked = onnxruntime.InferenceSession, []

    def on_the_cpu(path, providers):
        asked.append(providers)
        return session(path, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CoreMLExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", on_the_cpu)
    model, example = small("PyTorch")
    job = routes.Job(model, example, None, "float16", tmp_path)
    seconds: dict[str, float] = {}
    value, _ = routes.follow("PyTorch, ONNX, ONNX Runtime", job, seconds)
    assert value is None  # no package comes of it
    assert list(seconds) == ["onnx_export", "run_in_onnxruntime"]
    assert asked == [[("CoreMLExecutionProvider", {"MLComputeUnits": "CPUOnly"})]]


def test_the_test_network_is_one_in_both_frameworks():
    assert [len(small(framework)[1]) for framework in ("MLX", "PyTorch")] == [1, 1]
