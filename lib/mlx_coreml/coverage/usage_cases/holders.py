"""Modules in training mode, held by plain objects: pipelines, callable objects, lists, closures, slots."""

import functools
from dataclasses import dataclass
from types import SimpleNamespace

import mlx.core as mx

from mlx_coreml.coverage.usage_cases.usage import Kind, Made, call, normal

import mlx.nn as nn  # isort: skip

holders = Kind("holder")


def network() -> nn.Module:
    """A network in training mode whose BatchNorm and Dropout show it."""
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm(8), nn.Dropout(0.5), nn.Linear(8, 2))
    net.layers[1].running_mean = mx.full((8,), 3.0)
    net.layers[1].running_var = mx.full((8,), 2.0)
    return net


class Pipe:
    """A pipeline with settings."""

    def __init__(self, net):
        self.net, self.steps, self.config = net, 4, {"scale": 2.0}

    def run(self, x):
        return self.net(x) * self.config["scale"]

    def __call__(self, x):
        return self.run(x)


class Slots:
    """Without a dictionary."""

    __slots__ = ("net",)

    def __init__(self, net):
        self.net = net

    def __call__(self, x):
        return self.net(x)


@dataclass
class Stages:
    """Two networks in a dataclass."""

    first: nn.Module
    second: nn.Module


class Holding(nn.Module):
    """A module whose other module is not registered with it."""

    def __init__(self, pipe):
        super().__init__()
        self.out = nn.Linear(2, 3)
        object.__setattr__(self, "hidden", pipe)

    def __call__(self, x):
        return self.out(self.hidden(x))


def of(fn) -> Made:
    """A function of x, called on other numbers, large ones and a zero batch."""
    return Made(fn, call(normal(6, 4)), [call(normal(6, 4)), call(20 * normal(6, 4)), call(mx.zeros((6, 4)))])


@holders
def itself():
    """A module itself"""
    return of(network())


@holders
def closure():
    """A closure over a module"""
    net = network()
    return of(lambda x: net(x))


@holders
def attribute():
    """A closure over an object that holds it"""
    pipe = Pipe(network())
    return of(lambda x: pipe.net(x))


@holders
def method():
    """A method of the object"""
    return of(Pipe(network()).run)


@holders
def callable_object():
    """A callable object"""
    return of(Pipe(network()))


@holders
def nested_objects():
    """An object in an object in an object"""
    return of(SimpleNamespace(a=SimpleNamespace(pipe=Pipe(network()))).a.pipe.run)


@holders
def nested_closures():
    """A closure in a closure"""
    pipe = SimpleNamespace(inner=Pipe(network()))

    def outer(x):
        def inner(y):
            return pipe.inner(y)

        return inner(x)

    return of(outer)


@holders
def slots():
    """An object with slots"""
    return of(Slots(network()))


@holders
def lists():
    """A list and a dictionary of modules"""
    nets, heads = [nn.Linear(4, 4), nn.Dropout(0.9)], {"a": network(), "b": (network(),)}

    def fn(x):
        for net in nets:
            x = net(x)
        return heads["a"](x) + heads["b"][0](x)

    return of(fn)


@holders
def dataclass_of_modules():
    """A dataclass of modules"""
    stages = Stages(nn.Dropout(0.5), network())
    return of(lambda x: stages.second(stages.first(x)))


@holders
def partial():
    """An argument bound by functools.partial"""
    return of(functools.partial(lambda net, x: net(x), network()))


@holders
def partial_of_a_method():
    """A partial of a method in a closure"""
    run = functools.partial(Pipe(network()).run)
    return of(lambda x: mx.tanh(run(x)))


@holders
def default_argument():
    """The default of an argument"""
    net = network()

    def fn(x, model=net):
        return model(x)

    return of(fn)


@holders
def decorated():
    """A decorated method"""
    pipe = Pipe(network())

    def logged(fn):
        @functools.wraps(fn)
        def inner(*args, **named):
            return fn(*args, **named)

        return inner

    return of(logged(pipe.run))


@holders
def class_attribute():
    """An attribute of a class"""

    class Shared:
        net = network()

        def __call__(self, x):
            return self.net(x)

    return of(Shared())


@holders
def unregistered():
    """A module that its module does not register"""
    return of(Holding(Pipe(network())))


@holders
def made_late():
    """A module that a property gives"""

    class Late:
        def __init__(self, net):
            self._makers = [lambda: net]

        @property
        def net(self):
            return self._makers[0]()

        def __call__(self, x):
            return self.net(x)

    return of(Late(network()))


@holders
def branch_on_training():
    """A module that asks whether it is in training"""

    class Asks(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin, self.aux = nn.Linear(4, 2), nn.Linear(4, 2)

        def __call__(self, x):
            return self.lin(x) + self.aux(x) if self.training else self.lin(x)

    pipe = Pipe(Asks())
    return of(pipe)


@holders
def one_frozen():
    """Modules of which some are in evaluation mode and some are frozen"""
    first, second = network(), nn.Sequential(nn.Linear(2, 4), nn.BatchNorm(4))
    first.eval()
    second.freeze()
    return of(SimpleNamespace(first=first, run=lambda x: second(first(x))).run)


@holders
def argument():
    """A pipeline as an argument that holds no example"""
    pipe = Pipe(network())
    return Made(
        lambda pipe, x: pipe.net(x), call(pipe, normal(6, 4)), [call(pipe, normal(6, 4))], truth=_second(pipe)
    )


def _second(pipe):
    return lambda _, x: pipe.net(x)
