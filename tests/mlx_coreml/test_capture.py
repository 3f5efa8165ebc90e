"""Capturing: which module each primitive belongs to, what is left as it was, what cannot be captured."""

import functools

import mlx.nn as nn
import numpy as np
import pytest

from mlx_coreml import CaptureError
from mlx_coreml.capture.tracing import capture
from twins.frameworks import mx

X = mx.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]])


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(3)
        self.up = nn.Linear(3, 6)
        self.down = nn.Linear(6, 3)

    def __call__(self, x):
        return x + self.down(mx.tanh(self.up(self.norm(x))))


class Counting(nn.Module):
    """Keeps what it saw, as BatchNorm keeps running statistics, and makes a parameter at its first call."""

    def __init__(self):
        super().__init__()
        self.seen = mx.zeros((3,))

    def __call__(self, x):
        if "scale" not in self:
            self.scale = mx.full((3,), 2.0)
        self.seen = self.seen + x.sum(axis=0)
        return x * self.scale


def paths(graph) -> dict[str, set[str]]:
    """The modules of each kind of node."""
    found: dict[str, set[str]] = {}
    for node in graph.nodes:
        found.setdefault(node.kind, set()).add(node.path)
    return found


def test_every_primitive_knows_its_module_and_every_weight_its_name():
    graph = capture(nn.Sequential(Block(), nn.ReLU(), Block()), X)
    found = paths(graph)
    assert found["AddMM"] == {f"layers.{i}.{name}" for i in (0, 2) for name in ("up", "down")}
    assert found["Tanh"] == found["Add"] - {f"layers.{i}.norm" for i in (0, 2)} == {"layers.0", "layers.2"}
    assert found["Maximum"] == {"layers.1"}
    names = {tensor.name for tensor in graph.constants()}
    assert {"layers.0.up.weight", "layers.2.down.bias", "layers.0.norm.weight"} <= names


def test_a_shared_module_and_a_function_around_modules_are_told_apart():
    shared = nn.Linear(3, 3)
    graph = capture(lambda x: mx.sin(shared(shared(x)) + 1), X)
    assert paths(graph)["AddMM"] == {"shared"} and paths(graph)["Sin"] == {""}


def test_the_graph_prints_well_and_twice_the_same():
    network = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
    first, second = (str(capture(network, X)) for _ in range(2))
    assert first == second
    lines = first.splitlines()
    assert lines[:2] == ["4 nodes, 2 constants", "in  x float32[2, 3]"]
    assert lines[-1].startswith("out ") and lines[-1].endswith("float32[2, 2]")
    assert any("= Tanh(" in line and line.endswith("# layers.1") for line in lines)


def test_what_a_module_stores_is_put_back():
    module = Counting()
    graph = capture(module, X)
    assert set(module) == {"seen"} and np.array(module.seen).tolist() == [0, 0, 0]
    assert graph.kinds()["Multiply"] == 1
    np.testing.assert_array_equal(np.array(module(X)), 2 * np.array(X))


def test_modes_are_put_back_and_dropout_is_off():
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm(4), nn.Dropout(0.5))
    network.layers[0].eval()
    before = np.array(network.layers[1].running_mean)
    graph = capture(network, X)
    assert (network.training, network.layers[0].training, network.layers[1].training) == (True, False, True)
    np.testing.assert_array_equal(np.array(network.layers[1].running_mean), before)
    assert "RandomBits" not in graph.kinds() and "Reduce" not in graph.kinds()


def test_a_failed_capture_puts_everything_back_too():
    module = Counting()
    with pytest.raises(CaptureError):
        capture(lambda x: module(x).sum().item() * x, X)
    assert set(module) == {"seen"} and module.training and compiles()


def compiles() -> bool:
    """Whether MLX runs a compiled function without tracing it again."""
    traces = []

    @mx.compile
    def fn(x):
        traces.append(1)
        return x + 1

    mx.eval(fn(X), fn(X + 1))
    return len(traces) == 1


def test_compiled_functions_are_seen_through_and_compilation_is_on_again():
    @mx.compile
    def inner(x):
        return mx.exp(x) * 2

    table = mx.compile(lambda: mx.arange(3.0) + 1)
    graph = capture(lambda x: inner(x) + table(), X)
    assert {"Exp", "Multiply", "Arange"} <= set(graph.kinds()) and compiles()


def test_parameters_not_yet_evaluated_are_constants():
    kinds = capture(nn.Linear(3, 4), X).kinds()
    assert kinds["AddMM"] == 1 and "RandomBits" not in kinds
    lazy = mx.random.normal((3,)) + 1
    assert "RandomBits" not in capture(lambda x: x * lazy, X).kinds()


class Private(nn.Module):
    """Holds an array that is no parameter."""

    def __init__(self, table: mx.array):
        super().__init__()
        self._table = table

    def __call__(self, x):
        return x + self._table


def test_arrays_that_a_file_still_holds_are_read_where_they_can_be_reached(tmp_path):
    mx.save(str(tmp_path / "table.npy"), OFFSET)

    def read():
        return mx.load(str(tmp_path / "table.npy"))

    network = nn.Sequential(Private(read()))
    assert [tensor.name for tensor in capture(network, X).constants()] == ["layers.0._table"]
    with pytest.raises(CaptureError, match=r"primitive 'Load', .*; mx.eval what mx.load gave before"):
        capture(lambda x: x + read(), X)


