"""A converted model as Core AI stores it: an `.aimodel` folder with the program, its weights and metadata."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import coreai.authoring as ca
import numpy as np

from mlx_coreml.backends.coreai.interpreter import SUFFIX, Interpreter
from mlx_coreml.backends.coreai.native_output import kept
from mlx_coreml.backends.coreai.program import told
from mlx_coreml.ir.errors import ConversionError

FIELDS = {"author": "author", "license": "license", "short_description": "model_description"}


class CoreAIModel:
    """What `convert(..., to="coreai")` gives: `.save("Network.aimodel")`, `.predict({"x": array})`.

    `package_path` is the asset in a temporary folder, `metadata` what is written into it, by key.
    """

    def __init__(self, program: ca.AIProgram):
        self._folder = tempfile.TemporaryDirectory(prefix="mlx_coreml_")
        self.package_path = Path(self._folder.name, f"model{SUFFIX}")
        self.metadata: dict[str, str] = {}
        with kept() as said:
            try:
                self._asset = program.save_asset(self.package_path)
            except RuntimeError as error:
                cause = told(error.__cause__ or error)
                raise ConversionError(f"Core AI does not save the program: {said() or cause}") from error

    def describe(self, metadata: Mapping[str, object]) -> None:
        """Add metadata: author, license, short_description, and anything else as custom entries."""
        added = {str(key): str(value) for key, value in metadata.items()}
        self.metadata |= added

        def write(written) -> None:
            for key, text in added.items():
                if key in FIELDS:
                    setattr(written, FIELDS[key], text)
                else:
                    written.set_custom(key, text)

        self._asset.update_metadata(write)

    def save(self, path: str | Path) -> Path:
        """Write the asset, in place of one that is there. Errors: ConversionError for another ending."""
        path = Path(path)
        if path.suffix != SUFFIX:
            raise ConversionError(f"the output is '{path}'; its name must end with {SUFFIX}")
        if path.is_dir():
            shutil.rmtree(path)
        return Path(shutil.copytree(self.package_path, path))

    def ends(self) -> dict[str, dict[str, str]]:
        """Inputs and outputs with type and shape."""
        model = Interpreter(self.package_path)
        try:
            return model.ends()
        finally:
            model.close()

    def predict(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs by name for inputs by name."""
        model = Interpreter(self.package_path)
        try:
            return model.predict(inputs)
        finally:
            model.close()
