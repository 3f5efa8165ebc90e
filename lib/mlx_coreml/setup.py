"""What pyproject.toml cannot say: in a checkout the check is done by the coreml_runtime beside this folder.

An sdist, and so the wheel that `python -m build` makes of it, names the published package instead.
"""

import sys
from pathlib import Path

from setuptools import setup

BESIDE = Path(__file__).resolve().parent.with_name("coreml_runtime")
IN_CHECKOUT = "sdist" not in sys.argv and (BESIDE / "pyproject.toml").exists()
RUNTIME = f"coreml-runtime @ {BESIDE.as_uri()}" if IN_CHECKOUT else "coreml-runtime>=0.1"

setup(
    script_name="setup.py",  # which keeps this file out of the wheel
    extras_require={
        "check": [RUNTIME],  # runs what was converted, with torch, and compares it with MLX
        "coverage": [RUNTIME, "mlx-lm>=0.32", "pandas>=2.2"],  # architectures that are converted; the table
        # convert(to="coreai"): Apple's authoring interface and interpreter; its PyTorch route, for comparison
        "coreai": ["coreai-core==1.0.0b3", "coreai-torch==0.4.3"],
        "llm": [RUNTIME, "mlx-lm>=0.32"],  # `mlx-coreml llm`
    },
)
