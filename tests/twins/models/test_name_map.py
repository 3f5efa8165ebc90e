"""Names that are not one to one: what an entry says, what it carries over, what shapes suggest."""

import mlx.core as mx
import mlx.nn as mnn
import numpy as np
import pytest
import torch
from mlx.utils import tree_unflatten
from torch import nn as tnn

from twins.frameworks import MLX
from twins.models import name_fits, name_map, weights
from twins.models.weight_map import WeightMap, check_map


def holding(**shapes: tuple[int, ...]) -> tuple[mnn.Module, dict]:
    """An MLX module with arrays of these shapes by name (`__` for a dot)."""
    module = mnn.Module()
    named = {name.replace("__", "."): mx.zeros(shape) for name, shape in shapes.items()}
    for name, value in tree_unflatten(list(named.items())).items():
        module[name] = value
    return module, named


def torch_holding(**shapes: tuple[int, ...]) -> tnn.Module:
    """A torch module with random parameters of these shapes by name."""
    module = tnn.Module()
    for name, shape in shapes.items():
        owner, *parts = module, *name.split("__")
        for part in parts[:-1]:
            if not hasattr(owner, part):
                owner.add_module(part, tnn.Module())
            owner = getattr(owner, part)
        owner.register_parameter(parts[-1], tnn.Parameter(torch.randn(shape)))
    return module


def given(module: tnn.Module, name: str) -> np.ndarray:
    return module.get_parameter(name).detach().numpy()


FORMS = {  # torch's shapes, MLX's, the map, and what MLX's weights are then
    "renamed": (
        {"a": (2, 3)},
        {"b": (2, 3)},
        {"a": "b"},
        lambda t: {"b": given(t, "a")},
    ),
    "transposed": (
        {"l__weight": (2, 3), "l__bias": (3,)},
        {"l__weight": (3, 2), "l__bias": (3,)},
        {"l": ("l", (1, 0))},
        lambda t: {"l.weight": given(t, "l.weight").T, "l.bias": given(t, "l.bias")},
    ),
    "reshaped": (
        {"p": (1, 4, 3)},
        {"p": (4, 3)},
        {"p": ("p", "reshape")},
        lambda t: {"p": given(t, "p")[0]},
    ),
    "blocks in another order": (
        {"w": (8, 3)},
        {"w": (8, 3)},
        {"w": ("w", [0, 2, 1, 3])},
        lambda t: {"w": given(t, "w")[[0, 1, 4, 5, 2, 3, 6, 7]]},
    ),
    "split": (
        {"qkv__weight": (7, 3), "qkv__bias": (7,)},
        {"q__weight": (2, 3), "q__bias": (2,), "k__weight": (5, 3), "k__bias": (5,)},
        {"qkv": ["q", "k"]},
        lambda t: {
            "q.weight": given(t, "qkv.weight")[:2],
            "k.weight": given(t, "qkv.weight")[2:],
            "q.bias": given(t, "qkv.bias")[:2],
            "k.bias": given(t, "qkv.bias")[2:],
        },
    ),
    "joined": (
        {"q__weight": (2, 3), "k__weight": (5, 3)},
        {"qk__weight": (7, 3)},
        {("q", "k"): "qk"},
        lambda t: {"qk.weight": np.concatenate([given(t, "q.weight"), given(t, "k.weight")])},
    ),
    "joined along the second axis": (
        {"a": (3, 2), "b": (3, 4)},
        {"c": (3, 6)},
        {("a", "b"): "c"},
        lambda t: {"c": np.concatenate([given(t, "a"), given(t, "b")], 1)},
    ),
    "summed": (
        {"a": (4,), "b": (4,)},
        {"c": (4,)},
        {("a", "b"): "c"},
        lambda t: {"c": given(t, "a") + given(t, "b")},
    ),
}


@pytest.mark.parametrize("case", FORMS.values(), ids=FORMS)
def test_an_entry_carries_weights_over(case):
    theirs, (ours, _) = torch_holding(**case[0]), holding(**case[1])
    weights.copy_to_mlx(theirs, ours, case[2])
    wanted = case[3](theirs)
    found = weights.mlx_weights(ours)
    assert found.keys() == wanted.keys()
    assert all(np.array_equal(found[name], wanted[name]) for name in wanted)


