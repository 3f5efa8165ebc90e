"""Attention: one node whatever hides scores, shared heads as rows; hidden rows and fp16 as in MLX."""

import numpy as np
import pytest
from agreement import assert_agree, normal, results, truths
from graphs import kinds, only, simplified

from twins.frameworks import mx  # not from mlx: the fast BLAS comes first

import mlx.nn as mnn  # isort: skip

Q, K, V = normal(2, 4, 5, 8), normal(2, 4, 6, 8), normal(2, 4, 6, 3)
SHARED = normal(2, 2, 6, 8), normal(2, 2, 6, 3)
KEPT = mx.array(np.tri(5, 6, 1) > 0)
EVEN = mx.array(np.arange(6) % 2 == 0)
HIDES_A_ROW = mx.array(np.tri(5, 6, -1) > 0)
RANDOM = truths(2, 1, 5, 6)
LOW = -1e9


def attend(mask=None, scale=0.3):
    return lambda q, k, v: mx.fast.scaled_dot_product_attention(q, k, v, scale=scale, mask=mask)


def with_mask(q, k, v, mask):
    return mx.fast.scaled_dot_product_attention(q, k, v, scale=0.3, mask=mask)


def by_hand(scores_of):
    return lambda q, k, v: mx.softmax(scores_of(q, k), axis=-1) @ v


CONSTANT = {
    "no mask": attend(),
    "causal": attend("causal"),
    "condition": attend(KEPT),
    "bias": attend(normal(5, 6)),
    "low bias": attend(mx.where(KEPT, 0, LOW)),
    "infinite bias": attend(mx.where(KEPT, 0, -mx.inf)),
    "bias per head": attend(normal(4, 5, 6)),
    "by hand": by_hand(lambda q, k: q @ k.swapaxes(-1, -2) / 8**0.5),
    "by hand, masked": by_hand(lambda q, k: mx.where(KEPT, (q @ k.swapaxes(-1, -2)) * 0.2, LOW)),
    "two masks": by_hand(lambda q, k: mx.where(KEPT, q @ k.swapaxes(-1, -2), LOW) + mx.where(EVEN, 0, LOW)),
}
WHEN_RUN = {
    "condition": (with_mask, (RANDOM,), "select"),
    "condition made a bias": (
        lambda q, k, v, m: with_mask(q, k, v, mx.where(m, 0, LOW)),
        (RANDOM,),
        "select",
    ),
    "its negation made a bias": (
        lambda q, k, v, m: with_mask(q, k, v, (1 - m.astype(mx.float32))[:, None] * LOW),
        (RANDOM[:, 0],),
        "select",
    ),
    "its opposite made a bias": (
        lambda q, k, v, m: with_mask(q, k, v, mx.where(m, -mx.inf, 0)),
        (mx.logical_not(RANDOM),),
        "select",
    ),
    "condition and a constant one": (
        lambda q, k, v, m: mx.softmax(mx.where(m, mx.where(KEPT, q @ k.swapaxes(-1, -2), LOW), LOW), -1) @ v,
        (RANDOM,),
        "select",
    ),
}


@pytest.mark.parametrize("name", CONSTANT)
@pytest.mark.parametrize("operands", [(Q, K, V), (Q, *SHARED)])
def test_a_constant_mask_is_a_bias_of_one_node(name, operands):
    if "by hand" in name or "two" in name:
        operands = Q, K, V
    graph = simplified(CONSTANT[name], *operands)
    node = only(graph, "attention")
    assert node.arguments[1] == ("" if name in ("no mask", "by hand") else "add")
    assert set(graph.kinds()) <= {"attention", "bounded", "Reshape", "Concatenate", "Transpose"}


def test_the_scale_is_kept_once():
    assert only(simplified(attend(scale=0.3), Q, K, V), "attention").arguments[0] == pytest.approx(0.3)
    node = only(simplified(CONSTANT["by hand"], Q, K, V), "attention")
    assert node.arguments[0] == pytest.approx(8**-0.5)
    both = by_hand(lambda q, k: (q * 0.5) @ k.swapaxes(-1, -2) * 4)
    assert only(simplified(both, Q, K, V), "attention").arguments[0] == pytest.approx(2)


@pytest.mark.parametrize("name", WHEN_RUN)
@pytest.mark.parametrize("operands", [(Q, K, V), (Q, *SHARED)])
def test_a_condition_of_the_input_selects(name, operands):
    fn, mask, how = WHEN_RUN[name]
    if "constant" in name:
        operands = Q, K, V
    assert only(simplified(fn, *operands, *mask), "attention").arguments[1] == how


def test_a_constant_condition_that_hides_a_row_selects():
    assert only(simplified(attend(HIDES_A_ROW), Q, K, V), "attention").arguments[1] == "select"


