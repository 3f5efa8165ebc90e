"""What a model returns: dataclasses, named tuples, dictionaries, objects, numbers, None, the same twice."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field

import mlx.core as mx

from mlx_coreml.coverage.usage_cases.usage import Kind, Made, call, normal

import mlx.nn as nn  # isort: skip

returns = Kind("return")
Encoded = namedtuple("Encoded", "mean deviation")


@dataclass
class Output:
    """Scores, and what may be asked for."""

    logits: mx.array
    hidden: mx.array | None = None
    layers: tuple = field(default_factory=tuple)


class ModelOutput(OrderedDict):
    """A dictionary whose keys are attributes, as transformers' are."""

    def __getattr__(self, name):
        return self[name]


class Result:
    """A plain object with arrays and settings."""

    def __init__(self, scores, steps):
        self.scores, self.steps, self.kind = scores, steps, "result"
        self._cache = None


def of(make) -> Made:
    """A function of x and its layer, called on other numbers and on a zero row."""
    lin = nn.Linear(4, 3)
    unseen = [call(normal(2, 4)), call(mx.concatenate([mx.zeros((1, 4)), 9 * normal(1, 4)]))]
    return Made(lambda x: make(x, lin(x)), call(normal(2, 4)), unseen)


@returns
def dataclass_output():
    """A dataclass with None and a tuple"""
    return of(lambda x, y: Output(y, None, (x, y + 1)))


@returns
def nested_dataclass():
    """A dataclass in a dataclass in a list"""
    return of(lambda x, y: [Output(y, Output(x * 2)), {"more": Output(y - 1)}])


@returns
def named_tuple():
    """A named tuple"""
    return of(lambda x, y: Encoded(y, mx.exp(y)))


@returns
def nested_dictionary():
    """Dictionaries of lists of tuples"""
    return of(lambda x, y: {"a": y, "b": {"c": x * 2, "d": [x, (x + 1, y)]}})


@returns
def keys_of_other_types():
    """Dictionaries with whole numbers and blanks for keys"""
    return of(lambda x, y: {0: y, "the scores": x, "a-b": x + y.sum()})


@returns
def model_output():
    """A dictionary with attributes"""
    return of(lambda x, y: ModelOutput(logits=y, hidden_states=(x, x * 2)))


@returns
def plain_object():
    """A plain object with settings and a private field"""
    return of(lambda x, y: Result(y, 7))


@returns
def a_whole_number():
    """A whole number beside an array"""
    return of(lambda x, y: (y, 3))


@returns
def numbers_and_none():
    """A number, a truth value and None beside an array"""
    return of(lambda x, y: {"y": y, "loss": None, "scale": 0.5, "done": False, "length": x.shape[1]})


@returns
def the_input():
    """The input itself"""
    return Made(lambda x: x, call(normal(2, 4)), [call(normal(2, 4)), call(mx.zeros((2, 4)))])


@returns
def the_input_among_others():
    """The input beside what is made of it"""
    return of(lambda x, y: (x, y, x))


@returns
def the_same_twice():
    """The same array twice"""
    return of(lambda x, y: (y, y, {"again": y}))


@returns
def a_constant():
    """An array that no input reaches"""
    return of(lambda x, y: (y, mx.arange(5), mx.ones((2,))))


@returns
def views():
    """Views of one array: reshaped, transposed, cut, reversed"""
    return of(lambda x, y: (y.reshape(-1), y.T, y[1:], y[::-1], mx.split(y, 3, axis=1)))


@returns
def without_axes():
    """A sum without axes, and an index"""
    return of(lambda x, y: (y.sum(), mx.argmax(y, axis=-1), y > 0))


@returns
def names():
    """Names for all outputs"""
    made = of(lambda x, y: (y, x * 2))
    return Made(made.fn, made.example, made.unseen, {"outputs": ["logits", "twice"]})


@returns
def one_name():
    """One name as a text"""
    made = of(lambda x, y: y)
    return Made(made.fn, made.example, made.unseen, {"outputs": "logits"})


@returns
def parts_of_complex_numbers():
    """The real and imaginary parts of a spectrum"""
    return Made(
        lambda x: (lambda s: {"re": s.real, "im": s.imag, "size": mx.abs(s)})(mx.fft.rfft(x)),
        call(normal(2, 8)),
        [call(normal(2, 8)), call(mx.zeros((2, 8)))],
    )


@returns.refused(r"complex")
def complex_numbers():
    """A spectrum of complex numbers"""
    return Made(mx.fft.rfft, call(normal(2, 8)), [call(normal(2, 8))])


@returns.refused(r"returns str")
def a_text():
    """A text beside an array"""
    return of(lambda x, y: (y, "label"))


@returns.refused(r"returns no array")
def nothing():
    """Nothing"""
    return of(lambda x, y: None)


@returns.refused(r"empty")
def an_empty_array():
    """An array without elements"""
    return of(lambda x, y: y[:, 3:])
