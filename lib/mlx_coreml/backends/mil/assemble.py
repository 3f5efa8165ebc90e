"""Makes a Core ML model of a MIL program: coremltools' remaining passes, the format, the metadata.

https://apple.github.io/coremltools/docs-guides/source/graph-passes-intro.html
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from unittest import mock

import coremltools as ct
from coremltools.converters.mil import mil
from coremltools.converters.mil.backend.nn import op_mapping
from coremltools.converters.mil.mil.passes import pass_pipeline

from mlx_coreml.ir.errors import ConversionError, dictionary

# coremltools validates the whole program after each of its 92 passes: few passes are fast ones.
PASSES = [
    "common::cast_optimization",  # around fp32 islands
    "common::noop_elimination",
    "common::const_elimination",
    "common::const_deduplication",
    "common::remove_redundant_ops",
    "common::dedup_op_and_var_names",
    "common::dead_code_elimination",
]
FIELDS = ("author", "license", "version", "short_description")


def target_named(name: str) -> ct.target:
    """The deployment target of a name, iOS17 or macOS14. Errors: ConversionError lists those known."""
    known = ct.target.__members__
    if not isinstance(name, str) or name not in known:
        raise ConversionError(f"deployment target {name!r} is not known; known are {', '.join(known)}")
    return known[name]


def is_program(target: ct.target) -> bool:
    """Whether a target reads ML Programs; those before iOS 15 read neural networks (`.mlmodel`) only."""
    return target >= ct.target.iOS15


def assemble(program: mil.Program, target: ct.target) -> ct.models.MLModel:
    """The model of a program whose types are final. Errors: ConversionError.

    The older neural-network format has no types and fewer operations: all of coremltools' passes run for it.
    """
    options = {"convert_to": "neuralnetwork"}
    if is_program(target):
        options = {"convert_to": "mlprogram", "pass_pipeline": ct.PassPipeline(PASSES, "mlx_coreml")}
        options["compute_precision"] = ct.precision.FLOAT32  # coremltools changes no type
    try:
        with _quiet():
            return ct.convert(program, minimum_deployment_target=target, skip_model_load=True, **options)
    except (ValueError, NotImplementedError, RuntimeError, KeyError) as error:
        told = " ".join(str(error).split())
        form = "ML Program" if is_program(target) else "neural network (ML Programs: iOS15 and later)"
        raise ConversionError(f"{target.name} cannot express this model as {form}: {told}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences coremltools' progress bars and log inside the block."""
    logger = logging.getLogger("coremltools")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with (
            mock.patch.object(pass_pipeline, "tqdm", lambda passes, **_: passes),
            mock.patch.object(op_mapping, "_tqdm", lambda operations, **_: operations),
        ):
            yield
    finally:
        logger.setLevel(level)


def describe(model: ct.models.MLModel, metadata: Mapping) -> None:
    """Write metadata: FIELDS, `inputs` and `outputs` (descriptions by name), anything else as user-defined.

    Errors: ConversionError for a description of an input or output that does not exist.
    """
    for key, value in dictionary(metadata, "metadata").items():
        if not isinstance(key, str):
            raise ConversionError(f"metadata has key {key!r}; allowed are texts")
        if key in FIELDS:
            setattr(model, key, str(value))
        elif key in ("inputs", "outputs"):
            description = model.input_description if key == "inputs" else model.output_description
            _describe_features(description, key, value)
        else:
            model.user_defined_metadata[key] = str(value)


def _describe_features(description, key: str, texts: Mapping[str, str]) -> None:
    known = list(description)
    for name, text in dictionary(texts, f"metadata['{key}']").items():
        if name not in known:
            raise ConversionError(f"metadata describes {key[:-1]} '{name}'; the model has {', '.join(known)}")
        description[name] = str(text)
