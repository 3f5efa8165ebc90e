"""Programs of several operations: control flow, lists, state, random numbers, sparse constants, hooks."""

import coremltools as ct
import numpy as np
import pytest
from cases import floats
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types
from packages import OPSETS, save

from coreml_runtime import load


def built(tmp_path, build, shapes, opset=17, dtypes=None, **options):
    """A saved program of `build`, whose inputs have the given shapes, loaded."""
    specs = [mb.TensorSpec(shape=s, dtype=(dtypes or {}).get(i, types.fp32)) for i, s in enumerate(shapes)]
    program = mb.program(input_specs=specs, opset_version=OPSETS[opset])(build)
    return load(save(program, opset, tmp_path / "program.mlpackage", **options))


def predicted(model, *arrays):
    """The only output of a model on inputs in order."""
    (value,) = model.predict(dict(zip(model.inputs, arrays, strict=True))).values()
    return value


@pytest.mark.parametrize("flag", [0.0, 1.0])
def test_cond_runs_one_branch(tmp_path, flag):
    def program(flag, x):
        pred = mb.squeeze(x=mb.cast(x=flag, dtype="bool"))
        return mb.cond(pred=pred, _true_fn=lambda: mb.add(x=x, y=1.0), _false_fn=lambda: mb.mul(x=x, y=3.0))

    x = floats(2, 3)
    found = predicted(built(tmp_path, program, [(1,), (2, 3)]), np.array([flag], np.float32), x)
    np.testing.assert_allclose(found, x + 1 if flag else x * 3, rtol=1e-6)


def test_while_loop_reads_outer_values(tmp_path):
    def program(x):
        def body(i, y):
            return mb.add(x=i, y=1), mb.mul(x=y, y=mb.add(x=x, y=1.0))

        loop = mb.while_loop(_cond=lambda i, y: mb.less(x=i, y=5), _body=body, loop_vars=(0, x))
        return loop[1]

    x = floats(2, 3)
    np.testing.assert_allclose(predicted(built(tmp_path, program, [(2, 3)]), x), x * (x + 1) ** 5, rtol=1e-5)


def test_nested_loops(tmp_path):
    def program(x):
        def inner(j, y):
            return mb.add(x=j, y=1), mb.add(x=y, y=x)

        def outer(i, y):
            loop = mb.while_loop(_cond=lambda j, z: mb.less(x=j, y=3), _body=inner, loop_vars=(0, y))
            return mb.add(x=i, y=1), loop[1]

        return mb.while_loop(_cond=lambda i, y: mb.less(x=i, y=4), _body=outer, loop_vars=(0, x))[1]

    x = floats(2, 3)
    np.testing.assert_allclose(predicted(built(tmp_path, program, [(2, 3)]), x), 13 * x, rtol=1e-5)


def test_lists_grow_and_gather(tmp_path):
    def program(x):
        ls = mb.make_list(init_length=1, dynamic_length=True, elem_shape=(2, 3))
        ls = mb.list_write(ls=ls, index=3, value=mb.mul(x=x, y=2.0))
        ls = mb.list_scatter(ls=ls, indices=[1, 2], value=mb.stack(values=(x, mb.add(x=x, y=1.0)), axis=0))
        length = mb.cast(x=mb.list_length(ls=ls), dtype="fp32")
        gathered = mb.list_gather(ls=ls, indices=[0, 1, 2, 3])
        return mb.add(x=mb.mul(x=gathered, y=length), y=mb.list_read(ls=ls, index=3))

    x = floats(2, 3)
    wanted = 4 * np.stack([np.zeros_like(x), x, x + 1, 2 * x]) + 2 * x
    np.testing.assert_allclose(predicted(built(tmp_path, program, [(2, 3)]), x), wanted, rtol=1e-5)


def test_state_is_carried_and_independent(tmp_path):
    @mb.program(
        input_specs=[
            mb.TensorSpec(shape=(2, 3), dtype=types.fp16),
            mb.StateTensorSpec((2, 3), dtype=types.fp16),
        ],
        opset_version=OPSETS[18],
    )
    def program(x, memory):
        total = mb.add(x=mb.read_state(input=memory), y=x)
        return mb.coreml_update_state(state=memory, value=total)

    model = load(save(program, 18, tmp_path / "state.mlpackage", passes=ct.PassPipeline.DEFAULT))
    (name,) = model.states
    first, second, x = model.make_state(), model.make_state(), np.ones((2, 3), np.float16)
    for i in range(3):
        (found,) = model.predict({"x": x}, first).values()
        assert (found == i + 1).all()
    assert (first.read_state(name) == 3).all() and (second.read_state(name) == 0).all()
    second.write_state(name, np.full((2, 3), 10.0))
    assert (model.predict({"x": x}, second).popitem()[1] == 11).all()
    with pytest.raises(ValueError, match=r"keeps state .*make_state"):
        model.predict({"x": x})
    with pytest.raises(ValueError, match=r"shape \(2, 3\), got \(3,\)"):
        second.write_state(name, np.zeros(3))
    with pytest.raises(KeyError, match="no state 'other'"):
        second.read_state("other")


RANDOM = {
    "random_normal": ({"shape": [4000], "mean": 2.0, "stddev": 3.0}, 2.0, 3.0),
    "random_uniform": ({"shape": [4000], "low": -1.0, "high": 5.0}, 2.0, 6 / 12**0.5),
    "random_bernoulli": ({"shape": [4000], "prob": 0.3}, 0.3, 0.21**0.5),
}