def test_the_gradient_of_a_sum_is_that_of_a_term():
    theirs, (ours, _) = torch_holding(a=(4,), b=(4,)), holding(c=(4,))
    links, one = WeightMap(theirs, ours, {("a", "b"): "c"}), np.arange(4.0)
    assert np.array_equal(links.mlx({"a": one, "b": one}, gradients=True)["c"], one)
    assert np.array_equal(links.mlx({"b": one}, gradients=True)["c"], one)
    assert links.sums() == {"c": ("a", "b")}
    theirs.b.requires_grad_(False)
    assert WeightMap(theirs, ours, {("a", "b"): "c"}).sums() == {}


# --- layers that need no entry ---------------------------------------------------------------------

RECURRENT = {
    "RNN": (lambda: tnn.RNN(3, 5, batch_first=True), lambda: mnn.RNN(3, 5), lambda y: y),
    "LSTM": (lambda: tnn.LSTM(3, 5, batch_first=True), lambda: mnn.LSTM(3, 5), lambda y: y[0]),
    "GRU": (lambda: tnn.GRU(3, 5, batch_first=True), lambda: mnn.GRU(3, 5), lambda y: y),
}


@pytest.mark.parametrize("case", RECURRENT.values(), ids=RECURRENT)
def test_recurrent_layers_compute_the_same(case):
    theirs, ours = tnn.ModuleDict({"r": case[0]()}), mnn.Module()
    ours.r = case[1]()
    weights.copy_to_mlx(theirs, ours)
    x = np.random.default_rng(0).standard_normal((2, 7, 3)).astype("float32")
    wanted = theirs["r"](torch.from_numpy(x))[0].detach().numpy()
    assert np.allclose(MLX.numpy(case[2](ours.r(mx.array(x)))), wanted, atol=1e-6)


def test_the_gradients_of_a_gru_are_those_of_its_biases():
    theirs, ours = tnn.GRU(3, 2), mnn.GRU(3, 2)
    ih, hh = np.arange(6.0), np.arange(6.0) + 10
    found = WeightMap(theirs, ours).mlx({"bias_ih_l0": ih, "bias_hh_l0": hh}, gradients=True)
    assert np.array_equal(found["b"], ih)
    assert np.array_equal(found["bhn"], hh[4:])


def test_multi_head_attention_computes_the_same():
    theirs, ours = tnn.MultiheadAttention(8, 2, batch_first=True), mnn.MultiHeadAttention(8, 2, bias=True)
    weights.copy_to_mlx(theirs, ours)
    x = np.random.default_rng(0).standard_normal((2, 5, 8)).astype("float32")
    wanted = theirs(*[torch.from_numpy(x)] * 3)[0].detach().numpy()
    assert np.allclose(MLX.numpy(ours(*[mx.array(x)] * 3)), wanted, atol=1e-6)


def test_a_transformer_layer_computes_the_same():
    theirs = tnn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, norm_first=True)
    ours = mnn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, norm_first=True)
    for name in ("query_proj", "key_proj", "value_proj", "out_proj"):
        ours.attention[name] = mnn.Linear(8, 8)
    weights.copy_to_mlx(theirs, ours)
    x = np.random.default_rng(0).standard_normal((2, 5, 8)).astype("float32")
    wanted = theirs(torch.from_numpy(x)).detach().numpy()
    assert np.allclose(MLX.numpy(ours(mx.array(x), None)), wanted, atol=1e-5)


def test_an_entry_for_one_bias_of_two_is_taken_for_both():
    theirs, ours = tnn.ModuleDict({"r": tnn.LSTM(3, 5)}), mnn.Module()
    ours.r = mnn.LSTM(3, 5)
    names = {"r.weight_ih_l0": "r.Wx", "r.weight_hh_l0": "r.Wh", "r.bias_ih_l0": "r.bias"}
    weights.copy_to_mlx(theirs, ours, names)
    summed = (theirs["r"].bias_ih_l0 + theirs["r"].bias_hh_l0).detach().numpy()
    assert np.allclose(MLX.numpy(ours.r.bias), summed)


