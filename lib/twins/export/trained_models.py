"""The four trained models of the pages on Core ML: trained once from real data, kept, given in both halves.

PyTorch trains, as on the pages on training (study.py, train.py); weights.py gives MLX the same weights. A
model lies in a folder of its own as safetensors, so that other pages and fresh processes read it.
https://github.com/huggingface/safetensors
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from twins.datasets import corpus, images, text_pairs
from twins.frameworks import BOTH, MLX, TORCH
from twins.models import weights
from twins.records.store import ROOT
from twins.timing import study, wording
from twins.timing.progress import tell
from twins.training import train

import mlx.nn as mnn  # isort: skip  (after frameworks: the BLAS)
import torch  # isort: skip

MODELS = ("transformer_lm", "bert", "resnet", "vit")
Arrays = tuple[np.ndarray, ...]
Predict = Callable[[Arrays], np.ndarray]


@dataclass(frozen=True)
class Size:
    """How large a model is and how long it trains: sizes, training steps of `batch` rows, held-out rows."""

    config: dict
    steps: int
    batch: int
    learning_rate: float
    held_out: int


SMALL = {
    "transformer_lm": Size({"context": 64, "width": 128, "layers": 4, "heads": 4}, 150, 8, 2e-3, 32),
    "bert": Size({"context": 8, "width": 96, "layers": 2, "heads": 4}, 400, 32, 1e-3, 300),
    "resnet": Size({"width": 16, "stages": 3, "blocks": 3, "projection": False}, 100, 16, 3e-3, 300),
    "vit": Size({"patch": 4, "width": 64, "layers": 4, "heads": 4}, 400, 16, 1e-3, 300),
}
TINY = {
    "transformer_lm": Size({"context": 16, "width": 64, "layers": 2, "heads": 2}, 30, 8, 5e-3, 8),
    "bert": Size({"context": 8, "width": 64, "layers": 2, "heads": 2}, 60, 16, 2e-3, 30),
    "resnet": Size({"width": 16, "stages": 2, "blocks": 1, "projection": True}, 40, 16, 3e-3, 30),
    "vit": Size({"patch": 4, "width": 48, "layers": 2, "heads": 2}, 60, 16, 3e-3, 30),
}
SHORTER = {"transformer_lm": (60, 16), "bert": (200, 100), "resnet": (50, 100), "vit": (150, 100)}
BRIEF = {name: replace(SMALL[name], steps=steps, held_out=rows) for name, (steps, rows) in SHORTER.items()}
SIZES = {"small": SMALL, "brief": BRIEF, "tiny": TINY}
VOCABULARY = dict.fromkeys(SIZES, 1024) | {"tiny": 300}  # tokens of the language model's byte-level BPE
SIDE = dict.fromkeys(SIZES, 16) | {"tiny": 8}  # pixels of the images


@dataclass(frozen=True)
class Material:
    """The data of a model: batches to train on and held-out ones, and the sizes that follow from the data."""

    batches: study.Batches
    held_out: study.Batches
    config: dict
    digest: str
    source: str


@dataclass(frozen=True)
class Trained:
    """A trained model in both frameworks, with equal weights and in evaluation mode.

    `inputs` names what it takes, `example` is one batch of it, `held_out` are batches of (*inputs, labels),
    all NumPy and every one of the example's shape. Images are (batch, height, width, channels), MLX's layout;
    `arranged` turns them into PyTorch's. `folder` holds study, weights and example for fresh processes.
    """

    name: str
    study: study.Study
    mlx: mnn.Module
    torch: torch.nn.Module
    inputs: tuple[str, ...]
    example: Arrays
    held_out: list[Arrays]
    metric: str
    source: str
    folder: Path
    size: str = "small"

    def arranged(self, arrays: Sequence[np.ndarray], framework: str) -> Arrays:
        """Inputs in the layout of "MLX" or "PyTorch", still NumPy."""
        return _arranged(self.study, arrays, framework)

    def predict(self, framework: str) -> Predict:
        """The half of "MLX" or "PyTorch" as a function from inputs in MLX's layout to logits, NumPy both."""
        return {"MLX": self._by_mlx, "PyTorch": self._by_torch}[framework]

    def _by_mlx(self, arrays: Arrays) -> np.ndarray:
        return MLX.numpy(self.mlx(*map(MLX.array, arrays)))

    def _by_torch(self, arrays: Arrays) -> np.ndarray:
        with torch.no_grad():
            return self.torch(*_tensors(self.arranged(arrays, "PyTorch"))).numpy()


INPUTS = {"transformer_lm": ("ids",), "bert": ("ids", "mask"), "resnet": ("images",), "vit": ("images",)}


