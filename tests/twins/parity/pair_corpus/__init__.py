"""Pairs as readers bring them: correct ones of many kinds, and each with mistakes planted one at a time.

One file per family; each ends with PAIRS, which `pairs()` collects. A pair is the text of a reader's file
without its imports, which are HEAD; a mistake replaces parts of that text.
"""

import importlib
import pkgutil
from dataclasses import dataclass
from pathlib import Path

HEAD = """
import math
import mlx.core as mx
import mlx.nn as mnn
import mlx.optimizers as mo
import numpy as np
import torch
from torch import nn as tnn
from torch.nn import functional as F
"""


@dataclass(frozen=True)
class Mistake:
    """Parts of a pair's text replaced, old by new; a pattern that the sentence of the right cause matches.

    An empty pattern: no single change on one side mends it, so that only the place is to be told.
    """

    name: str
    changes: tuple[tuple[str, str], ...]
    cause: str


@dataclass(frozen=True)
class Pair:
    """The text of a correct pair, and mistakes in it."""

    name: str
    text: str
    mistakes: tuple[Mistake, ...] = ()

    def written(self, folder: Path, mistake: Mistake | None = None) -> Path:
        """The pair as a reader's file in `folder`, with a mistake in it if one is given.

        Errors: ValueError when a part to be replaced is not in the text exactly once.
        """
        text = self.text
        for old, new in mistake.changes if mistake else ():
            if text.count(old) != 1:
                raise ValueError(f"{self.name}: {old!r} is in the text {text.count(old)} times")
            text = text.replace(old, new)
        path = folder / "mine.py"
        path.write_text(HEAD + text)
        return path


def pairs() -> list[Pair]:
    """Every pair of every family."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    families = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return [pair for family in families for pair in getattr(family, "PAIRS", ())]