# --- shared weights, constants ---------------------------------------------------------------------


class Tied(tnn.Module):
    def __init__(self):
        super().__init__()
        self.t, self.head = tnn.Embedding(5, 3), tnn.Linear(3, 5, bias=False)
        self.head.weight = self.t.weight


@pytest.mark.parametrize(
    ("name", "names"), [("t", {}), ("t", {"head": "t"}), ("head", {}), ("head", {"t": "head"})]
)
def test_a_weight_held_twice_is_one(name, names):
    ours, _ = holding(**{f"{name}__weight": (5, 3)})
    theirs = Tied()
    weights.copy_to_mlx(theirs, ours, names)
    (link,) = WeightMap(theirs, ours, names).links
    assert (link.torch, link.mlx) == (("t.weight",), (f"{name}.weight",))
    check_map(names, ours, theirs)


def test_constants_of_one_half_are_left_out():
    theirs = torch_holding(w=(3,))
    theirs.register_buffer("table", torch.zeros(4))
    ours, _ = holding(w=(3,), mask=(2, 2))
    ours.freeze(keys=["mask"], recurse=False)
    weights.copy_to_mlx(theirs, ours)
    assert WeightMap(theirs, ours).own == {"mask"}
    ours.unfreeze()
    with pytest.raises(ValueError, match=r"missing \['mask'\], superfluous none"):
        weights.copy_to_mlx(theirs, ours)


# --- wrong maps ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names", [{"a": 3}, {"a": ("b", 1)}, {"a": ["b"]}, {("a",): "b"}, {3: "b"}, {"a": ("b", (0, 2))}]
)
def test_a_map_of_another_form_is_refused(names):
    with pytest.raises(TypeError) as raised:
        name_map.check_form(names, "mine.py: NAMES")
    assert str(raised.value).startswith("mine.py: NAMES has ")
    assert "an entry is one of" in str(raised.value)


def test_a_map_of_two_weights_to_one_says_what_is_allowed():
    theirs, (ours, _) = torch_holding(a=(4,), b=(4,)), holding(c=(4,))
    with pytest.raises(ValueError, match=r"the entry is \('a', 'b'\): 'c'"):
        check_map({"a": "c", "b": "c"}, ours, theirs)


SUGGESTED = {
    "a sum": ({"r.i": (8,), "r.h": (8,)}, {"r.bias": (8,)}, ['("r.i", "r.h"): "r.bias"']),
    "joined": (
        {"q.weight": (4, 3), "k.weight": (4, 3), "v.weight": (4, 3)},
        {"qkv.weight": (12, 3)},
        ['("q.weight", "k.weight", "v.weight"): "qkv.weight"'],
    ),
    "transposed": ({"c.w": (3, 4)}, {"c.weight": (4, 3)}, ['"c.w": ("c.weight", (1, 0))']),
    "other names": ({"a": (3, 4)}, {"b": (3, 4)}, ['"a": "b"']),
    "nothing fits": ({"a": (3, 4)}, {"b": (5,)}, []),
    "one is missing": ({"a": (3, 4)}, {}, []),
}


@pytest.mark.parametrize("case", SUGGESTED.values(), ids=SUGGESTED)
def test_entries_are_proposed_by_shape(case):
    assert name_fits.entries(case[0], case[1]) == case[2]


def test_packed_weights_and_biases_are_proposed_apart():
    ours = {f"{n}.weight": (4, 3) for n in "qkv"} | {f"{n}.bias": (4,) for n in "qkv"}
    theirs = {"p.weight": (12, 3), "p.bias": (12,)}
    assert name_fits.entries(theirs, ours) == [
        '"p.weight": ["q.weight", "k.weight", "v.weight"]',
        '"p.bias": ["q.bias", "k.bias", "v.bias"]',
    ]
