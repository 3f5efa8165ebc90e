"""Compares an asset with the half it was converted from, run by Core AI's interpreter.

https://pypi.org/project/coreai-core/ : off macOS the interpreter that the wheel carries, on macOS 27 Core AI.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from coreml_runtime.verification.comparison import compare
from coreml_runtime.verification.observation import as_numpy
from coreml_runtime.verification.report import Report

NAME = "Core AI interpreter"


def compared(model: Any, example: Sequence, asset: Path, framework: str, limit: float) -> Report:
    """The errors of an asset's outputs against a half of "MLX" or "PyTorch", on one example.

    Inputs and outputs are matched by order. Errors: RuntimeError where Core AI refuses the asset.
    """
    from mlx_coreml.backends.coreai.interpreter import Interpreter

    interpreter = Interpreter(asset)
    try:
        names = interpreter.input_types
        made = interpreter.predict({n: as_numpy(x) for n, x in zip(names, example, strict=True)})
    finally:
        interpreter.close()
    rows = [
        compare(NAME, name, [found], [expected], limit)
        for (name, found), expected in zip(made.items(), _outputs(model, example, framework), strict=True)
    ]
    return Report(str(asset), limit, tuple(rows))


def _outputs(model: Any, example: Sequence, framework: str) -> list[np.ndarray]:
    if framework == "MLX":
        made = model(*example)
    else:
        with torch.no_grad():
            made = model(*example)
    return [as_numpy(each) for each in (made if isinstance(made, tuple | list) else [made])]
