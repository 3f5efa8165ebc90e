"""Where two forward passes first part: the call, which of its values, and what was made before it."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from twins.frameworks import TORCH
from twins.parity.checks import Batch, Halves
from twins.parity.diagnosis.calls import Call, Pair, Trace, pairs, value
from twins.parity.diagnosis.trials import Place
from twins.parity.differences import apart, arranged
from twins.training.train import Half

AGREE = 5e-6  # relative L2 between values that agree; correct twins reach 6e-7 (limits.py)


@dataclass(frozen=True)
class Departure:
    """The first value that departs: an output or an input of which call; `agreed` is the last that agrees."""

    pair: Pair
    given: int | None  # which input departs; None for the output
    agreed: str
    traces: tuple[Trace, Trace]
    make: Halves
    batch: Batch

    @property
    def values(self) -> tuple[np.ndarray, np.ndarray]:
        """The value in MLX and in PyTorch."""
        if self.given is None:
            return self.pair.mlx.output, self.pair.torch.output
        return self.pair.mlx.inputs[self.given], self.pair.torch.inputs[self.given]

    @property
    def size(self) -> float:
        """How far the two values are apart."""
        return apart(*self.values)

    def again(self, half: Half, batch: Batch) -> np.ndarray:
        """The value of one half in another pass, over another batch."""
        own, index = (
            (self.pair.torch, self.indices[1])
            if half.framework is TORCH
            else (self.pair.mlx, self.indices[0])
        )
        return value(half, batch, own.path, index, self.given)

    @property
    def indices(self) -> tuple[int, int]:
        """How manieth call of its path it is, in MLX and in PyTorch."""
        both = zip(self.traces, (self.pair.mlx, self.pair.torch), strict=True)
        own = [
            next(i for i, c in enumerate(c for c in trace.calls if c.path == call.path) if c is call)
            for trace, call in both
        ]
        return own[0], own[1]

    def place(self) -> Place:
        """The departure as a place of trials."""
        limit = min(AGREE, self.size / 2)
        agreed = self._agreed()
        return Place(self.make, self.batch, self.again, self.values, limit, agreed)

    def _agreed(self) -> tuple[frozenset, frozenset]:
        """The calls of each half, by path and how manieth, that agreed before this one."""
        found: tuple[set, set] = (set(), set())
        seen: tuple[Counter, Counter] = (Counter(), Counter())
        for pair in pairs(*self.traces):
            if pair.mlx is self.pair.mlx:
                break
            for side, call in enumerate((pair.mlx, pair.torch)):
                found[side].add((call.path, seen[side][call.path]))
                seen[side][call.path] += 1
        return frozenset(found[0]), frozenset(found[1])

    def before(self) -> tuple[tuple[Call, ...], tuple[Call, ...]]:
        """The calls of each half that had ended when the value was made."""
        found = []
        for trace, call in zip(self.traces, (self.pair.mlx, self.pair.torch), strict=True):
            place = next(i for i, each in enumerate(trace.calls) if each is call)
            found.append(trace.calls[: place if self.given is None else call.begun])
        return found[0], found[1]

    def known(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """By name, what each half had at hand when it made the value, every array once."""
        found = []
        for calls, own in zip(self.before(), (self.pair.mlx, self.pair.torch), strict=True):
            named: dict[str, np.ndarray] = {}
            for call in [*calls, *([own] if self.given is None else [])]:
                for each in call.inputs:
                    _put(named, f"the input of {call.told}", each)
                if call is not own:
                    _put(named, f"the output of {call.told}", call.output)
            found.append(named)
        return found[0], found[1]

    def __str__(self) -> str:
        mlx, torch_value = self.values
        fitting = arranged(torch_value, mlx.shape)
        if fitting:
            best = min(fitting, key=lambda each: apart(mlx, each))
            size = f"by {self.size:.2g} of its size{example(mlx, best)}"
        else:
            size = f"in shape, {mlx.shape} in MLX and {torch_value.shape} in PyTorch"
        if self.given is None:
            return f"the output of {self.pair.where} departs {size}, what it is given agrees"
        before = f"; before it, {self.agreed} agrees" if self.agreed else ""
        return f"what {self.pair.where} is given departs {size}{before}"


def example(mlx: np.ndarray, torch_value: np.ndarray) -> str:
    """Where two arrays of one shape are farthest apart, and the two numbers there."""
    if not mlx.ndim or not mlx.size:
        return ""
    with np.errstate(invalid="ignore"):
        gaps = np.nan_to_num(np.abs(mlx.astype(np.float64) - torch_value), nan=np.inf)
    at = np.unravel_index(int(gaps.argmax()), mlx.shape)
    where = ", ".join(str(int(i)) for i in at)
    return f" (shape {mlx.shape}; at [{where}] {mlx[at]:.6g} in MLX and {torch_value[at]:.6g} in PyTorch)"


def _put(named: dict[str, np.ndarray], name: str, value: np.ndarray) -> None:
    """Add an array unless one like it is there."""
    alike = (v for v in named.values() if v.shape == value.shape and np.array_equal(v, value))
    if next(alike, None) is None:
        named.setdefault(name, value)


def departure(make: Halves, batch: Batch, traces: tuple[Trace, Trace]) -> Departure | None:
    """The first departing value of two passes; None when every matched value agrees.

    Where the outputs of the whole models agree, only outputs of one shape are compared inside: modules of one
    name may be packed otherwise.
    """
    agreed = ""
    found = pairs(*traces)
    whole = _whole(found, traces)
    for pair in found:
        if _packed(pair) or (whole and not arranged(pair.torch.output, pair.mlx.output.shape)):
            continue
        inputs = () if whole else zip(pair.mlx.inputs, pair.torch.inputs, strict=False)
        for given, values in enumerate(inputs):
            if any(_mask(each) for each in values):
                continue  # frameworks differ in what a mask says
            if not _agree(pair, *values):
                return Departure(pair, given, agreed, traces, make, batch)
            agreed = f"the input of {pair.where}"
        if not _agree(pair, pair.mlx.output, pair.torch.output):
            return Departure(pair, None, agreed, traces, make, batch)
        agreed = f"the output of {pair.where}"
    return None


def _whole(found: list[Pair], traces: tuple[Trace, Trace]) -> bool:
    """Whether the outputs of the whole models and the losses agree."""
    last = [pair for pair in found if not pair.mlx.path and not pair.torch.path]
    losses = [trace.loss for trace in traces]
    if not last or losses[0] is None or losses[1] is None:
        return False
    outputs = all(apart(pair.mlx.output, pair.torch.output) <= AGREE for pair in last)
    return outputs and apart(losses[0], losses[1]) <= AGREE


def _packed(pair: Pair) -> bool:
    """Whether two modules of one name are no counterparts: a dropout, or weights packed otherwise."""
    if "Dropout" in pair.mlx.kind or "Dropout" in pair.torch.kind:
        return apart(pair.mlx.output, pair.torch.output) > AGREE and not arranged(
            pair.torch.output, pair.mlx.output.shape
        )
    one, two = pair.mlx.output.shape, pair.torch.output.shape
    given = [apart(*each) <= AGREE for each in zip(pair.mlx.inputs, pair.torch.inputs, strict=False)]
    return (
        bool(given)
        and all(given)
        and one[:-1] == two[:-1]
        and one[-1:] != two[-1:]
        and len(one) > 1
        and _linear(pair)
    )


def _linear(pair: Pair) -> bool:
    return pair.mlx.kind == pair.torch.kind == "Linear"


def _mask(value: np.ndarray) -> bool:
    """Whether an input is a mask: of booleans, or of two numbers one of which is zero or hides."""
    if value.dtype == bool:
        return True
    found = np.unique(value) if 1 < value.size < 1_000_000 else value[:0]
    return len(found) == 2 and (0 in found) and (1 in found or found.min() < -1e3)


def _agree(pair: Pair, mlx: np.ndarray, torch_value: np.ndarray) -> bool:
    """Whether two values agree; inside of the model also with axes of one entry left out, or time first."""
    if apart(mlx, torch_value) <= AGREE:
        return True
    if not pair.mlx.path or mlx.size != torch_value.size:
        return False
    tried = [(mlx.squeeze(), torch_value.squeeze())]
    if mlx.ndim == torch_value.ndim == 3:
        tried.append((mlx, np.swapaxes(torch_value, 0, 1)))
    return any(one.shape == two.shape and apart(one, two) <= AGREE for one, two in tried)
