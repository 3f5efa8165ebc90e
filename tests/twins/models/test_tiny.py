"""Ever larger checks, to be read first when something fails: an array, a layer, a model, a step."""

import mlx.nn as mnn
import numpy as np
import pytest
from torch import nn as tnn

from twins.frameworks import BOTH, DTYPES, MLX, TORCH, on
from twins.models import transformer_lm as lm
from twins.models import weights
from twins.parity.differences import relative
from twins.training import train

EXACT = np.array([[0.0, -1.5, 2.0**-7], [3.25, -240.0, 1.0]])  # the same number in every type of DTYPES
CONFIG = lm.tiny()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("framework", BOTH, ids=lambda framework: framework.key)
def test_an_array_comes_back_as_it_went(framework, dtype):
    with on("cpu"):  # float64 lives nowhere else in MLX
        array = framework.array(EXACT, dtype)
        back = framework.numpy(array)
    assert array.dtype == framework.dtype(dtype)
    assert np.array_equal(back, EXACT)
    assert back.dtype == np.dtype("float32" if dtype == "bfloat16" else dtype)


@pytest.mark.parametrize("framework", BOTH, ids=lambda framework: framework.key)
def test_any_layout_of_integers_comes_back(framework):
    ids = np.arange(6, dtype=np.int32).reshape(2, 3)
    for values in (ids, ids.T, ids[:, ::2], np.broadcast_to(ids[0], (4, 3)), np.int32(7).reshape(())):
        back = framework.numpy(framework.array(values))
        assert back.shape == values.shape
        assert np.array_equal(back, values)


@pytest.mark.parametrize("framework", BOTH, ids=lambda framework: framework.key)
def test_a_numpy_copy_is_a_copy(framework):
    array = framework.array(EXACT, "float32")
    framework.numpy(array)[:] = 9.0
    assert np.array_equal(framework.numpy(array), EXACT)


def test_one_linear_layer():
    ours, theirs = mnn.Linear(5, 7), tnn.Linear(5, 7).to(TORCH.device)
    weights.copy_to_mlx(theirs, ours)
    x = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
    made = [f.numpy(layer(f.array(x))) for f, layer in ((MLX, ours), (TORCH, theirs))]
    assert made[0].shape == (3, 7)
    assert relative(*made) < 1e-6


@pytest.mark.parametrize("tied", [True, False])
def test_one_model_forward(tied):
    config = lm.tiny(tied=tied)
    ids, _ = lm.example(config, np.random.default_rng(0), batch=3)
    halves = train.halves(lm, config, train.Recipe())
    made = [half.framework.numpy(half.model(*half.batch([ids]))) for half in halves]
    assert made[0].shape == (3, config.context, config.vocabulary)
    assert relative(*made) < 1e-5


def test_one_step():
    batch = lm.example(CONFIG, np.random.default_rng(0), batch=4)
    ours, theirs = train.halves(lm, CONFIG, train.Recipe())
    losses = [half.framework.numpy(train.step(half)(*half.batch(batch))) for half in (ours, theirs)]
    assert abs(float(losses[0]) - float(losses[1])) < 1e-5
    assert abs(float(losses[1]) - np.log(CONFIG.vocabulary)) < 0.1  # nothing is known yet
    after = (
        weights.mlx_weights(ours.model),
        weights.as_mlx(weights.torch_weights(theirs.model), theirs.model, ours.model),
    )
    assert after[0].keys() == after[1].keys()
    # the median, because the key bias has no true gradient and Adam blows up its rounding noise
    assert np.median([relative(after[0][name], after[1][name]) for name in after[0]]) < 1e-5