@pytest.mark.parametrize("name", RANDOM)
def test_random_has_the_declared_moments_and_seed(tmp_path, name):
    arguments, mean, deviation = RANDOM[name]
    model = built(tmp_path, lambda x: mb.add(x=x, y=getattr(mb, name)(**arguments, seed=7)), [(1,)])
    zero = np.zeros(1, np.float32)
    found = predicted(model, zero)
    np.testing.assert_allclose([found.mean(), found.std()], [mean, deviation], atol=0.2)
    np.testing.assert_array_equal(found, predicted(model, zero))


@pytest.mark.parametrize("mode", ["probs", "logits"])
def test_random_categorical_draws_by_weight(tmp_path, mode):
    weights = np.array([[0.7, 0.2, 0.1]], np.float32)
    model = built(tmp_path, lambda x: mb.random_categorical(x=x, mode=mode, size=5000, seed=3), [(1, 3)])
    found = predicted(model, weights if mode == "probs" else np.log(weights))
    assert found.shape == (1, 5000)
    np.testing.assert_allclose(np.bincount(found[0].astype(int), minlength=3) / 5000, weights[0], atol=0.03)


def test_unseeded_random_differs(tmp_path):
    model = built(tmp_path, lambda x: mb.add(x=x, y=mb.random_normal(shape=[50])), [(1,)])
    zero = np.zeros(1, np.float32)
    assert not np.array_equal(predicted(model, zero), predicted(model, zero))


UINT1 = types.nptype_from_builtin(types.uint1)
MASK = np.random.default_rng(0).integers(0, 2, (4, 6))


def test_sparse_lookup_tables(tmp_path):
    uint2 = types.nptype_from_builtin(types.uint2)
    indices = np.random.default_rng(1).integers(0, 4, MASK.sum())
    lut = floats(1, 1, 4, 1)

    def program(x):
        mask, values = mb.constexpr_lut_to_sparse(
            indices_mask=MASK.astype(UINT1), indices_nonzero_data=indices.astype(uint2), lut=lut
        )
        return mb.mul(x=x, y=mb.constexpr_sparse_to_dense(nonzero_data=values, mask=mask))

    wanted = np.zeros((4, 6), np.float32)
    wanted[MASK == 1] = lut[0, 0, indices, 0]
    found = predicted(built(tmp_path, program, [(1,)], opset=18), np.ones(1, np.float32))
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_sparse_quantized_blocks(tmp_path):
    data = np.random.default_rng(1).integers(-128, 128, MASK.sum()).astype(np.int8)
    scale, offset = floats(4, 2, low=0.1), np.arange(8, dtype=np.int8).reshape(4, 2)

    def program(x):
        mask, values = mb.constexpr_sparse_blockwise_shift_scale(
            data_mask=MASK.astype(UINT1), nonzero_data=data, scale=scale, offset=offset
        )
        return mb.mul(x=x, y=mb.constexpr_sparse_to_dense(nonzero_data=values, mask=mask))

    dense = np.zeros((4, 6), np.float32)
    dense[MASK == 1] = data
    wanted = np.where(MASK, scale.repeat(3, 1) * (dense - offset.repeat(3, 1)), 0)
    found = predicted(built(tmp_path, program, [(1,)], opset=18), np.ones(1, np.float32))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def fp16_program(x):
    y = mb.square(x=x, name="squared")
    return mb.sqrt(x=y, name="root")


def test_strict_rounds_where_exact_keeps(tmp_path):
    options = {"precision": ct.precision.FLOAT16, "passes": ct.PassPipeline.DEFAULT}
    built(tmp_path, fp16_program, [(3,)], **options)
    x = np.array([1.0009765625, 3.0, 1000.0], np.float32)  # all exact in fp16
    strict = load(tmp_path / "program.mlpackage", precision="strict").predict({"x": x})["root"]
    exact = load(tmp_path / "program.mlpackage", precision="exact").predict({"x": x})["root"]
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(strict, np.sqrt(np.square(x.astype(np.float16))).astype(np.float32))
    np.testing.assert_array_equal(exact, x)


def test_intermediates_and_hook_see_every_value(tmp_path):
    model = built(tmp_path, fp16_program, [(3,)])
    x, seen = floats(3), []
    values = model.predict(
        {"x": x}, intermediates=True, hook=lambda op, name, value: seen.append((op.type, name))
    )
    np.testing.assert_allclose(values["squared"], x * x, rtol=1e-6)
    assert seen == [("square", "squared"), ("sqrt", "root")]
    assert list(values) == ["squared", "root"]


def test_hook_finds_the_first_nan(tmp_path):
    model = built(
        tmp_path, lambda x: mb.relu(x=mb.log(x=mb.sub(x=x, y=1.0, name="shifted"), name="logarithm")), [(3,)]
    )
    bad = []

    def hook(operation, name, value):
        if not value.isfinite().all():
            bad.append((operation.type, name))

    model.predict({"x": np.array([0.5, 2.0, 3.0], np.float32)}, hook=hook)
    assert bad[0] == ("log", "logarithm")


def test_a_failing_operation_is_named_with_shapes(tmp_path):
    model = built(tmp_path, lambda x: mb.gather(x=x, indices=[7], axis=0, name="picked"), [(3,)], opset=17)
    with pytest.raises(RuntimeError, match=r"gather 'picked' failed on .*x \(3,\)"):
        model.predict({"x": floats(3)})