def load(
    name: str, size: str = "small", folder: Path | None = None, batch: int = 1, seed: int = 0
) -> Trained:
    """A trained model by name, from its folder when it was trained before, else trained now.

    `size` is "small", "brief" (the same networks, trained for less long) or "tiny" (for tests). `batch` rows
    are in the example and in every held-out batch. `folder` (default: build/trained) keeps one folder per
    settings. Errors: ValueError for an unknown name or size.
    """
    for given, known, what in ((name, MODELS, "model"), (size, tuple(SIZES), "size")):
        if given not in known:
            raise ValueError(f"{what} {given!r} is not known; known are {', '.join(known)}")
    material, plan = MATERIAL[_task(name)](name, size, batch, seed), SIZES[size][name]
    twin = study.Study(name, plan.config | material.config, train.Recipe(plan.learning_rate), seed)
    example = material.held_out[0][:-1]
    settings = [name, asdict(twin), plan.steps, plan.batch, batch, material.digest]
    key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    kept = (folder or ROOT / "build" / "trained") / f"{name}-{size}-{key}"
    if not kept.exists():
        _keep(kept, twin, _fitted(twin, material), example)
    mlx, theirs = _halves(twin, kept)
    metric = "perplexity" if name == "transformer_lm" else "accuracy"
    inputs, held_out = INPUTS[name], list(material.held_out)
    told = metric, material.source, kept, size
    return Trained(name, twin, mlx, theirs, inputs, example, held_out, *told)


class WholeNumberMask(torch.nn.Module):
    """A PyTorch model of ids and mask whose mask is int32: Core ML has no truth values as inputs."""

    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.model = model

    def forward(self, ids, mask):
        return self.model(ids, mask != 0)


def half(folder: str, framework: str, plain: bool = False) -> tuple[mnn.Module | torch.nn.Module, list]:
    """One half kept in a folder and its example, in the framework's layout, as the input of a route.

    A PyTorch half that takes a mask gets it as integers unless `plain`.
    """
    told = json.loads((Path(folder) / "study.json").read_text())
    twin = study.Study(told["model"], told["config"], train.Recipe(**told["recipe"]), told["seed"])
    with np.load(Path(folder) / "example.npz") as file:
        example = _arranged(twin, [file[key] for key in file.files], framework)
    mlx, theirs = _halves(twin, Path(folder))
    if framework == "MLX":
        return mlx, [MLX.array(x) for x in example]
    if "mask" not in INPUTS[twin.name] or plain:
        return theirs, _tensors(example)
    ids, mask = _tensors(example)
    return WholeNumberMask(theirs).eval(), [ids, mask.int()]


def table(models: Sequence[Trained]) -> pd.DataFrame:
    """The result of training each model: its inputs, size, metric on held-out data, and that of guessing."""
    rows = []
    for each in models:
        value, total = score(each, each.predict("PyTorch"))
        weights_kib = (each.folder / "weights.safetensors").stat().st_size / 1024
        shapes = ", ".join(f"{n} {x.shape}" for n, x in zip(each.inputs, each.example, strict=True))
        row = {"model": wording.name(each.name), "inputs": shapes, "weights, KiB": weights_kib}
        row |= {"metric": each.metric}
        rows.append(row | {"value": value, "by guessing": guessed(each), "of": total})
    return pd.DataFrame(rows)


def guessed(trained: Trained) -> float:
    """The metric of a predictor that finds every class equally likely, or names the most frequent one."""
    labels = np.concatenate([arrays[-1].ravel() for arrays in trained.held_out])
    if trained.metric == "perplexity":
        return float(trained.study.config["vocabulary"])
    return float(np.bincount(labels).max() / labels.size)


def score(trained: Trained, predict: Predict) -> tuple[float, int]:
    """The metric of a predictor on held-out data, and over how many targets.

    `predict` takes a tuple of inputs (images in MLX's layout, NHWC) and gives logits (..., classes), both
    NumPy. Perplexity is exp of the mean cross-entropy in nats; accuracy is the share of labels named.
    """
    found = [(np.asarray(predict(arrays[:-1]), np.float64), arrays[-1]) for arrays in trained.held_out]
    total = sum(labels.size for _, labels in found)
    if trained.metric == "accuracy":
        return sum(int((logits.argmax(-1) == labels).sum()) for logits, labels in found) / total, total
    return float(np.exp(sum(_nats(logits, labels) for logits, labels in found) / total)), total


def _nats(logits: np.ndarray, labels: np.ndarray) -> float:
    """The sum of the labels' cross-entropies."""
    top = logits.max(-1, keepdims=True)
    whole = np.log(np.exp(logits - top).sum(-1)) + top[..., 0]
    return float((whole - np.take_along_axis(logits, labels[..., None], -1)[..., 0]).sum())


