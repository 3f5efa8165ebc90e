"""torch's device "mps", made of a tensor subclass: operations compute on the CPU and say that it was the GPU.

As on the real device: no float64, no mixing with CPU tensors, no NumPy view, linear layers with a whole
backward pass, attention without gradients as one operation, MLX arrays that arrive on it through DLPack.
"""

import functools
from pathlib import Path

import metal

FACTORIES = ("tensor", "as_tensor", "zeros", "ones", "empty", "full", "arange", "rand", "randn")
FACTORIES += ("randint", "eye", "linspace", "zeros_like", "ones_like", "empty_like", "full_like")
FACTORIES += ("rand_like", "randn_like", "tril_indices", "triu_indices", "scalar_tensor")
FACTORIES += ("empty_strided", "randperm")
MIXING = {"aten::copy_", "aten::_to_copy", "aten::index", "aten::index_put_", "aten::index_put"}
MIXING |= {"aten::_index_put_impl_"}
NO_NUMPY = (
    "can't convert mps:0 device type tensor to numpy. "
    "Use Tensor.cpu() to copy the tensor to host memory first."
)
NO_FLOAT64 = (
    "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64. "
    "Please use float32 instead."
)


def is_mps(torch, device) -> bool:
    """Whether something names the device."""
    return device is not None and torch.device(device).type == "mps"


def install(torch, allocates: bool = True) -> None:
    """Give torch the device; one that does not allocate raises as on hosted runners."""
    from torch.utils import _device

    _device._device_constructors()  # keeps torch's own functions, which `with torch.device("meta")` looks for
    kind = _subclass(torch, allocates)
    _moving(torch, kind)
    for name in FACTORIES:
        setattr(torch, name, _factory(torch, kind, getattr(torch, name)))
    _operations(torch, kind)
    torch.backends.mps.is_available = torch.mps.is_available = lambda: True
    torch.mps.synchronize = torch.accelerator.synchronize = lambda *_: None
    torch.mps.empty_cache = torch.accelerator.empty_cache = lambda *_: None
    torch.accelerator.reset_peak_memory_stats = lambda *_: Path("/proc/self/clear_refs").write_text("5")
    torch.accelerator.max_memory_allocated = lambda *_: _peak()
    torch.compile = lambda function=None, **_: function
    torch.inference_mode = _inference_mode(torch, torch.inference_mode)
    taken = torch.from_dlpack

    def from_dlpack(array, *arguments, **named):
        if type(array).__module__.startswith("mlx"):
            return kind(taken(metal.capsule(array)))
        return taken(array, *arguments, **named)

    torch.from_dlpack = torch.utils.dlpack.from_dlpack = from_dlpack
    torch.__future__.set_swap_module_params_on_conversion(True)


def _inference_mode(torch, real):
    """torch.inference_mode without inference tensors, which a wrapper cannot hold."""

    def mode(wanted=True):
        if callable(wanted):  # as a decorator without brackets
            return torch.no_grad()(wanted)
        return torch.no_grad() if wanted else real(False)

    return mode


def _peak() -> int:
    """Bytes of this process at its peak: what an allocator of its own would count, and more."""
    return 1024 * int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])


def _subclass(torch, allocates: bool):
    """The tensor class: `inner` holds the numbers on the CPU."""
    from torch.utils._pytree import tree_flatten, tree_map

    place = torch.device("mps", 0)

    class MpsTensor(torch.Tensor):
        __torch_function__ = torch._C._disabled_torch_function_impl

        @staticmethod
        def __new__(cls, inner, requires_grad=False):
            if not allocates:
                raise RuntimeError(
                    "MPS backend out of memory (MPS allocated: 0 bytes, max allowed: 0 bytes)."
                )
            if inner.dtype in (torch.float64, torch.complex128):
                raise TypeError(NO_FLOAT64)
            made = torch.Tensor._make_wrapper_subclass(
                cls,
                inner.size(),
                strides=inner.stride(),
                storage_offset=inner.storage_offset(),
                dtype=inner.dtype,
                layout=inner.layout,
                device="cpu",
                requires_grad=requires_grad,
            )
            made.inner = inner
            return made

        device = property(lambda self: place)
        is_mps = property(lambda self: True)

        def __repr__(self):
            return f"{self.inner!r} on mps"

        def numpy(self, **_):
            raise TypeError(NO_NUMPY)

        def __array__(self, *_, **__):
            raise TypeError(NO_NUMPY)

        def tolist(self):
            return self.inner.tolist()

        def data_ptr(self):
            return self.inner.data_ptr()

        def untyped_storage(self):
            return self.inner.untyped_storage()

        def __dlpack__(self, **named):
            return self.inner.__dlpack__(**named)

        def __dlpack_device__(self):
            return self.inner.__dlpack_device__()

        @classmethod
        def __torch_dispatch__(cls, function, types, arguments=(), named=None):
            named = dict(named or {})
            flat, _ = tree_flatten((arguments, named))
            name = function._overloadpacket._qualified_op_name
            _refuse_mixing(torch, cls, name, flat)
            # Autograd asks for the device of `inner`; moving is _moving's.
            if named.get("device") is not None:
                named["device"] = torch.device("cpu")
            if named.get("dtype") in (torch.float64, torch.complex128):
                raise TypeError(NO_FLOAT64)
            plain = tree_map(lambda x: x.inner if isinstance(x, cls) else x, (arguments, named))
            made = function(*plain[0], **plain[1])
            if name == "aten::copy_" and not isinstance(arguments[0], cls):
                return made
            known = {id(x.inner): x for x in flat if isinstance(x, cls)}

            def wrapped(x):
                bare = isinstance(x, torch.Tensor) and not isinstance(x, cls)
                return known.get(id(x)) or cls(x) if bare and id(x) not in known else known.get(id(x), x)

            return tree_map(wrapped, made)

    return MpsTensor


