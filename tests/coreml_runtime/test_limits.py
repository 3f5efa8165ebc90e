"""What Core ML refuses or computes otherwise is one table; each refusal of it is shown, with its source."""

import coremltools as ct
import numpy as np
import pytest
from cases import floats
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types
from packages import OPSETS, save

from coreml_runtime import load, verify
from coreml_runtime.__main__ import main
from coreml_runtime.execution.limits import CHECKS, HERE, LIMITS, Refused
from coreml_runtime.format.specification import Model_pb2

INT = types.int32


def saved(tmp_path, program, *specs, opset=17):
    built = mb.program(input_specs=list(specs), opset_version=OPSETS[opset])(program)
    return save(built, opset, tmp_path / "m.mlpackage")


def edited(path, change):
    """The package with its specification changed."""
    file = next(path.rglob("*.mlmodel"))
    specification = Model_pb2.Model()
    specification.ParseFromString(file.read_bytes())
    change(specification)
    file.write_bytes(specification.SerializeToString())
    return path


def padded(pads, mode):
    return lambda x: mb.pad(x=x, pad=pads, mode=mode, name="y")


REFUSED = {
    "integer linear": lambda folder: saved(
        folder,
        lambda x: mb.linear(x=x, weight=np.ones((4, 3), np.int32), name="y"),
        mb.TensorSpec(shape=(2, 3), dtype=INT),
    ),
    "pad": lambda folder: saved(
        folder, padded([1, 1, 0, 0, 1, 1], "reflect"), mb.TensorSpec(shape=(2, 4, 4, 4))
    ),
    "rank": lambda folder: edited(
        saved(folder, lambda x: mb.exp(x=x, name="y"), mb.TensorSpec(shape=(1, 1, 1, 2, 3))), _widen
    ),
    "no inputs": lambda folder: edited(
        saved(folder, lambda x: mb.fill(shape=[2, 3], value=1.0, name="y"), mb.TensorSpec(shape=(2,))), _close
    ),
    "mixed flexibility": lambda folder: _flexible(
        folder, ct.EnumeratedShapes([(1, 3), (2, 3)]), (ct.RangeDim(1, 9), 3)
    ),
    "many shapes": lambda folder: _flexible(
        folder, ct.EnumeratedShapes([(n, 3) for n in range(1, 130)]), (2, 3)
    ),
}


def _widen(specification):
    """Give the result of the first operation a sixth dimension, which coremltools would not write."""
    function = specification.mlProgram.functions["main"]
    result = function.block_specializations[function.opset].operations[-1].outputs[0].type.tensorType
    result.rank += 1
    result.dimensions.add().constant.size = 1


def _close(specification):
    """Take the only input away, which coremltools would not."""
    del specification.description.input[:]
    del specification.mlProgram.functions["main"].inputs[:]


def _flexible(folder, first, second):
    symbols = [(mb.TensorSpec(shape=(2, 3))) for _ in range(2)]
    built = mb.program(input_specs=symbols, opset_version=OPSETS[18])(lambda x, y: (mb.exp(x=x), mb.exp(x=y)))
    path = save(built, 18, folder / "m.mlpackage")
    return edited(path, lambda s: [_flex(s, i, kind) for i, kind in enumerate((first, second))])


def _flex(specification, place, kind):
    array = specification.description.input[place].type.multiArrayType
    if isinstance(kind, ct.EnumeratedShapes):
        for shape in kind.shapes:
            array.enumeratedShapes.shapes.add().shape.extend(shape.shape)
    elif any(isinstance(size, ct.RangeDim) for size in kind):
        for size in kind:
            bound = array.shapeRange.sizeRanges.add()
            bound.lowerBound = getattr(size, "lower_bound", size)
            bound.upperBound = getattr(size, "upper_bound", size)


@pytest.mark.parametrize("name", REFUSED)
def test_what_core_ml_refuses_is_refused_with_its_source(tmp_path, name):
    path = REFUSED[name](tmp_path)
    with pytest.raises(Refused) as error:
        load(path)
    assert LIMITS[name].source in str(error.value) and LIMITS[name].case in str(error.value)
    assert LIMITS[name].here == "refused"
    inputs = {"x": np.ones((2, 3), np.int32)}
    report = verify(lambda x: x, path, inputs, framework="torch")
    assert not report.passed and LIMITS[name].source in str(report)


def test_every_refusal_of_the_table_is_tested_here():
    refused = {name for name, limit in LIMITS.items() if limit.here == "refused"}
    assert refused == {*REFUSED, "mixed shapes", "state shape"}
    assert set(CHECKS) <= refused
    assert {limit.here for limit in LIMITS.values()} == set(HERE)
    assert all("https://" in limit.source or "rdar" in limit.source for limit in LIMITS.values())


