"""Every architecture of mlx-lm as a stateful package, whose greedy tokens must be those of mlx-lm."""

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from mlx_coreml.coverage.cases import architectures
from mlx_coreml.coverage.cases.case import Case
from mlx_coreml.ir.errors import MISTAKES, ConversionError, told

GENERATION = "generation"
TOKENS, CONTEXT, PREFILL = 16, 48, 4
PROMPT = [7, 31, 2, 58, 14, 14, 3, 40, 9, 22, 51]  # two chunks and three tokens


def cases() -> Iterator[Case]:
    """One case per architecture of mlx-lm; those that cannot run here at all are crashes."""
    for name in architectures.names():
        yield Case(GENERATION, name, partial(architectures.build, name), {"tokens": architectures.TOKENS})


def generated(case: Case, precision: str) -> tuple[str, str, float, int]:
    """Verdict, reason, the largest rms-relative error of the logits, and operations of one decoding step.

    Right: all tokens after a prompt are those of mlx-lm. Refused: the export or its check says why not.
    """
    from mlx_coreml.language_models.check import agreement
    from mlx_coreml.language_models.stateful_package import Options, write

    try:
        model, _ = case.make()
    except MISTAKES as error:
        return "crash", f"MLX does not run the case: {told(error)}", float("nan"), 0
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder, "Model.mlpackage")
        try:
            write(model.eval(), package, Options(CONTEXT, PREFILL, precision=precision))
            found = agreement(model, package, TOKENS, PROMPT)
        except ConversionError as error:
            return "refused", told(error), float("nan"), 0
        except MISTAKES as error:
            return "crash", told(error), float("nan"), 0
        count = _operations(package)
    if found.passed:
        return "right", "", found.error, count
    return "refused", f"the check finds that {found}", found.error, count


def _operations(package: Path) -> int:
    from coremltools.models import MLModel

    function = MLModel(str(package), skip_model_load=True, function_name="decode").get_spec().mlProgram
    decode = function.functions["decode"]
    return len(decode.block_specializations[decode.opset].operations)
