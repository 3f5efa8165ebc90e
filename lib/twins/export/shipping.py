"""What an app needs besides a small package: any length, a KV cache, images, several functions, metadata.

coremltools does most of it. This module adds a decoder with a cache made of a trained language model, its
loop, and tables that never show a package without its check.
https://apple.github.io/coremltools/docs-guides/source/stateful-models.html
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import coremltools as ct
import numpy as np
import pandas as pd
from coremltools.models.utils import MultiFunctionDescriptor, save_multifunction

from coreml_runtime import load
from coreml_runtime.verification.comparison import TOLERANCE, Report, compare, verify
from mlx_coreml.conversion.check import mlx_on_cpu
from twins.evidence.answers import frontier
from twins.export.compressors import quiet, unloaded
from twins.export.conversion_process import line_of
from twins.frameworks import mx  # not from mlx: the fast BLAS comes first
from twins.records.export_types import Compressed
from twins.timing import wording

import mlx.nn as mnn  # isort: skip  (after frameworks: the BLAS)
import torch  # isort: skip

PICTURE = 255  # the largest value of a pixel


class Cached(mnn.Module):
    """A trained transformer_lm that takes one token, its position and a cache, and gives logits and cache."""

    def __init__(self, model: mnn.Module):
        super().__init__()
        self.model = model

    def __call__(self, token, position, cache):
        model, kept = self.model, []
        x = model.tokens(token) + model.positions(position)  # (1, 1) -> (1, 1, C)
        for block, old in zip(model.blocks, cache, strict=True):
            y, new = _attend(block, block.norm1(x), old, position)
            x = x + y
            x = x + block.down(mnn.gelu(block.up(block.norm2(x))))
            kept.append(new)
        x = model.norm(x)
        logits = model.head(x) if "head" in model else model.tokens.as_linear(x)  # (1, 1, C) -> (1, 1, V)
        return logits, kept

    def empty(self) -> list[tuple[mx.array, mx.array]]:
        """A cache with nothing in it, as long as the context: two (1, H, T, D) per block."""
        length, width = self.model.positions.weight.shape
        heads = [block.heads for block in self.model.blocks]
        return [tuple(mx.zeros((1, h, length, width // h)) for _ in "kv") for h in heads]


def _attend(block: mnn.Module, x: mx.array, old: tuple, position: mx.array) -> tuple:
    """Attention of one token to what the cache holds up to its position."""
    B, T, C = x.shape
    qkv = block.qkv(x).reshape(B, T, 3, block.heads, -1)  # (B, T, C) -> (B, T, 3, H, D)
    q, k, v = qkv.transpose(2, 0, 3, 1, 4)  # 3 times (B, H, T, D)
    keys, values = (mx.slice_update(o, n, position, (2,)) for o, n in zip(old, (k, v), strict=True))
    seen = (mx.arange(keys.shape[2]) <= position)[None, None, None]
    scale = (C // block.heads) ** -0.5
    y = mx.fast.scaled_dot_product_attention(q, keys, values, scale=scale, mask=seen)
    return block.proj(y.transpose(0, 2, 1, 3).reshape(B, T, C)), (keys, values)


def first_token(decoder: Cached) -> tuple:
    """The example a decoder is converted with: a token, its position, an empty cache."""
    return mx.zeros((1, 1), mx.int32), mx.zeros((1,), mx.int32), decoder.empty()


def decoded(package: Path, model: mnn.Module, ids: np.ndarray, tolerance: float = 2e-2) -> Report:
    """A package with state, one token after another, against the whole model on all of them at once.

    `ids` is (1, T). The tolerance is that of a state, which is fp16 whatever the package computes in.
    """
    network = load(package)
    state, output = network.make_state(), next(iter(network.outputs))
    token, position = (name for name in network.inputs if network.inputs[name].kind != "state")
    found = []
    for i in range(ids.shape[1]):
        fed = {token: ids[:, i : i + 1].astype(np.int32), position: np.array([i], np.int32)}
        found.append(network.predict(fed, state)[output][:, 0])
    with mlx_on_cpu():
        wanted = np.array(model(mx.array(ids)))[0]
    row = compare("reference strict, decoding", output, [np.concatenate(found)], [wanted], tolerance)
    return Report(package.name, tolerance, (row,))


def saved(model: ct.models.MLModel, folder: Path, name: str) -> Path:
    """Write a package; where it lies."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.mlpackage"
    model.save(str(path))
    return path


