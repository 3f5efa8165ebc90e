"""What a saved package holds, read from its specification: operations, bytes, inputs, outputs, precision.

https://apple.github.io/coremltools/mlmodel/Format/MIL.html
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from coreml_runtime.format.dtypes import tensor_type
from coreml_runtime.format.features import Feature, read_features
from coreml_runtime.format.package import described, every_operation, open_package


@dataclass(frozen=True)
class Contents:
    """A package: bytes on disk, its functions, and of one of them the operations (constants left out), inputs
    and outputs. `halves` says whether an operation results in fp16, `version` is that of the specification.
    """

    size: int
    version: int
    functions: tuple[str, ...]
    operations: Counter[str]
    inputs: tuple[Feature, ...]
    outputs: tuple[Feature, ...]
    halves: bool

    @property
    def count(self) -> int:
        """How many operations there are."""
        return self.operations.total()

    def __str__(self) -> str:
        lines = [f"specification {self.version}, {self.size:,} bytes, fp{16 if self.halves else 32}"]
        lines += [f"functions: {', '.join(self.functions)}"]
        for label, features in (("inputs", self.inputs), ("outputs", self.outputs)):
            lines += [f"{label}: {', '.join(map(str, features)) or 'none'}"]
        names = ", ".join(f"{name} ({count})" for name, count in self.operations.most_common())
        return "\n".join([*lines, f"{self.count} operations: {names}"])


def inspect(path: str | Path, function: str = "main") -> Contents:
    """What a package holds; torch is not loaded. Errors: ValueError and FileNotFoundError, as `load` has."""
    package = open_package(path)
    functions = package.specification.mlProgram.functions
    if function not in functions:
        raise ValueError(f"{path} has no function '{function}'; it has {', '.join(sorted(functions))}")
    program = functions[function]
    block = program.block_specializations[program.opset]
    results = [tensor_type(result.type) for each in every_operation(block) for result in each.outputs]
    declared = described(package.specification.description, function)
    return Contents(
        size=sum(file.stat().st_size for file in Path(path).rglob("*") if file.is_file()),
        version=package.specification.specificationVersion,
        functions=tuple(sorted(functions)),
        operations=Counter(each.type for each in every_operation(block) if each.type != "const"),
        inputs=tuple(read_features(declared.input).values()),
        outputs=tuple(read_features(declared.output).values()),
        halves=any(kind is not None and kind.dtype.name == "FLOAT16" for kind in results),
    )
