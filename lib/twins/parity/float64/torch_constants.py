"""Float32 constants of PyTorch code as float64 for a while, by a mode that sees every call of PyTorch.

Tensors are made in float64 by default, casts to float32 are casts to float64, and float32 arguments are
widened, differentiably. What is drawn at random is drawn in float32 first, so that weights stay the same.
https://docs.pytorch.org/docs/2.13/torch.overrides.html
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.optim import optimizer as optimizers
from torch.overrides import TorchFunctionMode

WIDER = {torch.float32: torch.float64, torch.complex64: torch.complex128}
KINDS = {
    "plain": [
        "__get__",
        "__set__",
        "backward",
        "register_hook",
        "requires_grad_",
        "retain_grad",
        "__repr__",
        "_set_grad_enabled",
    ],
    "float": ["float"],
    "filled": ["uniform_", "normal_", "exponential_", "cauchy_", "log_normal_"],
    "drawn": ["rand", "randn", "rand_like", "randn_like", "normal"],
}


class Widened(TorchFunctionMode):
    """The mode; it rests while an optimizer steps, whose own counters are float32 for a reason."""

    resting = False

    def rest(self, *_: Any) -> None:
        """Leave the stack of modes until `resume`."""
        if not self.resting:
            self.resting = True
            self.__exit__(None, None, None)

    def resume(self, *_: Any) -> None:
        """Widen again."""
        if self.resting:
            self.__enter__()
            self.resting = False

    def resting_in(self, function: Callable) -> Callable:
        """The function without the mode: it asks for every gradient, and nothing needs widening."""

        def plain(*arguments: Any, **named: Any) -> Any:
            self.rest()
            try:
                return function(*arguments, **named)
            finally:
                self.resume()

        return plain

    def __torch_function__(
        self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ):
        kind = _kind(getattr(function, "__name__", ""))
        if kind == "plain":
            return function(*args, **kwargs or {})
        kwargs = kwargs or {}
        if kind == "float":
            return args[0].double(**kwargs)
        if kind == "filled" or (
            kind == "changing" and getattr(function, "__module__", "") == "torch.nn.init"
        ):
            return _filled(function, args, kwargs)
        if kind == "drawn":
            return _drawn(function, args, kwargs)
        kept = 1 if args and (kind == "changing" or "out" in kwargs) else 0
        return function(*args[:kept], *map(_wide, args[kept:]), **{k: _wide(v) for k, v in kwargs.items()})


@functools.cache
def _kind(name: str) -> str:
    """What is done with a call, by the function's name; "changing" is one that changes its first argument."""
    found = [kind for kind, names in KINDS.items() if name in names]
    if found:
        return found[0]
    inner = name.startswith("__i") or name == "__setitem__"
    return "changing" if inner or (name.endswith("_") and not name.endswith("__")) else "widened"


def _wide(value: Any) -> Any:
    """A float32 tensor or type as float64, a complex64 one as complex128, also in lists."""
    if isinstance(value, torch.Tensor):
        return value.to(WIDER[value.dtype]) if value.dtype in WIDER else value
    if isinstance(value, torch.dtype):
        return WIDER.get(value, value)
    if type(value) in (list, tuple):
        return type(value)(map(_wide, value))
    return value


def _drawn(function: Callable, args: tuple, kwargs: dict) -> torch.Tensor:
    """Random numbers of float32, as float64."""
    args, kwargs = tuple(map(_narrow, args)), {k: _narrow(v) for k, v in kwargs.items()}
    if function is not torch.normal and kwargs.get("dtype") is None:
        kwargs = kwargs | {"dtype": torch.float32}
    tracked = kwargs.pop("requires_grad", False)
    made = _wide(function(*args, **kwargs))
    return made.requires_grad_() if tracked else made


def _narrow(value: Any) -> Any:
    double = isinstance(value, torch.Tensor) and value.dtype == torch.float64
    return value.float() if double else value  # type: ignore[attr-defined]


def _filled(function: Callable, args: tuple, kwargs: dict) -> torch.Tensor:
    """A tensor filled in place with numbers of float32."""
    tensor = args[0] if args else kwargs["tensor"]
    if tensor.dtype != torch.float64:
        return function(*args, **kwargs)
    with torch.no_grad():
        narrow = tensor.detach().float()
        function(narrow, *args[1:], **{k: v for k, v in kwargs.items() if k != "tensor"})
        tensor.copy_(narrow)
    return tensor


@contextmanager
def widened() -> Iterator[None]:
    """Float32 constants of PyTorch code are float64 for a while; what a file compiles runs eagerly."""
    before, mode = torch.get_default_dtype(), Widened()
    own = [(torch.optim.Optimizer, "zero_grad"), (torch.nn.utils, "clip_grad_norm_")]
    found = [(owner, name, getattr(owner, name)) for owner, name in own]
    hooks = [
        optimizers.register_optimizer_step_pre_hook(mode.rest),
        optimizers.register_optimizer_step_post_hook(mode.resume),
    ]
    torch.set_default_dtype(torch.float64)
    for owner, name, function in found:
        setattr(owner, name, mode.resting_in(function))
    try:
        with torch.compiler.set_stance("force_eager"), mode:
            try:
                yield
            finally:
                mode.resume()  # a step that raised left it at rest
    finally:
        torch.set_default_dtype(before)
        for owner, name, function in found:
            setattr(owner, name, function)
        for hook in hooks:
            hook.remove()
