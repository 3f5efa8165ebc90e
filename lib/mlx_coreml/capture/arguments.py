"""Binds example arguments to a function: arrays become inputs, everything else is fixed.

None, numbers, texts, truth values and objects without arrays stay what they are at every call of the model.
"""

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import mlx.core as mx

from mlx_coreml.capture.captured_state import Held
from mlx_coreml.capture.random_draws import Draws
from mlx_coreml.capture.structures import Leaf, Spec, leaves, replaced
from mlx_coreml.ir.errors import CaptureError

import mlx.nn as mnn  # isort: skip

SHOWN = 60  # characters of a fixed argument
LISTED = 20  # fixed arguments that are listed


class Bound:
    """A function with its example: called with flat arrays, it calls the function as the user would.

    `keys` and `names` are the places of the arrays in the arguments ("cache.0.keys"), `arrays` the example's
    numbers, and `fixed` says what is not an array. Structures are made anew at each call, so a cache that
    is an argument begins each call as it was given.
    """

    def __init__(self, fn: Callable, args: Sequence[Any], named: Mapping[str, Any], random: bool = False):
        self.fn, self.args, self.named = fn, tuple(args), dict(named)
        self.__name__ = function_name(fn)
        self.draws = Draws(random)
        self.repeats = False  # whether the function was seen to do the same twice
        seen: set[int] = set()
        found = [leaf for name, value in _named(fn, args, named) for leaf in leaves(value, name, name, seen)]
        given = [leaf for leaf in found if leaf.is_array]
        self.keys, self.names = [leaf.key for leaf in given], [leaf.name for leaf in given]
        self.arrays = [self._array(leaf) for leaf in given]
        self.fixed = _told([leaf for leaf in found if not leaf.is_array])
        if not given:
            raise CaptureError(
                f"{self.__name__} has no array among its arguments ({self.fixed}); "
                "at least one mx.array, NumPy array or mlx_coreml.Spec is needed"
            )
        self.held = Held(fn, [(leaf.key, leaf.value) for leaf in found if not leaf.is_array])

    def __call__(self, *arrays: mx.array) -> Any:
        """What the function returns; arrays beyond the arguments' are its random numbers."""
        places, memo = iter(arrays), {}
        args, named = replaced((self.args, self.named), lambda _: next(places), memo)
        with self.draws.fed(list(places)):
            return self.fn(*args, **named)

    def note_draws(self) -> None:
        """Take what the function drew as inputs, after its arguments."""
        for i, array in enumerate(self.draws.examples):
            self.keys.append(f"random_{i}")
            self.names.append(f"random_{i}")
            self.arrays.append(array)

    def _array(self, leaf: Leaf) -> mx.array:
        """The example of one input. Errors: CaptureError."""
        where = f"input '{leaf.name}' of {self.__name__}"
        try:
            made = leaf.value.example() if isinstance(leaf.value, Spec) else leaf.value
            made = made if isinstance(made, mx.array) else mx.array(made)
        except (ValueError, TypeError, RuntimeError) as error:
            told = " ".join(str(error).split())
            raise CaptureError(f"{where} cannot become an array of MLX: {told}") from error
        if not made.size:
            raise CaptureError(f"{where} has shape {made.shape}; Core ML has no empty arrays")
        return made


def bind(fn: Callable, args: Sequence[Any], named: Mapping[str, Any] = {}, random: bool = False) -> Bound:
    """A function bound to its example; what is bound already stays. Errors: CaptureError."""
    if isinstance(fn, Bound):
        return fn
    if not callable(fn) or any(kind.__module__.startswith("torch.") for kind in type(fn).__mro__):
        raise CaptureError(
            f"the function to capture is {type(fn).__name__}; allowed are MLX modules and functions of arrays"
        )
    if isinstance(fn, type) and issubclass(fn, mnn.Module):
        raise CaptureError(
            f"{fn.__name__} is a class; pass an instance of it, {fn.__name__}{inspect.signature(fn)}"
        )
    if not args and not named:
        raise CaptureError(f"{function_name(fn)} has no example; pass one array per argument")
    _refuse_torch(fn, [*args, *named.values()])
    return Bound(fn, args, named, random)


def options_like(fn: Callable, named: Mapping[str, Any], options: Iterable[str]) -> None:
    """Errors: CaptureError for a name that `fn` does not take, with the option that it may mean."""
    parameters = _parameters(fn)
    taken = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    takes_any = not parameters or any(p.kind == p.VAR_KEYWORD for p in parameters)
    for name, value in named.items():
        close = difflib.get_close_matches(name, [*options, *taken], 1, 0.7)
        is_option = close and close[0] not in taken
        is_fixed = not any(leaf.is_array for leaf in leaves(value))
        if name not in taken and (not takes_any or (is_option and is_fixed)):
            hint = f"; did you mean {close[0]}=?" if close else ""
            known = f"{function_name(fn)} takes {', '.join(taken) or 'no argument by name'}"
            raise CaptureError(f"'{name}' is no option of convert, and {known}{hint}")


def function_name(fn: Callable) -> str:
    """The name of a function or module, for messages."""
    return str(getattr(fn, "__name__", type(fn).__name__))


def _parameters(fn: Callable) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):  # built-in functions have none
        return []


def _named(fn: Callable, args: Sequence[Any], named: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Every argument by the name of its parameter. Errors: CaptureError for arguments that do not fit."""
    parameters = _parameters(fn)
    if parameters:
        _check_fit(fn, args, named)
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [p.name for p in parameters if p.kind in places][: len(args)]
    names += [f"input_{i}" for i in range(len(names), len(args))]
    return [*zip(names, args, strict=True), *named.items()]


def _check_fit(fn: Callable, args: Sequence[Any], named: Mapping[str, Any]) -> None:
    signature = inspect.signature(fn)
    try:
        signature.bind(*args, **named)
    except TypeError as error:
        count = len(args) + len(named)
        raise CaptureError(
            f"{function_name(fn)}{signature} cannot be called with {count} "
            f"{'arrays' if not named else 'arguments'}: {error}"
        ) from error


def _refuse_torch(fn: Callable, values: Sequence[Any]) -> None:
    for value in values:
        for leaf in leaves(value):
            kind = type(leaf.value)
            if kind.__module__.partition(".")[0] == "torch" and hasattr(leaf.value, "numpy"):
                raise CaptureError(
                    f"an argument of {function_name(fn)} is {kind.__module__}.{kind.__name__}; "
                    "allowed are arrays of MLX and NumPy: pass its .numpy()"
                )


def _told(fixed: Sequence[Leaf]) -> str:
    """Fixed arguments as one line: k=2, mode='eval'."""
    shown = []
    for leaf in fixed[:LISTED]:
        text = " ".join(repr(leaf.value).split())
        is_long = len(text) > SHOWN or " at 0x" in text
        shown.append(f"{leaf.name}={type(leaf.value).__name__ if is_long else text}")
    more = [f"{len(fixed) - LISTED} more"] if len(fixed) > LISTED else []
    return ", ".join([*shown, *more])