def test_a_bias_of_the_input_is_added_in_a_step_of_its_own():
    found = kinds(with_mask, Q, K, V, normal(5, 6))
    assert found == {"Multiply": 1, "matmul": 1, "masked_softmax": 1, "Matmul": 1}


def test_heads_that_share_keys_are_rows_and_nothing_is_repeated():
    graph = simplified(attend("causal"), Q, *SHARED)
    node = only(graph, "attention")
    assert [t.shape for t in node.inputs] == [(2, 2, 10, 8), (2, 2, 6, 8), (2, 2, 6, 3), (1, 1, 10, 6)]
    assert graph.kinds() == {"bounded": 1, "Reshape": 3, "Concatenate": 1, "attention": 1}


def test_all_layers_read_one_mask():
    def two(x):
        for _ in range(2):
            x = mx.fast.scaled_dot_product_attention(x, x, x, scale=1.0, mask="causal")
        return x

    graph = simplified(two, Q)
    assert graph.kinds() == {"attention": 2, "bounded": 1}


def weights_too(q, k, v):
    weights = mx.softmax(q @ k.swapaxes(-1, -2), axis=-1)
    return weights @ v, weights


OTHERS = {
    "weights are read": (weights_too, (Q, K, V)),
    "other axis": (lambda q, k, v: mx.softmax(q @ k.swapaxes(-1, -2), axis=-2) @ v, (Q, K, V)),
    "weights on the right": (
        lambda q, k, v: v.swapaxes(-1, -2) @ mx.softmax(k @ q.swapaxes(-1, -2), -1),
        (Q, K, V),
    ),
    "a fill that hides little": (
        by_hand(lambda q, k: mx.where(KEPT, q @ k.swapaxes(-1, -2), -3.0)),
        (Q, K, V),
    ),
    "keys for all heads": (
        lambda q, k, v: mx.softmax(q @ k.swapaxes(-1, -2), -1) @ v,
        (Q, K[:, :1], V[:, :1]),
    ),
    "capped scores": (by_hand(lambda q, k: mx.tanh(q @ k.swapaxes(-1, -2) / 5) * 5), (Q, K, V)),
    "sinks": (
        lambda q, k, v: mx.fast.scaled_dot_product_attention(q, k, v, scale=0.3, sinks=normal(4)),
        (Q, K, V),
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_attention_is_left_alone(name):
    fn, operands = OTHERS[name]
    assert "attention" not in kinds(fn, *operands)


def everything() -> dict:
    cases = {}
    for name, fn in CONSTANT.items():
        cases[name] = (fn, (Q, K, V))
        if "by hand" not in name and "two" not in name:
            cases[f"{name}, shared"] = (fn, (Q, *SHARED))
    for name, (fn, mask, _) in WHEN_RUN.items():
        cases[f"{name} of the input"] = (fn, (Q, K, V, *mask))
        if "constant" not in name:
            cases[f"{name} of the input, shared"] = (fn, (Q, *SHARED, *mask))
    bias = mx.where(RANDOM, 0, LOW)
    cases |= {
        "bias of the input": (with_mask, (Q, K, V, bias)),
        "shared bias": (with_mask, (Q, *SHARED, bias)),
    }
    cases["any numbers"] = (with_mask, (Q, K, V, 1e6 * normal(2, 1, 5, 6)))
    cases["hides a row"] = (attend(HIDES_A_ROW), (Q, K, V))
    cases["hides all"] = (with_mask, (Q, K, V, mx.zeros((5, 6)) > 0))
    cases["hides all by a bias"] = (with_mask, (Q, K, V, mx.full((5, 6), LOW)))
    cases["heads"] = (mnn.MultiHeadAttention(8, 2, bias=True), (normal(2, 5, 8),) * 3)
    return cases | OTHERS


@pytest.mark.parametrize("target", ["iOS17", "iOS18"])
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_it_computes_what_mlx_computes(target, precision):
    for pairs in results(everything(), target, precision).values():
        assert_agree(pairs, {"float32": 1e-5, "float16": 1e-2}[precision])


def test_two_constant_masks_that_hide_a_row_together_are_left_alone():
    def scores(q, k):
        return mx.where(KEPT, q @ k.swapaxes(-1, -2), LOW) + mx.where(KEPT[:, ::-1], 0, LOW)

    assert "attention" not in kinds(by_hand(scores), Q, K, V)
    assert_agree(results({"two": (by_hand(scores), (Q, K, V))})["two"])


def test_large_scores_under_a_mask_do_not_overflow_in_fp16():
    cases = {
        "large": (attend("causal"), (Q * 80, K * 80, V)),
        "two": (CONSTANT["two masks"], (Q * 30, K * 30, V)),
    }
    for pairs in results(cases, precision="float16").values():
        assert all(np.isfinite(found).all() for found, _ in pairs)