OFFSET = mx.array([1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    "fn, name",
    [
        (functools.partial(lambda scale, x: x * scale, mx.array([1.0, 2.0, 4.0])), "argument_0"),
        (functools.partial(lambda x, scale: x * scale, scale=mx.array([1.0, 2.0, 4.0])), "scale"),
        (lambda x, scale=OFFSET: x * scale, "default_0"),
        (lambda x: x + OFFSET, "OFFSET"),
    ],
)
def test_arrays_a_function_reaches_are_constants_with_names(fn, name):
    assert name in {tensor.name for tensor in capture(fn, X).constants()}


class Pipeline:
    """No module, but it holds one, and a list of functions of others."""

    def __init__(self):
        inner = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm(3))
        self.network = inner.train()
        self.stages = [lambda x: inner.layers[0](x), functools.partial(mx.multiply, mx.random.normal((3,)))]

    def __call__(self, x):
        for stage in self.stages:
            x = stage(x)
        return self.network(x)

    def run(self, x):
        return self(x)


@pytest.mark.parametrize("name", ["__call__", "run", "object"])
def test_objects_and_containers_are_searched_for_modules(name):
    pipeline = Pipeline()
    graph = capture(pipeline if name == "object" else getattr(pipeline, name), X)
    kinds = graph.kinds()
    assert kinds["AddMM"] == 2 and "RandomBits" not in kinds and "Reduce" not in kinds  # batch norm's own
    assert paths(graph)["AddMM"] == {"network.layers.0"} and pipeline.network.training


def test_inputs_made_of_each_other_are_inputs():
    x = mx.random.normal((2, 3))
    assert [t.name for t in capture(lambda a, b: a + b, x, 2 * x).inputs] == ["a", "b"]


def test_a_method_is_captured_with_its_module():
    graph = capture(Block().down.__call__, mx.zeros((2, 6)))
    assert "weight" in {tensor.name for tensor in graph.constants()}


def test_nested_inputs_and_outputs_are_flat_in_order():
    def fn(x, pair, options):
        return {"sum": x + pair[0], "rest": [pair[1], (options["a"] * 2, None)]}

    graph = capture(fn, X, (X, X + 1), {"a": X})
    assert [tensor.name for tensor in graph.inputs] == ["x", "pair_0", "pair_1", "options_a"]
    assert graph.input_keys == ["x", "pair.0", "pair.1", "options.a"]
    assert graph.output_names == ["sum", "rest_0", "rest_1_0"]
    assert graph.outputs[1] is graph.inputs[2]


def test_names_that_would_be_equal_are_told_apart():
    def fn(a, a_b):
        return a["b"] + a_b

    graph = capture(fn, {"b": X}, X, outputs=["a b"])
    assert [tensor.name for tensor in graph.inputs] == ["a_b", "a_b_1"] and graph.output_names == ["a_b_2"]


def branching(x):
    if x.sum() > 0:  # the line that is named
        return x
    return -x


LINE = branching.__code__.co_firstlineno + 1
REFUSED = {
    "branching has no example; pass one array per argument": lambda: capture(branching),
    "branching has no array among its arguments \\(x=3.0\\); at least one": lambda: capture(branching, 3.0),
    "arguments \\(x.0=None, x.1='a'\\); at least one": lambda: capture(branching, [None, "a"]),
    "input 'x' of branching cannot become an array": lambda: capture(branching, np.array(["a"])),
    "has shape \\(0, 3\\); Core ML has no empty arrays": lambda: capture(branching, mx.zeros((0, 3))),
    f"reads the numbers in an array \\(line {LINE} of branching\\)": lambda: capture(branching, X),
    "in test_capture.py: array\\(bool\\[\\]\\) as a truth value": lambda: capture(branching, X),
    "use mx.where in place of if": lambda: capture(lambda x: x * x.max().item(), X),
    "array\\(float32\\[\\]\\) by .item\\(\\)": lambda: capture(lambda x: x * x.max().item(), X),
    "array\\(float32\\[2, 3\\]\\) by .tolist\\(\\)": lambda: capture(lambda x: x.tolist(), X),
    "by int\\(\\)": lambda: capture(lambda x: x[: int(x.max())], X),
    "by np.array\\(\\)": lambda: capture(lambda x: np.array(x), X),
    "branching\\(x\\) cannot be called with 2 arrays": lambda: capture(branching, X, X),
    "<lambda> returns int; allowed are": lambda: capture(lambda x: 3, X),
    "<lambda> returns str at 'b'; allowed are": lambda: capture(lambda x: {"a": x, "b": "s"}, X),
    "<lambda> returns no array; at least one is needed": lambda: capture(lambda x: None, X),
    "returns 2 arrays and outputs=\\['a'\\] names 1": lambda: capture(lambda x: (x, x), X, outputs=["a"]),
    "one different name per array is needed": lambda: capture(lambda x: (x, x), X, outputs=["a", "a"]),
    "uses primitive 'LUF', which MLX .* cannot export": lambda: capture(
        lambda x: mx.linalg.lu(x, stream=mx.cpu)[1], mx.eye(3)
    ),
}


@pytest.mark.parametrize("told", REFUSED)
def test_what_cannot_be_captured_is_told_in_one_sentence(told):
    with pytest.raises(CaptureError, match=told) as refused:
        REFUSED[told]()
    assert "\n" not in str(refused.value)


def test_an_attribute_that_a_call_replaces_by_an_array_is_put_back():
    class Remembers(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = None

        def __call__(self, x):
            if self.scale is None:
                self.scale = x + 1
            return x * self.scale

    module = Remembers()
    capture(module, mx.ones((2,)))
    assert module.scale is None
    assert module(mx.ones((2,))).tolist() == [2.0, 2.0]
