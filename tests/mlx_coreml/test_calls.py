"""Calls as they are written: what may be an argument or be returned, and options as people write them."""

import dataclasses
import enum
import functools
from collections import OrderedDict, namedtuple

import coremltools as ct
import mlx.nn as nn
import numpy as np
import pytest

from coreml_runtime import load
from mlx_coreml import ConversionError, Spec, convert
from mlx_coreml.capture.arguments import bind
from mlx_coreml.capture.tracing import as_flat, capture
from mlx_coreml.conversion.options import deployment_target, precision_named
from twins.frameworks import mx

import torch  # isort: skip  (after twins.frameworks: the BLAS)

X = mx.array(np.random.default_rng(1).standard_normal((2, 4)).astype(np.float32))
LINEAR = nn.Linear(4, 3)
Pair = namedtuple("Pair", "first second")


class Mode(enum.Enum):
    EVAL = 1


@dataclasses.dataclass(frozen=True)
class Batch:
    x: mx.array
    scale: float = 2.0
    mode: Mode = Mode.EVAL


class Box:
    """A plain object, as caches and model outputs are."""

    def __init__(self, keys, offset=3):
        self.keys, self.offset, self._step = keys, offset, 256

    def append(self, x):
        self.keys = x if self.keys is None else mx.concatenate([self.keys, x])
        self.offset += len(x)
        return self.keys


class Slots:
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


class Output(OrderedDict):
    """Holds each result as an item and as an attribute."""

    def __init__(self, **results):
        super().__init__(results)
        self.__dict__.update(results)


def guided(x, t, *, guidance=7.5, mask=None):
    y = LINEAR(x) * guidance + t
    return y if mask is None else y * mask


@dataclasses.dataclass
class Result:
    logits: mx.array
    hidden: mx.array | None = None
    count: int = 7


