"""MLX with Metal available: its GPU is the CPU's stream, and what it exports says that it is Metal's memory.

MLX exports every array as kDLMetal when Metal is available, whatever device computed it
(mlx/python/src/array.cpp); https://dmlc.github.io/dlpack/latest/c_api.html has the layout of a capsule.
"""

import ctypes

METAL = 8  # kDLMetal of DLDeviceType
CAPSULE = b"dltensor"  # the name of a capsule that nobody has taken yet
EXPORT = {}  # MLX's own function, for torch's pretended device


def install(mx) -> None:
    """Give MLX the device."""
    mx.gpu = mx.cpu
    mx.metal.is_available = lambda: True
    EXPORT["capsule"] = mx.array.__dlpack__
    mx.array.__dlpack_device__ = lambda array: (METAL, 0)
    mx.array.__dlpack__ = lambda array, **_: _as_metal(capsule(array))


def capsule(array) -> object:
    """The array's memory as what it is here: the CPU's."""
    return EXPORT["capsule"](array)


def _as_metal(exported) -> object:
    """The same capsule with another device in it: the field behind the pointer to the data."""
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    device = pointer(exported, CAPSULE) + ctypes.sizeof(ctypes.c_void_p)
    ctypes.c_int32.from_address(device).value = METAL
    return exported
