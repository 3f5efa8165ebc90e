"""How a model is called: keywords, defaults, fixed arguments, bound arguments, mistakes in options."""

import enum
import functools

import mlx.core as mx

from mlx_coreml.coverage.usage_cases.usage import Kind, Made, call, normal

import mlx.nn as nn  # isort: skip

calls = Kind("call")


class Task(enum.Enum):
    """What a head computes."""

    SCORE = 1
    LABEL = 2


def linear() -> tuple[nn.Linear, list]:
    """A layer, and calls of one array: other numbers, then a zero row."""
    lin = nn.Linear(4, 3)
    mx.eval(lin.parameters())  # a shapeless compiled function cannot draw them
    return lin, [call(normal(2, 4)), call(mx.concatenate([mx.zeros((1, 4)), normal(1, 4)]))]


def fixed(fn, *values, **named) -> Made:
    """A function of an array whose other arguments are no arrays."""
    unseen = [call(x, *values, **named) for x in (normal(2, 4), 5 * normal(2, 4), mx.zeros((2, 4)))]
    return Made(fn, call(normal(2, 4), *values, **named), unseen)


@calls
def keyword():
    """A module by its keyword"""
    lin, _ = linear()
    return Made(lin, call(x=normal(2, 4)), [call(x=normal(2, 4)), call(x=mx.zeros((2, 4)))])


@calls
def keyword_only():
    """Arguments by keyword only, in another order"""
    lin, _ = linear()

    def fn(x, *, scale, shift):
        return lin(x) * scale + shift

    unseen = [
        call(normal(2, 4), shift=normal(3), scale=normal(3)),
        call(normal(2, 4), shift=normal(3), scale=mx.zeros(3)),
    ]
    return Made(fn, call(normal(2, 4), shift=normal(3), scale=normal(3)), unseen)


@calls
def default_mask():
    """An optional mask left out"""
    lin, unseen = linear()
    return Made(lambda x, mask=None: lin(x) if mask is None else lin(x) * mask, call(normal(2, 4)), unseen)


@calls
def none():
    """None by position"""
    lin, _ = linear()
    return fixed(lambda x, mask: lin(x) if mask is None else lin(x) * mask, None)


@calls
def whole_number():
    """A whole number that cuts"""
    lin, _ = linear()
    return fixed(lambda x, k: lin(x)[:, :k], 2)


@calls
def number():
    """A number that scales, by keyword"""
    lin, _ = linear()
    return fixed(lambda x, scale=1.0: lin(x) * scale, scale=0.5)


@calls
def text_and_flag():
    """A text and a truth value that choose a branch"""
    lin, _ = linear()

    def fn(x, mode, normalize):
        y = mx.tanh(lin(x)) if mode == "tanh" else lin(x)
        return mx.softmax(y, axis=-1) if normalize else y

    return fixed(fn, "tanh", True)


@calls
def enumeration():
    """A member of an enumeration and a type"""
    lin, _ = linear()
    return fixed(
        lambda x, task, dtype: (lin(x) if task is Task.SCORE else lin(-x)).astype(dtype),
        Task.SCORE,
        mx.float32,
    )


@calls
def tuple_of_numbers():
    """A tuple of whole numbers"""
    return fixed(lambda x, shape, axes: x.reshape(shape).transpose(*axes), (2, 2, 2), (2, 0, 1))


@calls
def variable_arguments():
    """A function of any number of arrays"""
    lin, _ = linear()

    def fn(*arrays, **options):
        return lin(sum(arrays[1:], arrays[0])) * options["gain"]

    three = [call(*(normal(2, 4) for _ in range(3)), gain=2.0) for _ in range(3)]
    return Made(fn, three[0], three[1:])


@calls
def partial_with_keyword():
    """A keyword bound by functools.partial"""
    lin, unseen = linear()
    return Made(functools.partial(lambda x, k: lin(x)[:, :k], k=2), call(normal(2, 4)), unseen)


@calls
def partial_with_array():
    """An array bound by functools.partial"""
    lin, unseen = linear()
    return Made(functools.partial(lambda gain, x: lin(x) * gain, normal(3)), call(normal(2, 4)), unseen)


@calls
def compiled():
    """A function that mx.compile made"""
    lin, unseen = linear()
    return Made(mx.compile(lambda x: mx.tanh(lin(x))), call(normal(2, 4)), unseen)


@calls
def compiled_partial():
    """A shapeless compiled function with an array bound"""
    lin, unseen = linear()
    scaled = mx.compile(lambda s, x: lin(x) * s, shapeless=True)
    return Made(functools.partial(scaled, mx.array(2.0)), call(normal(2, 4)), unseen)


@calls.refused(r"precison.*did you mean precision=")
def misspelt_option():
    """A misspelt option"""
    lin, unseen = linear()
    return Made(lin, call(normal(2, 4)), unseen, {"precison": "float32"})


@calls.refused(r"fp61.*(float16|fp16)|float16.*fp61")
def misspelt_precision():
    """A misspelt precision"""
    lin, unseen = linear()
    return Made(lin, call(normal(2, 4)), unseen, {"precision": "fp61"})


@calls.refused(r"Linear is a class; pass an instance")
def a_class():
    """A class in place of a module"""
    _, unseen = linear()
    return Made(nn.Linear, call(normal(2, 4)), unseen)


@calls.refused(r"example")
def no_example():
    """No example at all"""
    lin, unseen = linear()
    return Made(lin, call(), unseen)


@calls
def options_of_other_types():
    """Precision and system as the libraries' own objects"""
    import coremltools as ct

    lin, unseen = linear()
    options = {"precision": mx.float16, "deployment_target": ct.target.iOS18, "outputs": "logits"}
    return Made(lin, call(normal(2, 4)), unseen, options, tolerance=2e-3)
