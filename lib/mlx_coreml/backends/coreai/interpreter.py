"""Runs a saved asset: off macOS by the interpreter that Apple's wheel carries, on macOS 27 by the system.

Calls of Core AI are coroutines; they run in one thread of their own, so that they also run in a notebook.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import numpy as np
from coreai.authoring import AIModelAsset
from coreai.runtime import NDArray

from mlx_coreml.backends.coreai.native_output import kept

SUFFIX = ".aimodel"


class Interpreter:
    """A loaded asset that predicts.

    `function` is Core AI's, `input_types` and `output_names` are its ends, in order. Errors: RuntimeError
    where Core AI refuses the asset or a call.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._stack = AsyncExitStack()
        with kept() as said:
            try:
                self.function = _result(self._load())
            except (RuntimeError, ValueError, KeyError) as error:
                raise RuntimeError(f"Core AI does not load {self.path.name}: {said() or error}") from error
        about = self.function.desc
        self.input_types = {name: np.dtype(about.input_descriptor(name).dtype) for name in about.input_names}
        self.output_names = list(about.output_names)

    async def _load(self) -> Any:
        model = await self._stack.enter_async_context(AIModelAsset.load(self.path).executable())
        return model.load_function("main")

    def predict(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs by name for inputs by name, which are cast to the types of the asset."""
        given = {
            name: NDArray(np.ascontiguousarray(np.atleast_1d(inputs[name]).astype(kind)))
            for name, kind in self.input_types.items()
        }
        with kept() as said:
            try:
                made = _result(self.function(given))
            except (RuntimeError, ValueError) as error:
                raise RuntimeError(f"Core AI does not run {self.path.name}: {said() or error}") from error
        return {name: made[name].numpy().copy() for name in self.output_names}

    def ends(self) -> dict[str, dict[str, str]]:
        """Inputs and outputs with type and shape, by "inputs" and "outputs" and by name."""
        about = self.function.desc
        inputs = {name: about.input_descriptor(name) for name in about.input_names}
        outputs = {name: about.output_descriptor(name) for name in about.output_names}
        return {
            side: {name: f"{end.dtype}{list(end.shape)}" for name, end in ends.items()}
            for side, ends in (("inputs", inputs), ("outputs", outputs))
        }

    def close(self) -> None:
        """Give up what Core AI holds for the asset."""
        _result(self._stack.aclose())


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="coreai", daemon=True).start()
    return loop


def _result(coroutine: Coroutine) -> Any:
    return asyncio.run_coroutine_threadsafe(coroutine, _loop()).result()