def row(label: str, path: Path, line: str, function: str = "main") -> dict:
    """The inputs and outputs of a package, its size, and its verification."""
    found = load(path, function)
    return {
        "package": label,
        "inputs": ", ".join(map(str, found.inputs.values())),
        "outputs": ", ".join(map(str, found.outputs.values())),
        "KiB": kib(path),
        "check": line,
    }


def plain(folder: Path) -> ct.models.MLModel:
    """The uncompressed package in half precision that the frontier left in a folder."""
    return unloaded(folder / "float16.mlpackage")


def kib(package: Path) -> float:
    """The size of a package in KiB."""
    return sum(file.stat().st_size for file in package.rglob("*") if file.is_file()) / 1024


def sizes(models: Mapping[str, ct.models.MLModel], folder: Path, whole: ct.models.MLModel) -> str:
    """The size of some packages and of the uncompressed one, in a sentence; each is saved first."""
    small = {label: kib(saved(model, folder, f"smaller-{label}")) for label, model in models.items()}
    told = ", ".join(f"{label} {size:,.0f} KiB" for label, size in small.items())
    return f"Uncompressed {kib(Path(whole.package_path)):,.0f} KiB; {told}."


def checked(*tables: pd.DataFrame) -> str:
    """How many packages of some tables pass their check, in a sentence."""
    found = [line for each in tables for line in each["check"]]
    passed = sum(" passes: " in line for line in found)
    return f"{passed} of {len(found)} checks of these packages pass."


def best(records: Sequence[Compressed]) -> pd.DataFrame:
    """By model, the uncompressed package and those that no other is both smaller and better than."""
    kept: list[Compressed] = []
    for own in _by_model(records):
        line = [r for r in frontier.pareto(own) if r.family != frontier.UNCOMPRESSED]
        kept += [frontier.base(own), *reversed(line)]
    return points(records, kept)


def points(records: Sequence[Compressed], kept: Sequence[Compressed] | None = None) -> pd.DataFrame:
    """Every package, or those kept: size, held-out metric, error, and whether it is on the frontier."""
    rows = []
    line = [r for own in _by_model(records) for r in frontier.pareto(own)]
    whole = {own[0].model: frontier.base(own) for own in _by_model(records)}
    for r in records if kept is None else kept:
        row = {"model": wording.name(r.model), "compressed by": f"{r.family}, {r.setting}"}
        row |= {"KiB": r.size / 1024, "size": f"{r.size / whole[r.model].size:.0%}"}
        row |= {"metric": f"{r.metric} {r.value:.4g} (of {r.total:,})", "error": f"{r.error:.1e}"}
        rows.append(row | ({"frontier": "yes" if r in line else ""} if kept is None else {}))
    return pd.DataFrame(rows)


def _by_model(records: Sequence[Compressed]) -> list[list[Compressed]]:
    return [[r for r in records if r.model == model] for model in frontier.models(records)]


def lines(records: Sequence[Compressed]) -> pd.DataFrame:
    """The check of every compressed package."""
    rows = [(wording.name(r.model), f"{r.family}, {r.setting}", r.line) for r in records]
    return pd.DataFrame(rows, columns=["model", "compressed by", "check"])


def table(models: Mapping[str, ct.models.MLModel], folder: Path) -> pd.DataFrame:
    """A row per model that `convert` made and checked: saved, and read again."""
    rows = []
    for label, model in models.items():
        path = saved(model, folder, label.replace(" ", "-"))
        rows.append(row(label, path, model.user_defined_metadata["verified"]))
    return pd.DataFrame(rows)


