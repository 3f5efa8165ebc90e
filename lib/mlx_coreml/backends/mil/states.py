"""States: inputs that an output replaces at the next call, as the cache of a decoder, become Core ML state.

https://apple.github.io/coremltools/docs-guides/source/stateful-models.html
"""

from collections.abc import Callable, Mapping, Sequence

import coremltools as ct
import mlx.core as mx

from mlx_coreml.ir.errors import ConversionError, dictionary
from mlx_coreml.ir.graph import Graph, Tensor


def pair(
    graph: Graph, states: Mapping[str, int | str], target: ct.target, outputs: Sequence[str] | None = None
) -> dict[int, int]:
    """Which output, by index, replaces which input, for `states` and `outputs` as `convert` takes them.

    A nested input is replaced by a nested output, place by place. Errors: ConversionError for an input or
    output that does not exist, a difference in shape or type, numbers that are not floating-point ones, a
    target before iOS 18.
    """
    if states and target < ct.target.iOS18:
        raise ConversionError(f"states need deployment_target iOS18 or later, given is {target.name}")
    pairs: dict[int, int] = {}
    for name, output in dictionary(states, "states").items():
        taken = _places(graph.input_keys, [t.name for t in graph.inputs], name)
        made = _places(graph.output_keys, outputs or graph.output_names, output)
        _check_known(graph, name, taken, output, made)
        if set(taken) != set(made):
            raise ConversionError(
                f"state '{name}' has {len(taken)} arrays and output {output!r} that replaces it "
                f"{len(made)}; they must have the same structure"
            )
        pairs |= {taken[place]: made[place] for place in taken}
    for i, o in pairs.items():
        _check_alike(graph.inputs[i], graph.outputs[o], graph.output_names[o])
    if len({graph.outputs[o] for o in pairs.values()}) < len(pairs):
        raise ConversionError("one output replaces two states; Core ML needs an output for each")
    if pairs and len(pairs) == len(graph.outputs):
        raise ConversionError("every output replaces a state; Core ML needs at least one other output")
    return pairs


def _places(keys: Sequence[str], names: Sequence[str], wanted: int | str) -> dict[str, int]:
    """Index by place inside the argument or result that is meant; a flat name means that array alone."""
    if wanted in names and wanted not in keys:
        return {"": names.index(wanted)}
    found = {}
    for i, key in enumerate(keys):
        head, _, rest = key.partition(".")
        if (head or "0") == str(wanted):
            found[rest] = i
    return found


def _check_known(graph: Graph, name: str, taken: dict, output: int | str, made: dict) -> None:
    if not taken:
        known = dict.fromkeys(key.partition(".")[0] for key in graph.input_keys)
        raise ConversionError(f"states names input '{name}'; the inputs are {', '.join(known)}")
    if not made:
        known = dict.fromkeys(key.partition(".")[0] or "0" for key in graph.output_keys)
        raise ConversionError(f"states['{name}'] is output {output!r}; the outputs are {', '.join(known)}")


def _check_alike(taken: Tensor, made: Tensor, made_name: str) -> None:
    if (taken.shape, taken.dtype) != (made.shape, made.dtype):
        raise ConversionError(
            f"state '{taken.name}' is {taken.dtype}{list(taken.shape)} and output '{made_name}' that "
            f"replaces it {made.dtype}{list(made.shape)}; they must have the same shape and type"
        )
    if not taken.is_float:
        raise ConversionError(
            f"state '{taken.name}' is {taken.dtype}; Core ML keeps floating-point numbers (fp16) in states: "
            "pass it as an input"
        )


class Stateful:
    """A flat function that keeps the inputs of `pairs` itself, zeros at first, as a Core ML state does.

    It is called with the other inputs and returns the other outputs; a deep copy starts with zeros again.
    """

    def __init__(self, flat: Callable, inputs: Sequence[Tensor], pairs: Mapping[int, int]):
        self.flat, self.inputs, self.pairs = flat, inputs, pairs
        self.kept = {i: mx.zeros(inputs[i].shape, getattr(mx, inputs[i].dtype)) for i in pairs}

    def __call__(self, *arrays: mx.array) -> list[mx.array]:
        given = iter(arrays)
        made = self.flat(*[self.kept[i] if i in self.kept else next(given) for i in range(len(self.inputs))])
        self.kept = {i: made[o] for i, o in self.pairs.items()}
        mx.eval(self.kept)
        return [array for o, array in enumerate(made) if o not in self.pairs.values()]

    def __deepcopy__(self, memo: dict) -> "Stateful":
        return Stateful(self.flat, self.inputs, self.pairs)
