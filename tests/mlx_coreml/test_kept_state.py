"""Whatever holds a module: it is converted in evaluation mode, and everything is given back as it was."""

import functools
import random
import sys
import types
import weakref
from collections import Counter, OrderedDict, defaultdict, deque

import mlx.nn as nn
import numpy as np
import pytest

from mlx_coreml import WrongModelError, convert
from mlx_coreml.backends.mil.lowering.registry import RULES
from mlx_coreml.capture.arguments import bind
from mlx_coreml.capture.captured_state import held
from mlx_coreml.capture.tracing import as_flat, capture
from twins.frameworks import mx

X = mx.array(np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32))


def network() -> nn.Sequential:
    """A network that computes something else, and changes itself, in training mode."""
    made = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm(8), nn.Dropout(0.5), nn.Linear(8, 2))
    made.layers[1].running_mean = mx.full((8,), 3.0)
    made.layers[0].eval()
    return made


class Pipe:
    """A plain object with a network, as pipelines are."""

    def __init__(self, net):
        self.net = net

    def __call__(self, x):
        return self.net(x)

    def run(self, x):
        return self(x)

    @property
    def last(self):
        return self.net


class Slotted:
    __slots__ = ("net",)

    def __init__(self, net):
        self.net = net


def doubled(fn):
    """A decorator that shows nothing of the function but `__wrapped__` and a closure."""

    @functools.wraps(fn)
    def call(*args):
        return fn(*args)

    return call


def by_class(net):
    class Holder:
        network = net

        @classmethod
        def run(cls, x):
            return cls.network(x)

    return Holder.run


def by_method_of_class(net):
    class Runner:
        def run(self, x):
            return self.step(x)

        def step(self, x):
            return net(x)

    return Runner().run


def by_weak_reference(net):
    KEPT.append(net)
    weak = weakref.ref(net)
    return lambda x: weak()(x)


def by_weak_dictionary(net):
    KEPT.append(net)
    pool = weakref.WeakValueDictionary(net=net)
    return lambda x: pool["net"](x)


def by_the_module_that_is_imported(net):
    name = f"made_{id(net)}"
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__dict__["net"] = net
    return lambda x: sys.modules[name].net(x)


def by_a_bound_call(net):
    return net.__call__


KEPT: list = []
HOLDERS = {
    "the network": lambda net: net,
    "a lambda": lambda net: lambda x: net(x),
    "an object": lambda net: (lambda pipe: lambda x: pipe.net(x))(Pipe(net)),
    "a callable object": Pipe,
    "a method": lambda net: Pipe(net).run,
    "nested objects": lambda net: Pipe(Pipe(Pipe(net))).run,
    "a property": lambda net: (lambda pipe: lambda x: pipe.last(x))(Pipe(net)),
    "a slot": lambda net: (lambda holder: lambda x: holder.net(x))(Slotted(net)),
    "a list in a dictionary in an object": lambda net: (lambda pipe: lambda x: pipe.net["stages"][0](x))(
        Pipe({"stages": [net]})
    ),
    "a tuple's partial": lambda net: (lambda pair: lambda x: pair[0](x))((functools.partial(net),)),
    "a partial's argument": lambda net: functools.partial(lambda pipe, x: pipe.run(x), Pipe(net)),
    "a default": lambda net: (lambda pipe: lambda x, pipe=pipe: pipe(x))(Pipe(net)),
    "a default by keyword": lambda net: (lambda pipe: lambda x, *, pipe=pipe: pipe(x))(Pipe(net)),
    "a decorated function": lambda net: doubled(lambda x: net(x)),
    "a decorated method": lambda net: doubled(Pipe(net).run),
    "a function's attribute": lambda net: (lambda inner: lambda x: inner.net(x))(_with(net)),
    "a class": by_class,
    "a method's closure": by_method_of_class,
    "a weak reference": by_weak_reference,
    "a weak dictionary": by_weak_dictionary,
    "a proxy": lambda net: (KEPT.append(net), (lambda weak: lambda x: weak(x))(weakref.proxy(net)))[1],
    "a simple namespace": lambda net: (lambda space: lambda x: space.net(x))(types.SimpleNamespace(net=net)),
    "a cached function": lambda net: functools.partial(lambda get, x: get()(x), functools.cache(lambda: net)),
    "MLX's own compiled function": lambda net: mx.compile(lambda x: net(x)),
    "an object known only while it runs": by_the_module_that_is_imported,
    "its bound call": by_a_bound_call,
}


def _with(net):
    def inner(x):
        return x

    inner.net = net
    return inner


def state(net) -> list:
    """Modes, arrays as objects, and their numbers, by module."""
    return [
        (path, module.training, {k: id(v) for k, v in module.items()}, dict(vars(module)))
        for path, module in sorted(net.named_modules())
    ]