def decoded_table(model: ct.models.MLModel, whole: mnn.Module, ids: np.ndarray, folder: Path) -> pd.DataFrame:
    """A decoder with state, saved: verified call by call, and its loop against the whole model."""
    path = saved(model, folder, "decoder")
    checked = row("each call, as MLX with its cache", path, model.user_defined_metadata["verified"])
    loop = row("the loop, as the whole model", path, str(decoded(path, whole, ids)))
    return pd.DataFrame([checked, loop])


class OfPixels(torch.nn.Module):
    """A PyTorch classifier that takes pixels from 0 to 255 and gives probabilities."""

    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.model = model

    def forward(self, image):
        return self.model(image / PICTURE).softmax(-1)


def picture(images: np.ndarray):
    """The first of some images (N, H, W, 1), from its least value to its greatest, as a grey PIL image."""
    from PIL import Image

    x = images[0, :, :, 0]
    shades = (x - x.min()) / max(float(np.ptp(x)), 1e-6) * PICTURE
    return Image.fromarray(shades.round().astype(np.uint8))


def classified(model: torch.nn.Module, package: Path, image) -> pd.DataFrame:
    """A classifier of pictures: its verification, and the likeliest labels of one picture."""
    pixels = torch.from_numpy(np.asarray(image, np.float32).copy())[None, None]
    network = load(package)
    (name,) = network.inputs
    with torch.no_grad():
        wanted = model(pixels).numpy()
    outputs = network.predict({name: image})
    probabilities = next(value for value in outputs.values() if isinstance(value, dict))
    found = np.array([list(probabilities.values())])
    each = compare("reference strict", "probabilities", [found], [wanted], TOLERANCE["fp16"])
    line = str(Report(package.name, TOLERANCE["fp16"], (each,)))
    label = next(value for value in outputs.values() if not isinstance(value, dict))
    told = {"named": str(label), "probability": float(found.max())}
    return pd.DataFrame([row("image to label", package, line) | told])


def together(packages: Mapping[str, Path], path: Path) -> Path:
    """One package of several, a function each; equal weights are stored once. iOS 18."""
    description = MultiFunctionDescriptor()
    for name, package in packages.items():
        description.add_function(str(package), "main", name)
    description.default_function_name = next(iter(packages))
    with quiet():
        save_multifunction(description, str(path))
    return path


def functions(
    package: Path, apart: Mapping[str, Path], model: mnn.Module, examples: Mapping[str, Sequence[mx.array]]
) -> pd.DataFrame:
    """The verification of every function of a package, and its size next to those of its parts."""
    rows = [row(name, path, _verified(path, model, examples[name])) for name, path in apart.items()]
    for name in apart:
        line = _verified(package, model, examples[name], name)
        rows.append(row(f"both, function {name}", package, line, name))
    return pd.DataFrame(rows)


def _verified(package: Path, model: mnn.Module, example: Sequence[mx.array], function: str = "main") -> str:
    inputs = dict(zip(load(package, function).inputs, example, strict=True))
    return line_of(verify(model, package, inputs, framework="mlx", function=function))


def sharing(frame: pd.DataFrame) -> str:
    """How the size of one package with all functions compares with the packages apart, in a sentence."""
    both = frame["package"].str.startswith("both")
    alone, one = frame.loc[~both, "KiB"].sum(), frame.loc[both, "KiB"].iloc[0]
    return (
        f"Separately they take {alone:,.0f} KiB, in one package {one:,.0f} KiB: {one / alone:.0%} of the sum."
    )


def words(package: Path) -> pd.DataFrame:
    """The metadata of a saved package, read from its specification."""
    description = ct.models.MLModel(str(package), skip_model_load=True).get_spec().description
    told, rows = description.metadata, []
    for label in ("author", "license", "versionString", "shortDescription"):
        rows.append({"field": label, "says": getattr(told, label)})
    for kind, features in (("input", description.input), ("output", description.output)):
        rows += [{"field": f"{kind} {each.name}", "says": each.shortDescription} for each in features]
    rows += [{"field": key, "says": value} for key, value in sorted(told.userDefined.items())]
    return pd.DataFrame(rows)