# what is called, its arguments by position, by name; the names of the inputs; the fixed arguments
ARGUMENTS = {
    "by name": (LINEAR, (), {"x": X}, ["x"], ""),
    "numpy": (LINEAR, (np.zeros((2, 4), np.float32),), {}, ["x"], ""),
    "numpy in double precision": (LINEAR, (np.ones((2, 4)),), {}, ["x"], ""),
    "a shape": (nn.Embedding(10, 4), (Spec((1, 16), "int32"),), {}, ["x"], ""),
    "none": (guided, (X, mx.array(1.0)), {"mask": None}, ["x", "t"], "mask=None"),
    "a number by name": (guided, (X,), {"guidance": 2.5, "t": X[:, :3]}, ["x", "t"], "guidance=2.5"),
    "an integer": (lambda x, k: LINEAR(x)[:, :k], (X, 2), {}, ["x"], "k=2"),
    "a text and a truth": (lambda x, m, f: LINEAR(x), (X, "eval", True), {}, ["x"], "m='eval', f=True"),
    "a list of none": (lambda x, cache: LINEAR(x), (X, [None]), {}, ["x"], "cache.0=None"),
    "a shape as a list": (lambda x, s: x.reshape(s), (X, [4, 2]), {}, ["x"], "s.0=4, s.1=2"),
    "a type": (lambda x, d: x.astype(d), (X, mx.float16), {}, ["x"], "d=mlx.core.float16"),
    "any names": (lambda **k: k["a"] - k["b"], (), {"a": X, "b": X}, ["a", "b"], ""),
    "any number": (lambda *xs: xs[0] + xs[1], (X, X), {}, ["input_0", "input_1"], ""),
    "a partial": (functools.partial(lambda x, k: LINEAR(x)[:, :k], k=2), (X,), {}, ["x"], ""),
    "a named tuple": (lambda p: p.first - p.second, (Pair(X, X * 2),), {}, ["p_first", "p_second"], ""),
    "a frozen dataclass": (
        *(lambda b: LINEAR(b.x) * b.scale, (Batch(X),), {}, ["b_x"]),
        "b.scale=2.0, b.mode=<Mode.EVAL: 1>",
    ),
    "an object": (lambda b, x: b.append(x), (Box(X), X), {}, ["b_keys", "x"], "b.offset=3, b._step=256"),
    "an empty object": (
        *(lambda x, b: b.append(LINEAR(x)), (X, Box(None)), {}, ["x"]),
        "b.keys=None, b.offset=3, b._step=256",
    ),
    "slots": (lambda s: s.value * 2, (Slots(X),), {}, ["s_value"], ""),
    "objects in a list": (
        *(lambda c: c[0].append(c[1].keys), ([Box(X), Box(X * 3)],), {}, ["c_0_keys", "c_1_keys"]),
        "c.0.offset=3, c.0._step=256, c.1.offset=3, c.1._step=256",
    ),
    "one object twice": (lambda a, b: a.append(b.keys), (*[Box(X)] * 2,), {}, ["a_keys"], ""),
    "a module": (
        lambda m, x: m(x),
        (LINEAR, X),
        {},
        ["x"],
        "m=Linear(input_dims=4, output_dims=3, bias=True)",
    ),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arrays_are_inputs_and_the_rest_is_fixed(name):
    fn, args, named, inputs, fixed = ARGUMENTS[name]
    graph = capture(fn, *args, **named)
    bound = bind(fn, args, named)
    assert [tensor.name for tensor in graph.inputs] == inputs
    assert not fixed or bound.fixed == fixed
    wanted = [np.array(bound.arrays[i]) for i in range(len(inputs))]
    made = as_flat(bound, bound.arrays)(*bound.arrays)
    assert [np.array(a).tolist() for a in bound.arrays] == [a.tolist() for a in wanted]
    assert len(made) == len(graph.outputs) and made[0].shape == graph.outputs[0].shape


def test_what_is_fixed_is_in_the_metadata_and_the_package_computes_it():
    model = convert(guided, X, t=mx.array(1.0), guidance=2.0, mask=None, precision="float32")
    assert model.user_defined_metadata["fixed_arguments"] == "guidance=2.0, mask=None"
    found = load(model.package_path).predict({"x": np.array(X), "t": np.array([1.0], np.float32)})["output"]
    np.testing.assert_allclose(found, np.array(LINEAR(X) * 2 + 1), atol=1e-5)
    assert "fixed_arguments" not in convert(LINEAR, X, check=False).user_defined_metadata


def test_a_cache_that_is_an_argument_stays_as_it_was():
    box = Box(X)
    model = convert(lambda cache, x: (cache.append(x), cache), box, X * 2, precision="float32")
    assert box.keys is X and box.offset == 3 and vars(box).keys() == {"keys", "offset", "_step"}
    assert [f.name for f in model.get_spec().description.output] == ["output_0", "output_1_keys"]


# what is returned, and the outputs with their numbers of elements
RETURNED = {
    "a dataclass": (lambda x: Result(LINEAR(x)), {"logits": 6, "count": 1}),
    "a named tuple": (lambda x: Pair(LINEAR(x), x * 2), {"first": 6, "second": 8}),
    "an integer beside": (lambda x: (LINEAR(x), 3), {"output_0": 6, "output_1": 1}),
    "numbers beside": (lambda x: {"y": x, "ok": True, "s": 2.5}, {"y": 8, "ok": 1, "s": 1}),
    "none beside": (lambda x: (LINEAR(x), None), {"output_0": 6}),
    "an object": (lambda x: Box(LINEAR(x)), {"keys": 6}),
    "items and attributes": (lambda x: Output(logits=LINEAR(x), hidden=x), {"logits": 6, "hidden": 8}),
    "numpy beside": (lambda x: (x, np.arange(3)), {"output_0": 8, "output_1": 3}),
    "the same twice": (lambda x: (lambda y: [y, y])(LINEAR(x)), {"output_0": 6, "output_1": 6}),
    "objects in a dictionary": (lambda x: {"a": Box(x), "b": [Result(x)]}, {"a_keys": 8, "b_0_logits": 8}),
}


@pytest.mark.parametrize("name", RETURNED)
def test_what_is_returned_becomes_outputs(name):
    fn, outputs = RETURNED[name]
    graph = capture(fn, X)
    made = {n: t.size for n, t in zip(graph.output_names, graph.outputs, strict=True)}
    assert {n: made[n] for n in outputs} == outputs and set(made) - set(outputs) <= {"b_0_count"}


def test_numbers_beside_arrays_are_constant_outputs():
    model = convert(lambda x: {"y": x + 1, "n": 3, "s": 2.5}, X, precision="float32")
    found = load(model.package_path).predict({"x": np.array(X)})
    assert found["n"].tolist() == [3] and found["n"].dtype == np.int32 and found["s"].tolist() == [2.5]


def test_one_output_is_named_by_a_text():
    assert [
        f.name for f in convert(LINEAR, X, outputs="logits", check=False).get_spec().description.output
    ] == ["logits"]


def test_options_as_people_write_them():
    for same in (
        "float16",
        "fp16",
        "FP16",
        "half",
        mx.float16,
        np.float16,
        np.dtype("f2"),
        ct.precision.FLOAT16,
    ):
        assert precision_named(same) == "float16"
    for same in ("fp32", "float", mx.float32, ct.precision.FLOAT32):
        assert precision_named(same) == "float32"
    for same in ("iOS18", "ios18", "iOS 18", ct.target.iOS18):
        assert deployment_target(same) == ct.target.iOS18
    assert deployment_target("macOS15") == ct.target.macOS15


REFUSED = {
    "'precison' is no option of convert, and Linear takes x; did you mean precision=?": {"precison": "fp16"},
    "'flexble' is no option of convert, and Linear takes x; did you mean flexible=?": {"flexble": {}},
    "'y' is no option of convert, and Linear takes x": {"y": X},
    "precision 'flaot16' is not known; known are float16, .* did you mean 'float16'?": {
        "precision": "flaot16"
    },
    "precision mlx.core.bfloat16 is not known": {"precision": mx.bfloat16},
    "deployment target 'iOSS18' is not known; .* did you mean 'iOS18'?": {"deployment_target": "iOSS18"},
    "random='inputs'; allowed are 'refuse' and 'input'": {"random": "inputs"},
}


@pytest.mark.parametrize("told", REFUSED)
def test_options_that_are_not_known(told):
    with pytest.raises(ConversionError, match=told) as refused:
        convert(LINEAR, X, **REFUSED[told])
    assert "\n" not in str(refused.value)


WRONG_CALLS = {
    r"Linear is a class; pass an instance of it, Linear\(input_dims": lambda: capture(nn.Linear, X),
    "an argument of Linear is torch.Tensor; .* pass its .numpy": lambda: capture(LINEAR, torch.zeros(2, 4)),
    r"Spec\(shape=\(1, 0\), dtype='float32'\); allowed are": lambda: capture(LINEAR, Spec((1, 0))),
    "dtype='float33'.; allowed are": lambda: capture(LINEAR, Spec((1, 4), "float33")),
    r"guided\(x, t, .*\) cannot be called with 2 arguments: missing": lambda: capture(guided, X, mask=None),
    r"Linear fails on the example: ValueError: \[addmm\]": lambda: capture(LINEAR, X[:, :3]),
    r"KeyError: 'a' \[test_calls.py:\d+, in <lambda>\]": lambda: capture(lambda x: {}["a"], X),
    "did you mean outputs=": lambda: convert(lambda x, **more: x, X, output=["a"]),
}


@pytest.mark.parametrize("told", WRONG_CALLS)
def test_calls_that_do_not_fit_are_one_sentence(told):
    with pytest.raises(ConversionError, match=told) as refused:
        WRONG_CALLS[told]()
    assert "\n" not in str(refused.value)
