"""With TWINS_PRETEND_MAC set and this folder on PYTHONPATH, this Python takes a Linux machine for a Mac.

Python imports a module of this name when it starts, so child processes and the kernels of notebooks pretend
too. Each part is put in place when the module it changes is imported. ../README.md says what the pretence can
and cannot show.
"""

import importlib.abc
import importlib.util
import os
import sys


class _Loader(importlib.abc.Loader):
    """Loads a module and then changes it."""

    def __init__(self, loader, change):
        self.loader, self.change = loader, change

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        self.loader.exec_module(module)
        self.change(module)

    def __getattr__(self, name):  # resources and sources, as the module's own loader gives them
        return getattr(self.loader, name)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds a module that is to be changed as everybody else does."""

    def find_spec(self, name, path, target=None):
        if name not in CHANGES:
            return None
        others = (each for each in sys.meta_path if each is not self and hasattr(each, "find_spec"))
        spec = next((found for each in others if (found := each.find_spec(name, path, target))), None)
        if spec:
            spec.loader = _Loader(spec.loader, CHANGES[name])
        return spec


def _torch(module):
    import mps

    mps.install(module, allocates=os.environ.get("TWINS_PRETEND_MPS") != "broken")


def _mlx(module):
    import metal

    metal.install(module)


def _macos(module):
    import darwin

    library = darwin.Library()
    module._library = lambda: library


def _coremltools(module):
    import darwin

    darwin.core_ml(module)


CHANGES = {
    "torch": _torch,
    "mlx.core": _mlx,
    "twins.machine.macos": _macos,
    "coremltools.models.model": _coremltools,
}

if os.environ.get("TWINS_PRETEND_MAC"):
    import darwin

    darwin.system()
    sys.meta_path.insert(0, _Finder())
