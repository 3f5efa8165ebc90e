"""The contents of a saved package, read from its specification without running it.

https://apple.github.io/coremltools/mlmodel/Format/MIL.html
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from coreml_runtime.format.dtypes import makes_fp16
from coreml_runtime.format.features import Feature, read_features
from coreml_runtime.format.package import description_of, every_operation, open_package


@dataclass(frozen=True)
class Contents:
    """What a package holds, and the operations (without constants), inputs and outputs of one function.

    `size` is in bytes on disk. `uses_fp16` tells whether any operation has a result in fp16.
    """

    size: int
    specification_version: int
    functions: tuple[str, ...]
    operations: Counter[str]
    inputs: tuple[Feature, ...]
    outputs: tuple[Feature, ...]
    uses_fp16: bool

    @property
    def count(self) -> int:
        """The number of operations."""
        return self.operations.total()

    def __str__(self) -> str:
        precision = "fp16" if self.uses_fp16 else "fp32"
        version = self.specification_version
        lines = [f"specification version {version}, {self.size:,} bytes, computes in {precision}"]
        lines += [f"functions: {', '.join(self.functions)}"]
        for label, features in (("inputs", self.inputs), ("outputs", self.outputs)):
            lines += [f"{label}: {', '.join(map(str, features)) or 'none'}"]
        names = ", ".join(f"{name} ({count})" for name, count in self.operations.most_common())
        return "\n".join([*lines, f"{self.count} operations: {names}"])


def inspect(path: str | Path, function: str = "main") -> Contents:
    """Read what a package holds, without torch; FileNotFoundError or ValueError as `load` raises them."""
    package = open_package(path)
    program = package.function(function)
    block = program.block_specializations[program.opset]
    declared = description_of(package.specification.description, function)
    return Contents(
        size=sum(file.stat().st_size for file in Path(path).rglob("*") if file.is_file()),
        specification_version=package.specification.specificationVersion,
        functions=tuple(sorted(package.specification.mlProgram.functions)),
        operations=Counter(each.type for each in every_operation(block) if each.type != "const"),
        inputs=tuple(read_features(declared.input).values()),
        outputs=tuple(read_features(declared.output).values()),
        uses_fp16=makes_fp16(every_operation(block)),
    )
