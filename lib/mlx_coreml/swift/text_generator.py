"""A Swift package for a language model of `mlx-coreml llm`: streams text, by swift-transformers' tokenizer.

It reads the model and the tokenizer's files from the folder above it, which holds gigabytes, so that nothing
is stored twice. https://github.com/huggingface/swift-transformers
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from mlx_coreml.swift.swift_package import TEMPLATES, filled
from mlx_coreml.swift.swift_ports import type_name

FOLDER = "Swift"


def write_generator(folder: Path, package: str, prompt: Sequence[int], tokens: Sequence[int]) -> Path:
    """Write folder/Swift for folder/<package>.mlpackage, and give its path back.

    `tokens` are those that the reference runtime generates after `prompt`: its test compares Core ML's.
    """
    words = {"NAME": type_name(f"{package}Text"), "PACKAGE": package}
    name, target = words["NAME"], folder / FOLDER
    files = {
        "Package.swift": "Package.swift",
        f"Sources/{name}/TextGenerator.swift": "TextGenerator.swift",
        "Sources/Generate/Generate.swift": "Generate.swift",
        f"Tests/{name}Tests/GreedyTests.swift": "Tests.swift",
    }
    shutil.rmtree(target, ignore_errors=True)
    for place, template in files.items():
        text = (TEMPLATES / "language_model" / template).read_text()
        _write(target / place, filled(text, words))
    example = {"prompt": list(prompt), "tokens": list(tokens)}
    _write(target / f"Tests/{name}Tests/Resources/example.json", json.dumps(example))
    return target


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