def test_shapes_of_different_places_are_refused(tmp_path):
    shapes = [ct.EnumeratedShapes([(n, 3) for n in sizes]) for sizes in ((1, 2), (4, 8))]
    path = _flexible(tmp_path, *shapes)
    path = edited(path, _open)
    model = load(path)
    for n, m in ((1, 4), (2, 8)):
        found = list(model.predict({"x": np.zeros((n, 3)), "y": np.zeros((m, 3))}).values())
        assert [value.shape for value in found] == [(n, 3), (m, 3)]
    with pytest.raises(Refused, match=r"'x' \(1, 3\), 'y' \(8, 3\).*issues/2271"):
        model.predict({"x": np.zeros((1, 3)), "y": np.zeros((8, 3))})


def _open(specification):
    """Declare the first dimension of every value in the program unknown."""
    function = specification.mlProgram.functions["main"]
    results = [r for o in function.block_specializations[function.opset].operations for r in o.outputs]
    for value in (*function.inputs, *results):
        if value.type.tensorType.rank == 2:
            value.type.tensorType.dimensions[0].Clear()
            value.type.tensorType.dimensions[0].unknown.variadic = False


def test_a_state_of_a_flexible_shape_is_refused(tmp_path):
    @mb.program(
        input_specs=[mb.TensorSpec(shape=(2, 3)), mb.StateTensorSpec(shape=(2, 3), dtype=types.fp16)],
        opset_version=OPSETS[18],
    )
    def program(x, s):
        mb.coreml_update_state(state=s, value=mb.cast(x=x, dtype="fp16"))
        return mb.exp(x=x, name="y")

    def widen(specification):
        wrapped = specification.mlProgram.functions["main"].inputs[1].type.stateType.wrappedType.tensorType
        wrapped.dimensions[0].Clear()
        wrapped.dimensions[0].unknown.variadic = False

    path = edited(save(program, 18, tmp_path / "m.mlpackage"), widen)
    with pytest.raises(Refused, match="issues/2537"):
        load(path)


@pytest.mark.parametrize("mode", ["reflect", "replicate"])
@pytest.mark.parametrize("pads", [[1, 1, 1, 1], [1, 1], [0, 0, 0, 0, 1, 1, 2, 1]])
def test_pads_of_the_last_two_axes_run(tmp_path, mode, pads):
    path = saved(tmp_path, padded(pads, mode), mb.TensorSpec(shape=(2, 4, 4, 4)))
    x = floats(2, 4, 4, 4)
    full = [(0, 0)] * (4 - len(pads) // 2) + [tuple(pads[i : i + 2]) for i in range(0, len(pads), 2)]
    wanted = np.pad(x, full, mode="edge" if mode == "replicate" else mode)
    np.testing.assert_array_equal(load(path).predict({"x": x})["y"], wanted)


def test_limits_can_be_left_out(tmp_path):
    x = floats(2, 4, 4, 4)
    found = load(REFUSED["pad"](tmp_path), limits=False).predict({"x": x})["y"]
    np.testing.assert_array_equal(found, np.pad(x, [(0, 0), (1, 1), (0, 0), (1, 1)], mode="reflect"))


# coremltools#2844, with what the report shows of Core ML.
CEILED = {
    False: [[4, 7, 4.75], [25, 28, 15.25], [21.25, 22.75, 12]],
    True: [[4, 7, 9.5], [25, 28, 30.5], [42.5, 45.5, 48]],
}


@pytest.mark.parametrize("excluded", CEILED)
def test_avg_pool_counts_what_ceil_mode_adds_as_padding(tmp_path, excluded):
    path = saved(
        tmp_path,
        lambda x: mb.avg_pool(
            x=x,
            kernel_sizes=[2, 2],
            strides=[3, 3],
            pad_type="custom",
            pad=[0, 0, 0, 0],
            ceil_mode=True,
            exclude_padding_from_average=excluded,
            name="y",
        ),
        mb.TensorSpec(shape=(1, 1, 7, 7)),
    )
    x = np.arange(49, dtype=np.float32).reshape(1, 1, 7, 7)
    np.testing.assert_array_equal(load(path).predict({"x": x})["y"][0, 0], CEILED[excluded])


def test_the_command_shows_the_whole_table(capsys):
    assert main(["limits"]) == 0
    shown = capsys.readouterr().out
    for limit in LIMITS.values():
        assert all(text in shown for text in (limit.case, limit.core_ml, limit.source))
