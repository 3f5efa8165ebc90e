"""The steps of the routes to Core AI: from MLX by this project's converter, from PyTorch by Apple's.

coreai-torch follows https://pypi.org/project/coreai-torch/; both packages are betas and optional, and are
imported only when a step needs them.
"""

import copy
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch

from twins.export.steps.job import Job

ASSET = "network.aimodel"


def mlx_to_core_ai(job: Job, _: None) -> Any:
    """Capture, clean up and translate the MLX module to Core AI in one call."""
    from mlx_coreml.conversion.convert import convert

    return convert(job.model, *job.example, precision=job.precision, check=False, to="coreai")


def export_typed(job: Job, _: None) -> torch.export.ExportedProgram:
    """Capture the whole graph, of a copy in half precision where that is asked for."""
    model, example = job.model, tuple(job.example)
    if job.precision == "float16":
        model = copy.deepcopy(model).half()
        example = tuple(x.half() if x.is_floating_point() else x for x in example)
    with torch.no_grad():
        return torch.export.export(model.eval(), example)


def decompose_for_core_ai(job: Job, program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """Write the graph in the operations that coreai-torch knows."""
    import coreai_torch

    return program.run_decompositions(coreai_torch.get_decomp_table())


def torch_to_core_ai(job: Job, program: torch.export.ExportedProgram) -> Any:
    """Translate the graph to Core AI by Apple's converter."""
    import coreai_torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that a local build of torch has a longer version
        return coreai_torch.TorchConverter().add_exported_program(program).to_coreai()


def save_asset(job: Job, model: Any) -> Path:
    """Write the asset for OS 27."""
    path = job.folder / ASSET
    shutil.rmtree(path, ignore_errors=True)
    (model.save if hasattr(model, "save") else model.save_asset)(path)
    return path


def described(value: Any) -> str:
    """The result of a step to Core AI in words; empty for another step's."""
    if isinstance(value, Path) and value.name == ASSET:
        return f"asset, {size(value) / 1024:,.0f} KiB"
    if type(value).__name__ in ("CoreAIModel", "AIProgram"):
        return "Core AI program"
    return ""


def size(asset: Path) -> int:
    """The bytes of an asset on disk."""
    return sum(file.stat().st_size for file in asset.rglob("*") if file.is_file())
