"""Calls a torch or MLX callable on NumPy arrays, and records every intermediate value that it computes.

A package is compared with these values, so they are computed on the CPU: a GPU may round differently.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import numpy as np

from coreml_runtime.verification.source_on_cpu import mlx, on_cpu
from coreml_runtime.verification.unchanged import ARITHMETIC

FRAMEWORKS = ("torch", "mlx")


def framework_of(source: Callable, inputs: Mapping[str, Any]) -> str:
    """The framework of a callable, from its type or its inputs' types; ValueError if neither shows it."""
    kinds = [kind.__module__ for value in (source, *inputs.values()) for kind in type(value).__mro__]
    for framework in FRAMEWORKS:
        if any(kind.split(".")[0] == framework for kind in kinds):
            return framework
    raise ValueError(
        f"the framework of {getattr(source, '__name__', source)} is not known from its type or its inputs; "
        f"state the framework, one of {', '.join(FRAMEWORKS)}"
    )


def call(source: Callable, inputs: Mapping[str, Any], framework: str | None) -> dict[str, np.ndarray]:
    """The outputs of `source`: those of a dictionary by its keys, others by their number in order."""
    result = _run(source, inputs, framework)
    if isinstance(result, Mapping) and not any(
        isinstance(value, (tuple, list, Mapping)) for value in result.values()
    ):
        return {str(name): _numpy(value) for name, value in result.items() if value is not None}
    return {str(i): _numpy(value) for i, value in enumerate(_leaves(result))}


def observe(
    source: Callable,
    inputs: Mapping[str, Any],
    framework: str | None,
    see: Callable[[np.ndarray, float], None],
) -> None:
    """Call `see` with every value that `source` computes and the spacing of its type, in order of
    creation.
    """
    recording = _torch_recording if framework == "torch" else _mlx_recording
    with recording(see):
        _run(source, inputs, framework)


def as_numpy(value: Any) -> Any:
    """An input as a package takes it: an image as it is, anything else as a NumPy array."""
    return value if hasattr(value, "getbands") else _numpy(value)


def _run(source: Callable, inputs: Mapping[str, Any], framework: str | None) -> Any:
    with on_cpu(source, framework):
        if framework == "torch":
            import torch

            given = [
                v.cpu() if isinstance(v, torch.Tensor) else torch.from_numpy(np.array(v))
                for v in inputs.values()
            ]
            with torch.no_grad():
                return source(*given)
        mx = mlx()

        made = source(*[v if isinstance(v, mx.array) else mx.array(np.asarray(v)) for v in inputs.values()])
        mx.eval(list(_leaves(made)))
        return made


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        for item in value:
            yield from _leaves(item)
    elif value is not None:
        yield value


def _numpy(value: Any) -> np.ndarray:
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        return (value.float() if value.dtype.itemsize == 2 and value.is_floating_point() else value).numpy()
    if type(value).__module__.startswith("mlx"):
        mx = mlx()

        value = value.astype(mx.float32) if value.dtype == mx.bfloat16 else value
    return np.array(value)


# The spacing of the types of two bytes next to one; others are as fine as this runtime or finer.
SPACING = {"float16": 2.0**-10, "bfloat16": 2.0**-7}
PENDING = 2**26  # bytes of MLX values that wait to be computed together


def _spacing(value: Any) -> float:
    return SPACING.get(str(value.dtype).rpartition(".")[2], 0.0)


@contextmanager
def _torch_recording(see: Callable[[np.ndarray, float], None]) -> Iterator[None]:
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = function(*args, **(kwargs or {}))
            for value in _leaves(result):  # seen at once, because a later operation may write into it
                if isinstance(value, torch.Tensor):
                    see(_numpy(value), _spacing(value))
            return result

    with Recorder():  # type: ignore[no-untyped-call]
        yield


@contextmanager
def _mlx_recording(see: Callable[[np.ndarray, float], None]) -> Iterator[None]:
    """Wraps MLX's functions and the methods of its arrays, because MLX has no dispatch hook."""
    mx = mlx()
    waiting: list = []
    inside = [0]  # functions of MLX that run

    def flush() -> None:
        inside[0] += 1
        for value in waiting:
            if (array := _evaluated(value)) is not None:
                see(array, _spacing(value))
        waiting.clear()
        inside[0] -= 1

    def recorded(function: Callable, writes: bool) -> Callable:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if inside[0]:
                return function(*args, **kwargs)
            if writes:
                flush()
            result = function(*args, **kwargs)
            made = args[0] if writes else result
            waiting.extend(value for value in _leaves(made) if isinstance(value, mx.array))
            if sum(value.nbytes for value in waiting) > PENDING:
                flush()
            return result

        return wrapper

    places = [(mx, _functions(mx)), (mx.fast, _functions(mx.fast)), (mx.array, _methods(mx.array))]
    wrapped = [(place, name, getattr(place, name)) for place, names in places for name in names]
    with ExitStack() as stack:
        mx.disable_compile()
        stack.callback(mx.enable_compile)
        for place, name, function in wrapped:
            new = recorded(function, writes=name == "__setitem__")
            stack.enter_context(mock.patch.object(place, name, new))
        yield
        flush()


def _evaluated(value: Any) -> np.ndarray | None:
    """The numbers of an MLX array; None inside a transformation such as vmap, where it has none."""
    try:
        return _numpy(value)
    except (RuntimeError, ValueError):
        return None


_NOT_VALUES = {"array", "eval", "async_eval", "compile", "disable_compile", "enable_compile", "synchronize"}


def _functions(module: Any) -> list[str]:
    kinds = {name: type(getattr(module, name)).__name__ for name in dir(module)}
    return [name for name, kind in kinds.items() if kind == "nb_func" and name not in _NOT_VALUES]


def _methods(kind: type) -> list[str]:
    operators = (*ARITHMETIC, "getitem", "setitem", "neg", "abs")
    names = [f"__{prefix}{name}__" for name in operators for prefix in ("", "r", "i")]
    plain = [name for name in dir(kind) if not name.startswith("_") and callable(getattr(kind, name))]
    return [name for name in names + [n for n in plain if n not in ("item", "tolist")] if name in dir(kind)]
