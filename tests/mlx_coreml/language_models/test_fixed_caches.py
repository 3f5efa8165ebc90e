"""Caches of fixed size let every token see what mlx-lm's own caches let it see."""

import numpy as np
import pytest

from mlx_coreml import ConversionError
from mlx_coreml.language_models.fixed_caches import Sizes, arrays_of, fixed, kept_by, unpacked
from mlx_coreml.language_models.positions import Position, positions_are_arrays
from twins.frameworks import mx

caches = pytest.importorskip("mlx_lm.models.cache")
base = pytest.importorskip("mlx_lm.models.base")
CONTEXT = 32

KINDS = {
    "whole context": (caches.KVCache, None, 32),
    "window of the mask": (caches.KVCache, 5, 32),
    "quantized": (caches.QuantizedKVCache, None, 32),
    "ring": (lambda: caches.RotatingKVCache(6), None, 12),
    "ring and the same window": (lambda: caches.RotatingKVCache(6), 6, 12),
    "ring and a smaller window": (lambda: caches.RotatingKVCache(9), 4, 12),
    "ring that keeps the first": (lambda: caches.RotatingKVCache(8, keep=2), None, 32),
    "window as long as the context": (lambda: caches.RotatingKVCache(30), None, 32),
}


def attended(cache, q, k, v, window):
    mask = base.create_attention_mask(mx.zeros((1, q.shape[2], 1)), cache, window_size=window)
    keys, values = cache.update_and_fetch(k, v)
    return mx.fast.scaled_dot_product_attention(q, keys, values, scale=1.0, mask=mask)


def made_with_first(cache) -> bool:
    """mlx-lm forgets some of the first tokens while it takes several; one by one it keeps them."""
    return bool(getattr(cache, "keep", 0))


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_see_what_mlx_lets_them_see(kind):
    make, window, slots = KINDS[kind]
    mx.random.seed(0)
    rows = [mx.random.normal((1, 2, 26, 8)) for _ in range(3)]
    own = unpacked(make())
    used, sizes = unpacked(make()), Sizes(CONTEXT, 4)
    used.update_and_fetch(rows[1][:, :, :1], rows[2][:, :, :1])
    kept = {name: mx.zeros(shape, dtype) for name, (shape, dtype) in arrays_of(used, sizes).items()}
    assert kept["keys"].shape == (1, 2, slots, 8)
    done = 0
    chunks = [1] * 8 if made_with_first(own) else [4, 4]
    for count in chunks + [1] * 18:
        part = [array[:, :, done : done + count] for array in rows]
        made = fixed(used, kept, Position(mx.array(done)), CONTEXT)
        with positions_are_arrays(CONTEXT):
            found = attended(made, *part, window)
        kept = kept_by(made, list(kept))
        wanted = attended(own, *part, window)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5, err_msg=f"token {done}")
        done += count


def test_whole_numbers_are_kept_as_two_digits():
    cache = caches.ArraysCache(2)
    cache[0], cache[1] = mx.array([[5, 2047, 2048, 151_935]]), mx.ones((1, 3))
    shapes = {name: shape for name, (shape, _) in arrays_of(cache, Sizes(8, 1)).items()}
    assert shapes == {"array_0": (2, 1, 4), "array_1": (1, 3)}
    kept = kept_by(cache, ["array_0", "array_1"])
    halves = {name: array.astype(mx.float16) for name, array in kept.items()}
    again = fixed(cache, halves, Position(mx.array(0)), 8)
    assert again[0].tolist() == cache[0].tolist() and again[0].dtype == cache[0].dtype


def test_what_a_list_of_caches_holds_is_kept_one_by_one():
    both = caches.CacheList(caches.ArraysCache(1), caches.KVCache())
    both[0][0] = mx.ones((1, 3))
    both[1].update_and_fetch(mx.ones((1, 2, 1, 4)), mx.ones((1, 2, 1, 6)))
    shapes = {name: shape for name, (shape, _) in arrays_of(both, Sizes(8, 1)).items()}
    assert shapes == {"0_array_0": (1, 3), "1_keys": (1, 2, 8, 4), "1_values": (1, 2, 8, 6)}


def test_an_unknown_cache_is_told():
    with pytest.raises(ConversionError, match="cache of type object; known are KVCache, Rotating"):
        arrays_of(object(), Sizes(8, 1))


def test_a_position_is_a_number_wherever_a_model_needs_one():
    where, table = Position(mx.array(3)), mx.arange(10)
    with positions_are_arrays(12):
        assert mx.arange(where, where + 2).tolist() == [3, 4]
        assert mx.arange(where + 1).tolist() == list(range(12))
        assert np.array(mx.array(np.arange(where, where + 2))).tolist() == [3, 4]
        assert table[where : where + 3].tolist() == [3, 4, 5]
        assert table[None][:, where : where + 3].tolist() == [[3, 4, 5]]
        assert mx.arange(4).tolist() == [0, 1, 2, 3] and table[2:4].tolist() == [2, 3]
    assert (where - 1).tolist() == 2 and bool(Position(mx.array(0)))
    with pytest.raises(ValueError, match="not known"):
        list(range(where))
