"""What pyproject.toml cannot say: in a checkout the check is the coreml_runtime beside this folder."""

from pathlib import Path

from setuptools import setup

BESIDE = Path(__file__).resolve().parent.with_name("coreml_runtime")
RUNTIME = (
    f"coreml-runtime @ {BESIDE.as_uri()}" if (BESIDE / "pyproject.toml").exists() else "coreml-runtime>=0.1"
)

setup(
    extras_require={
        "check": [RUNTIME],  # runs what was converted, with torch, and compares it with MLX
        "coverage": [RUNTIME, "mlx-lm>=0.32", "pandas>=2.2"],  # architectures that are converted; the table
    }
)