@pytest.mark.parametrize("holder", HOLDERS)
def test_a_network_is_captured_in_evaluation_mode_and_given_back(holder):
    net = network()
    fn = HOLDERS[holder](net)
    before, mean = state(net), net.layers[1].running_mean
    graph = capture(fn, X)
    assert state(net) == before and np.array(mean).tolist() == [3.0] * 8
    assert not {"Reduce", "RandomBits"} & set(graph.kinds())  # batch statistics and dropout
    bound = bind(fn, [X])
    capture(bound)
    found = np.array(as_flat(bound, bound.arrays)(X)[0])
    assert state(net) == before
    np.testing.assert_allclose(found, np.array(net.eval()(X)), atol=1e-6)


@pytest.mark.parametrize("holder", ["an object", "a method", "a class", "an object known only while it runs"])
def test_the_package_is_the_network_in_evaluation_mode(holder):
    net = network()
    before = state(net)
    model = convert(HOLDERS[holder](net), X, precision="float32")
    assert model.user_defined_metadata["verified"].partition(":")[0].endswith("passes")
    assert state(net) == before
    np.testing.assert_allclose(np.array(net(X)).shape, (6, 2))  # still runs, in training mode


def test_a_failed_capture_and_a_failed_check_give_it_back_too(monkeypatch):
    net = network()
    pipe, before = Pipe(net), state(net)
    with pytest.raises(ValueError):
        capture(lambda x: x * pipe.run(x).sum().item(), X)
    assert state(net) == before
    monkeypatch.setitem(RULES, "Sin", RULES["Cos"])
    with pytest.raises(WrongModelError):
        convert(lambda x: mx.sin(pipe.run(x)), X)
    assert state(net) == before


class Everything:
    """Changes every kind of object that a call may change."""

    calls = 0
    __slots__ = ("__dict__", "last")

    def __init__(self):
        self.seen, self.table, self.kinds = [], {"old": mx.ones((2,))}, {1}
        self.recent, self.order = deque([1, 2], maxlen=2), OrderedDict(a=1, b=2)
        self.counts, self.lists = Counter("ab"), defaultdict(list)
        self.buffer, self.numbers = mx.zeros((6, 4)), np.zeros(3)
        self.rng, self.python = np.random.default_rng(3), random.Random(3)
        self.last = None
        self.scaled = functools.lru_cache(lambda n: mx.arange(n) * 2.0)

    @functools.cached_property
    def once(self):
        return mx.ones((4,))

    def __call__(self, x):
        global CALLS
        CALLS += 1
        type(self).calls += 1
        self.seen.append(x)
        self.table["new"], self.last = x + 1, x
        self.table.pop("old", None)
        self.kinds.add(len(self.seen))
        self.recent.append(x)
        self.order.move_to_end("a")
        self.counts["a"] += 1
        self.lists["x"].append(x)
        self.buffer[0] = x[0]
        self.buffer += x
        self.numbers += 1
        self.rng.standard_normal(2), self.python.random(), random.random(), np.random.rand()  # noqa: NPY002
        self.made = x * 2
        return x + self.once + self.scaled(4)


CALLS = 0


def contents(thing) -> dict:
    """What an object of Everything holds, arrays as numbers."""
    return {
        **{name: list(getattr(thing, name)) for name in ("seen", "recent")},
        **{name: dict(getattr(thing, name)) for name in ("counts", "lists", "table")},
        "order": list(thing.order.items()),
        "kinds": set(thing.kinds),
        "buffer": np.array(thing.buffer).tolist(),
        "numbers": thing.numbers.tolist(),
        "names": sorted(vars(thing)),
        "last": thing.last,
        "calls": (type(thing).calls, CALLS),
        "generators": (thing.rng.bit_generator.state, thing.python.getstate(), random.getstate()),
        "numpy": np.random.get_state()[1].tolist(),  # noqa: NPY002
        "mlx": [key.tolist() for key in mx.random.state],
        "cached": thing.scaled.cache_info().currsize,
    }


def test_every_kind_of_object_is_given_back():
    thing = Everything()
    before, objects = contents(thing), {name: id(value) for name, value in vars(thing).items()}
    old = thing.table["old"]
    for go in (lambda: capture(thing, X), lambda: as_flat(thing, [X])(X)):
        go()
        assert contents(thing) == before
    assert {name: id(value) for name, value in vars(thing).items()} == objects and thing.table["old"] is old
    with held(thing).kept():
        mx.eval(thing(X))
        mx.random.normal((2,))
        assert contents(thing)["calls"] == (1, 1)
    assert contents(thing) == before


def test_a_closed_over_count_and_a_tuple_of_caches_are_given_back():
    count, caches = 0, ({"keys": None}, {"keys": mx.zeros((2, 4))})

    def fn(x):
        nonlocal count
        count += 1
        for cache in caches:
            cache["keys"] = x if cache["keys"] is None else mx.concatenate([cache["keys"], x])
        return caches[1]["keys"] * 1

    model = convert(fn, X[:2])
    assert (
        count == 0 and caches[0]["keys"] is None and np.array(caches[1]["keys"]).tolist() == [[0.0] * 4] * 2
    )
    assert "passes" in model.user_defined_metadata["verified"]
