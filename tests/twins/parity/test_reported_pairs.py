"""Kinds of pairs that readers reported, each as small as it can be, and what the page says of it."""

import re

import pytest
from pair_corpus import Pair
from pair_corpus.judged import judge

import mlx.core as mx  # isort: skip  (after judged: the BLAS)

BATCH = """
def batch(rng, size):
    x, y = (rng.standard_normal((size, 5, width)).astype("float32") for width in (8, 4))
    return x, y
"""
MAKERS = """
def mlx_model():
    return M()
def torch_model():
    return T()
"""
REGRESSION = """
def mlx_loss(m, x, y):
    return mnn.losses.mse_loss(m(x), y, reduction="mean")
def torch_loss(m, x, y):
    return F.mse_loss(m(x), y)
"""
TWO_LAYERS = (
    """
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.a, s.b = mnn.Linear(8, 12), mnn.Linear(12, 4)
    def __call__(s, x):
        return s.b(mx.softmax(s.a(x), axis=-1))
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.a, s.b = tnn.Linear(8, 12), tnn.Linear(12, 4)
    def forward(s, x):
        return s.b(s.a(x).softmax(-1))
"""
    + MAKERS
    + BATCH
    + REGRESSION
)
MASKED = (
    """
C, H = 16, 2
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.q, s.k, s.v, s.o, s.h = (mnn.Linear(C, n) for n in (C, C, C, C, 5))
    def __call__(s, x, mask):
        B, T, _ = x.shape
        q, k, v = (f(x).reshape(B, T, H, C // H).transpose(0, 2, 1, 3) for f in (s.q, s.k, s.v))
        scale = (C // H) ** -0.5
        y = mx.fast.scaled_dot_product_attention(q, k, v, scale=scale, mask=mask[:, None, None])
        return s.h((x + s.o(y.transpose(0, 2, 1, 3).reshape(B, T, C)))[:, 0])
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.q, s.k, s.v, s.o, s.h = (tnn.Linear(C, n) for n in (C, C, C, C, 5))
    def forward(s, x, mask):
        B, L, _ = x.shape
        q, k, v = (f(x).view(B, L, H, C // H).transpose(1, 2) for f in (s.q, s.k, s.v))
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None], scale=(C // H) ** -0.5)
        return s.h((x + s.o(y.transpose(1, 2).reshape(B, L, C)))[:, 0])
def batch(rng, size):
    mask = np.arange(8) < rng.integers(2, 8, (size, 1))
    return rng.standard_normal((size, 8, C)).astype("float32"), mask, rng.integers(0, 5, size, dtype="int32")
def mlx_loss(m, x, mask, y):
    return mnn.losses.cross_entropy(m(x, mask), y, reduction="mean")
def torch_loss(m, x, mask, y):
    return F.cross_entropy(m(x, mask), y)
"""
    + MAKERS
)
RECURRENT = (
    """
class M(mnn.Module):
    def __init__(s):
        super().__init__()
        s.r, s.o = mnn.LSTM(8, 6), mnn.Linear(6, 4)
    def __call__(s, x):
        return s.o(s.r(x)[0])
class T(tnn.Module):
    def __init__(s):
        super().__init__()
        s.r, s.o = tnn.LSTM(8, 6, batch_first=True), tnn.Linear(6, 4)
    def forward(s, x):
        return s.o(s.r(x)[0])
"""
    + MAKERS
    + BATCH
    + REGRESSION
)
TORCH_MASK = "attn_mask=mask[:, None, None]"
TOLD = {  # text, change, what is to be in the sentence, and what is not
    "softmax over another axis": (TWO_LAYERS, ("softmax(-1)", "softmax(1)"), r"softmax.*axis", r"mask"),
    "padding mask missing": (MASKED, (TORCH_MASK, "attn_mask=None"), r"mask", r"causal|invert"),
    "padding mask inverted": (MASKED, (TORCH_MASK, "attn_mask=~mask[:, None, None]"), r"invert", r"missing"),
    "attention scaled by a third": (
        MASKED,
        ("None], scale=(C // H) ** -0.5", "None], scale=1 / 3"),
        r"root of 8.*0\.3333",
        r"mask",
    ),
    "a constant that MLX trains": (
        TWO_LAYERS.replace("s.a, s.b = mnn", "s.c = mx.ones(8); s.a, s.b = mnn").replace(
            "s.a, s.b = tnn", "s.register_buffer('c', torch.ones(8)); s.a, s.b = tnn"
        ),
        ("s.a(x), axis=-1", "s.a(x * s.c), axis=-1"),
        r"`c` is a buffer in PyTorch and trained in MLX: freeze it",
        r"mask",
    ),
    "two biases that both train": (
        RECURRENT,
        ("", ""),
        r"`r\.bias` is the sum of `r\.bias_ih_l0` and `r\.bias_hh_l0`, which both train",
        r"missing",
    ),
    "one entry of the map for two biases": (
        RECURRENT + 'NAMES = {"r.weight_ih_l0": "r.Wx", "r.bias_ih_l0": "r.bias"}\n',
        ("", ""),
        r"`r\.bias` is the sum of",
        r"missing",
    ),
}


@pytest.fixture(autouse=True)
def uncompiled():
    """No kind here lies in compiling, and each new graph would run a C++ compiler."""
    mx.disable_compile()
    yield
    mx.enable_compile()


@pytest.mark.parametrize("case", TOLD.values(), ids=TOLD)
def test_a_reported_mistake_is_told_by_its_cause(case, tmp_path):
    text, (old, new), wanted, unwanted = case
    judged = judge(Pair("reported", text.replace(old, new) if old else text).written(tmp_path))
    assert not judged.passed
    assert re.search(wanted, judged.told), judged.told
    assert not re.search(unwanted, judged.told), judged.told


@pytest.mark.parametrize("text", [TWO_LAYERS, MASKED], ids=["two layers", "masked attention"])
def test_the_pairs_themselves_pass(text, tmp_path):
    assert judge(Pair("reported", text).written(tmp_path)).failed == ()


def test_one_bias_that_is_frozen_makes_the_recurrent_pair_equal(tmp_path):
    text = RECURRENT.replace(
        "return T()", "t = T(); tnn.init.zeros_(t.r.bias_hh_l0).requires_grad_(False); return t"
    )
    assert judge(Pair("reported", text).written(tmp_path)).failed == ()


def test_an_error_in_evaluation_mode_is_one_sentence(tmp_path):
    text = TWO_LAYERS.replace(
        "return s.b(s.a(x).softmax(-1))", "return s.b(s.a(x).softmax(-1)) if s.training else 1 // 0"
    )
    judged = judge(Pair("reported", text).written(tmp_path))
    assert judged.failed == ("error",)
    assert "ZeroDivisionError" in judged.told or "integer division" in judged.told
    assert "\n" not in judged.told


def test_what_is_not_checked_in_float64_is_told_of_a_pair_that_passes(tmp_path):
    text = TWO_LAYERS.replace("mx.softmax(s.a(x), axis=-1)", "mx.fft.fft(s.a(x)).real").replace(
        "s.a(x).softmax(-1)", "torch.fft.fft(s.a(x)).real"
    )
    judged = judge(Pair("reported", text).written(tmp_path))
    assert judged.failed == ()
    assert judged.told.startswith("Not checked in float64: mx.fft.fft (mine.py, line ")
