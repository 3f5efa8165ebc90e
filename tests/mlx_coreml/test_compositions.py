"""Random programs convert and agree with MLX: in half types, at flexible sizes, called as users call."""

import warnings

import numpy as np
import pytest
from programs import BATCH, USAGES, Program, draw

from coreml_runtime import load
from coreml_runtime.verification.divergence import rms_relative
from mlx_coreml import ConversionError, convert
from twins.frameworks import mx

MOST_REFUSED = 0.2  # of programs with flexible sizes, in one sentence
STATE_TOLERANCE = 3e-3  # Core ML keeps states in fp16


def faults(program: Program) -> tuple[list[str], list[str]]:
    """What is wrong with each composition that does not give what MLX computes, and what was refused.

    One composition alone is converted with its check, as users convert.
    """
    try:
        found = predicted(program)
    except (ConversionError, RuntimeError) as error:
        if len(program.compositions) == 1:
            text = (
                f"{program.usage}, {program.numbers}, {program.flexible}: {program.compositions[0]}: {error}"
            )
            is_refused = program.flexible and isinstance(error, ConversionError)
            return ([], [text]) if is_refused else ([text], [])
        middle = len(program.compositions) // 2
        halves = program.compositions[:middle], program.compositions[middle:]
        parts = [faults(program.part(half)) for half in halves]
        return parts[0][0] + parts[1][0], parts[0][1] + parts[1][1]
    return [text for inputs, ours in zip(program.unseen, found, strict=True)
            for text in mismatches(program, inputs, ours)], []  # fmt: skip


def mismatches(program: Program, inputs: list[mx.array], found: list[np.ndarray]) -> list[str]:
    """What is wrong with the outputs for some inputs."""
    told = []
    for composition, ours, made in zip(program.compositions, found, program.truth(*inputs), strict=True):
        theirs = np.atleast_1d(np.array(made, np.float32))
        error = rms_relative(ours, theirs) if ours.shape == theirs.shape else np.inf
        if not error <= program.numbers.tolerance:
            shapes = f"{ours.shape} for {theirs.shape}, inputs {', '.join(str(x.shape) for x in inputs)}"
            told.append(f"{program.usage}, {program.numbers}: {composition}: {error:.1e}, {shapes}")
    return told


def predicted(program: Program) -> list[list[np.ndarray]]:
    """What the package of a program makes of each of its inputs, on the reference runtime."""
    usage, count = USAGES[program.usage], len(program.compositions)
    args, named = usage.call(*program.example)
    options = {"flexible": program.flexible, "precision": program.numbers.precision, "check": count == 1}
    if usage.is_stateful:
        args = (*args, mx.zeros((1,)))
        options |= {"states": {"s": 1}, "deployment_target": "iOS18"}
    if program.flexible:  # sizes are the package's names of its inputs
        names = input_names(program, args, named)
        options["flexible"] = {names["ab".index(k)]: v for k, v in program.flexible.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whole numbers become int32
        model = convert(program.fn(), *args, **named, **options)
    package = load(model.package_path)
    state, carried, made = package.make_state() if usage.is_stateful else None, 0.0, []
    for inputs in program.unseen:
        wide = [np.array(x.astype(mx.float32)) for x in inputs]
        names = [name for name, feature in package.inputs.items() if feature.kind != "state"]
        fed = {n: x.astype(package.inputs[n].dtype) for n, x in zip(names, wide, strict=True)}
        outputs = list(package.predict(fed, state).values())
        made.append(outputs[:count])
        if usage.is_stateful:
            assert abs(float(outputs[count][0]) - carried) < STATE_TOLERANCE
            carried = 0.5 * carried + float(np.tanh(wide[0]).mean())
        assert len(outputs) == count + usage.is_stateful
    return made


def input_names(program: Program, args, named) -> list[str]:
    """How the package names a and b."""
    known = {"nested": ["batch_a", "batch_more_0"], "dataclass": ["pair_a", "pair_b"]}
    return known.get(program.usage, ["a", "b"])


@pytest.mark.parametrize("seed", [0, 1, 2, 4, 6])
def test_a_hundred_random_programs_agree(seed):
    wrong, refused = faults(draw(seed))
    assert wrong == []
    assert len(refused) <= MOST_REFUSED * BATCH, refused


@pytest.mark.oracle
@pytest.mark.parametrize("first", range(0, 100, 10))
def test_two_thousand_random_programs_agree(first):
    found = [faults(draw(seed)) for seed in range(first, first + 10)]
    assert [text for wrong, _ in found for text in wrong] == []
    refused = [text for _, each in found for text in each]
    assert len(refused) <= MOST_REFUSED * 10 * BATCH, refused


def test_programs_differ_and_come_from_their_seed():
    first, again, other = draw(0), draw(0), draw(5)
    texts = [list(map(str, each.compositions)) for each in (first, again, other)]
    assert texts[0] == texts[1] != texts[2]
    assert len(set(texts[0])) == BATCH and all(len(c.steps) == 5 for c in first.compositions)


def test_a_fault_is_seen():
    program = draw(0)
    ours = [np.atleast_1d(np.array(made)) for made in program.truth(*program.unseen[0])]
    assert mismatches(program, program.unseen[0], ours) == []
    assert len(mismatches(program, program.unseen[0], [y * 1.001 for y in ours])) == BATCH
    assert len(mismatches(program, program.unseen[0], [y * np.nan for y in ours])) == BATCH


def test_types_sizes_and_usages_all_occur():
    seeds = range(84)
    assert {seed % 7 for seed in seeds if seed % 3 == 1 and seed % 4 == 1} == set(range(len(USAGES)))
