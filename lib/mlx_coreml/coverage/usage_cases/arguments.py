"""What the arguments of a model are: NumPy, shapes, dataclasses, named tuples, objects, nested structures."""

from collections import namedtuple
from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from mlx_coreml.capture.structures import Spec
from mlx_coreml.coverage.usage_cases.calls import linear
from mlx_coreml.coverage.usage_cases.usage import Kind, Made, call, normal, whole

import mlx.nn as nn  # isort: skip

arguments = Kind("argument")
Pair = namedtuple("Pair", "a b")


@dataclass
class Batch:
    """Tokens with the places that count."""

    tokens: mx.array
    mask: mx.array | None = None


class Prompt:
    """Arrays beside settings in a plain object."""

    def __init__(self, embeds, scale):
        self.embeds, self.scale, self.name = embeds, scale, "prompt"


@arguments
def numpy():
    """NumPy arrays of float32"""
    lin, _ = linear()
    rng = np.random.default_rng(0)
    first, other = (rng.standard_normal((2, 4)).astype(np.float32) for _ in range(2))
    return Made(lin, call(first), [call(other), call(np.zeros((2, 4), np.float32))])


@arguments
def numpy_double():
    """NumPy arrays of float64 and int64"""
    table = nn.Embedding(10, 4)
    first, other = np.random.default_rng(0).standard_normal((2, 2, 4))
    return Made(
        lambda x, i: table(i) * x,
        call(first, np.array([1, 2])),
        [call(other, np.array([9, 0])), call(first * 0, np.array([5, 5]))],
    )


@arguments
def spec():
    """Shapes in place of arrays"""
    lin, unseen = linear()
    return Made(lin, call(Spec((2, 4))), unseen)


@arguments
def spec_of_ids():
    """A shape of whole numbers by keyword"""
    table, lin = nn.Embedding(5000, 8), nn.Linear(8, 3)
    unseen = [call(ids=whole(0, 5000, 1, 6)), call(ids=mx.array([[4999, 0, 2049, 4097, 4999, 1]]))]
    return Made(lambda ids: lin(table(ids)), call(ids=Spec((1, 6), "int32")), unseen)


@arguments
def dataclass_argument():
    """A dataclass of arrays, one of them None"""
    table = nn.Embedding(20, 4)

    def fn(batch: Batch):
        x = table(batch.tokens)
        return x.mean(1) if batch.mask is None else (x * batch.mask[..., None]).sum(1)

    return Made(
        fn,
        call(Batch(whole(0, 20, 2, 5))),
        [call(Batch(whole(0, 20, 2, 5))), call(Batch(mx.full((2, 5), 19)))],
    )


@arguments
def named_tuple_argument():
    """A named tuple of arrays"""
    lin, _ = linear()
    return Made(
        lambda p: lin(p.a) - lin(p.b) * 2,
        call(Pair(normal(2, 4), normal(2, 4))),
        [call(Pair(normal(2, 4), normal(2, 4))), call(Pair(mx.zeros((2, 4)), normal(2, 4)))],
    )


@arguments
def object_argument():
    """An object with arrays in its attributes"""
    lin, _ = linear()
    return Made(
        lambda p: lin(p.embeds) * p.scale,
        call(Prompt(normal(2, 4), normal(3))),
        [call(Prompt(normal(2, 4), normal(3))), call(Prompt(mx.zeros((2, 4)), mx.zeros(3)))],
    )


@arguments
def nested():
    """Dictionaries, lists and tuples of arrays, with None in them"""
    lin, _ = linear()

    def fn(batch):
        x, extra = batch["x"], batch["more"]
        y = lin(x) + lin(extra[0][0])
        return y if extra[1] is None else y * extra[1]

    def of(scale):
        return call({"x": scale * normal(2, 4), "more": [(normal(2, 4),), None]})

    return Made(fn, of(1), [of(3), of(0)])


@arguments
def batch_by_name():
    """A tokenizer's output spread over keywords"""
    table, lin = nn.Embedding(30, 8), nn.Linear(8, 4)

    def fn(input_ids, attention_mask=None, token_type_ids=None, return_dict=True):
        mask = attention_mask.astype(mx.float32)[..., None]
        return lin((table(input_ids) * mask).sum(1) / mx.maximum(mask.sum(1), 1e-9))

    def of(ids, mask):
        return call(input_ids=ids, attention_mask=mask, return_dict=True)

    unseen = [
        of(whole(0, 30, 2, 6), mx.array([[1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1]])),
        of(whole(0, 30, 2, 6), mx.zeros((2, 6), mx.int32)),
    ]
    return Made(fn, of(whole(0, 30, 2, 6), mx.ones((2, 6), mx.int32)), unseen)


@arguments
def scalar():
    """An array without axes"""
    lin, _ = linear()
    return Made(
        lambda x, t: lin(x) * t,
        call(normal(2, 4), mx.array(0.5)),
        [call(normal(2, 4), mx.array(-3.0)), call(normal(2, 4), mx.array(0.0))],
    )


@arguments
def whole_types():
    """Indices of int64 and uint32, a mask of truth values"""
    table = nn.Embedding(10, 4)

    def of(a, b, m):
        return call(mx.array(a, mx.int64), mx.array(b, mx.uint32), mx.array(m))

    return Made(
        lambda a, b, m: mx.where(m[:, None], table(a), table(b)),
        of([1, 2], [3, 4], [True, False]),
        [of([9, 0], [0, 9], [False, False]), of([5, 5], [6, 7], [True, True])],
    )


@arguments
def unused():
    """An array that the function does not use"""
    lin, _ = linear()
    return Made(
        lambda x, cache: lin(x),
        call(normal(2, 4), normal(3)),
        [call(normal(2, 4), normal(3)), call(mx.zeros((2, 4)), normal(3))],
    )