def _task(name: str) -> str:
    return "images" if name in ("resnet", "vit") else name


def _text(name: str, size: str, batch: int, seed: int) -> Material:
    """The standard library of Python, as on the page on language models."""
    plan = SIZES[size][name]
    context, text = plan.config["context"], corpus.load("stdlib", VOCABULARY[size])
    windows = corpus.batches(text.train, plan.batch, context, plan.steps, seed)
    tested = corpus.windows(text.valid, context, plan.held_out // batch * batch)
    tested = study.next_token(tested.reshape(-1, batch, context + 1))
    config = {"vocabulary": text.vocabulary}
    return Material(study.next_token(windows), tested, config, text.digest, text.source)


def _pairs(name: str, size: str, batch: int, seed: int) -> Material:
    """Sentence pairs with exact labels; held-out ones are padded to the context, a package's fixed length."""
    plan = SIZES[size][name]
    data = text_pairs.load("inference", plan.config["context"])
    rows = [_padded(each, plan.config["context"]) for each in text_pairs.whole(data.test, 1, plan.held_out)]
    config = {"vocabulary": data.vocabulary, "classes": len(data.classes)}
    batches = text_pairs.batches(data.train, plan.batch, plan.steps, seed)
    return Material(batches, _gathered(rows, batch), config, data.digest, data.source)


def _padded(arrays: Arrays, context: int) -> Arrays:
    ids, mask, labels = arrays
    more = [(0, 0), (0, 0), (0, context - ids.shape[2])]
    return np.pad(ids, more), np.pad(mask, more), labels


def _images(name: str, size: str, batch: int, seed: int) -> Material:
    """Handwritten digits, as on the page on vision."""
    plan, side = SIZES[size][name], SIDE[size]
    data = images.load("digits", side)
    config = {"size": side, "channels": data.train[0].shape[3], "classes": len(data.classes)}
    rows = images.held_out(data.test, 1, limit=plan.held_out)
    batches = images.batches(data, plan.batch, plan.steps, seed)
    return Material(batches, _gathered(rows, batch), config, data.digest, data.source)


MATERIAL = {"transformer_lm": _text, "bert": _pairs, "images": _images}


def _gathered(rows: Sequence[Arrays], batch: int) -> list[Arrays]:
    """Whole batches of single rows; a rest is left out, because every batch has the example's shape."""
    ends = range(batch, len(rows) + 1, batch)
    return [tuple(map(np.concatenate, zip(*rows[end - batch : end], strict=True))) for end in ends]


def _fitted(twin: study.Study, material: Material) -> torch.nn.Module:
    """PyTorch's half after training. Errors: FloatingPointError."""
    _, theirs = twin.halves()
    losses = train.fit(theirs, material.batches)
    if not np.isfinite(losses).all():
        raise FloatingPointError(f"{twin.name}: the loss is not finite; lower learning_rate")
    tell(f"{twin.name}: {len(losses)} steps, loss from {losses[0]:.3f} to {losses[-1]:.3f}")
    return theirs.model


def _keep(folder: Path, twin: study.Study, model: torch.nn.Module, example: Arrays) -> None:
    """Write study, weights and example; the folder appears whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent))
    weights.save(model, made / "weights.safetensors")
    (made / "study.json").write_text(json.dumps(asdict(twin)))
    np.savez(made / "example.npz", *example)
    if folder.exists():  # another process was faster, with the same weights
        shutil.rmtree(made)
    else:
        made.rename(folder)


def _halves(twin: study.Study, folder: Path) -> tuple[mnn.Module, torch.nn.Module]:
    """Both halves with the folder's weights, in evaluation mode; torch's on the CPU, where routes start."""
    module = train.named(twin.model)
    sizes = module.Config(**twin.config)
    ours, theirs = (train.half(module, sizes, twin.recipe, each) for each in BOTH)
    weights.load(theirs.model, folder / "weights.safetensors")
    weights.copy_to_mlx(theirs.model, ours.model, ours.names)
    return ours.model.eval(), theirs.model.to("cpu").eval()


def _arranged(twin: study.Study, arrays: Sequence[np.ndarray], framework: str) -> Arrays:
    turn = getattr(train.named(twin.model), "torch_layout", None)
    return turn(*arrays) if turn and framework == TORCH.name else tuple(arrays)


def _tensors(arrays: Sequence[np.ndarray]) -> list[torch.Tensor]:
    """Tensors with plain strides: one channel transposed has others, which coremltools refuses."""
    return [torch.empty(x.shape, dtype=torch.from_numpy(x).dtype).copy_(torch.from_numpy(x)) for x in arrays]