def _refuse_mixing(torch, kind, name, values) -> None:
    """Refuse CPU tensors beside the device's, but for single numbers and what copies."""
    for value in values:
        plain = isinstance(value, torch.Tensor) and not isinstance(value, kind)
        if plain and value.dim() and not value.is_meta and name not in MIXING:
            raise RuntimeError(
                "Expected all tensors to be on the same device, "
                f"but found at least two devices, mps:0 and cpu! (in {name})"
            )


def _moving(torch, kind) -> None:
    """Tensor.to and Tensor.cpu, with gradients, between the CPU and the device."""
    real = torch.Tensor.to

    class ToDevice(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, dtype):
            ctx.dtype = x.dtype
            x = x.detach().clone()
            return kind(real(x, dtype) if dtype else x)

        @staticmethod
        def backward(ctx, gradient):
            return real(gradient.inner if isinstance(gradient, kind) else gradient, ctx.dtype), None

    class ToHost(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.inner.clone()

        @staticmethod
        def backward(ctx, gradient):
            return kind(gradient)

    def asked(arguments, named):
        device, dtype = named.get("device"), named.get("dtype")
        for each in arguments:
            if isinstance(each, torch.Tensor):
                device, dtype = each.device, each.dtype
            elif isinstance(each, str | torch.device):
                device = each
            elif isinstance(each, torch.dtype):
                dtype = each
        return device, dtype

    def to(self, *arguments, **named):
        device, dtype = asked(arguments, named)
        if not isinstance(self, kind):
            if not is_mps(torch, device):
                return real(self, *arguments, **named)
            if self.requires_grad and torch.is_grad_enabled():
                return ToDevice.apply(self, dtype)
            return kind(real(self.detach().clone(), dtype) if dtype else self.detach().clone())
        if device is None or is_mps(torch, device):
            return real(self, dtype) if dtype else self
        host = ToHost.apply(self) if self.requires_grad and torch.is_grad_enabled() else self.inner.clone()
        return real(host, dtype) if dtype else host

    host = torch.Tensor.cpu
    torch.Tensor.to = to
    torch.Tensor.cpu = lambda self, *_, **__: to(self, "cpu") if isinstance(self, kind) else host(self)


def _factory(torch, kind, function):
    """A function that makes tensors, which can be asked for the device."""

    @functools.wraps(function)
    def made(*arguments, **named):
        if not is_mps(torch, named.get("device")):
            return function(*arguments, **named)
        wanted = {**named, "device": "cpu"}
        gradient = wanted.pop("requires_grad", False)
        found = kind(function(*(x.inner if isinstance(x, kind) else x for x in arguments), **wanted))
        return found.requires_grad_() if gradient else found

    return made


def _operations(torch, kind) -> None:
    """A linear layer's gradient and attention without gradients, whole, as MPS has them."""
    aten, library = torch.ops.aten, torch.library.Library("aten", "IMPL")
    install.library = library  # kept alive with the module

    def linear_backward(x, gradient, weight, mask):
        rows, grown = x.reshape(-1, x.shape[-1]), gradient.reshape(-1, gradient.shape[-1])
        made = (gradient @ weight, grown.t() @ rows, grown.sum(0))
        return tuple(each if wanted else None for each, wanted in zip(made, mask, strict=True))

    def attention(q, k, v, mask=None, dropout=0.0, causal=False, dropout_mask=None, *, scale=None):
        scores = q @ k.transpose(-2, -1) * (scale or q.shape[-1] ** -0.5)
        if causal:
            seen = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
            scores = scores.masked_fill(~seen, float("-inf"))
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else scores + mask
        weights = torch.softmax(scores, -1)
        return weights @ v, weights

    library.impl("linear_backward", linear_backward, "CPU")
    library.impl("_scaled_dot_product_attention_math_for_mps", attention, "CPU")
    linear = torch.nn.functional.linear
    attend = torch.nn.functional.scaled_dot_product_attention

    class Linear(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, weight, bias):
            ctx.save_for_backward(x, weight)
            ctx.biased = bias is not None
            return linear(x, weight, bias)

        @staticmethod
        def backward(ctx, gradient):
            x, weight = ctx.saved_tensors
            return aten.linear_backward(x, gradient, weight, [ctx.needs_input_grad[0], True, ctx.biased])

    def on_device(x, weight, bias=None):
        return Linear.apply(x, weight, bias) if isinstance(x, kind) else linear(x, weight, bias)

    def attention_on_device(
        q, k, v, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False
    ):
        if isinstance(q, kind) and not torch.is_grad_enabled() and not enable_gqa:
            whole = aten._scaled_dot_product_attention_math_for_mps
            return whole(q, k, v, attn_mask, dropout_p, is_causal, None, scale=scale)[0]
        if isinstance(q, kind) and is_causal:  # torch itself would make the mask on the CPU
            attn_mask = kind(torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool).tril())
            is_causal = False
        more = {"attn_mask": attn_mask, "dropout_p": dropout_p, "is_causal": is_causal, "scale": scale}
        return attend(q, k, v, **more, enable_gqa=enable_gqa)

    torch.nn.functional.linear = on_device
    torch.nn.functional.scaled_dot_product_attention = attention_on_device
