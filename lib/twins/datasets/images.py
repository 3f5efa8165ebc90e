"""Images with labels as arrays: handwritten digits without a download, CIFAR-10 and Fashion-MNIST after one.

The digits are the 8 x 8 ones of scikit-learn, from Alpaydin and Kaynak 1998
(https://archive.ics.uci.edu/dataset/80). Images are NHWC, resized, and standardised by the mean and the
standard deviation of the train split. Batches are augmented in NumPy, once, so both halves of a twin get the
same numbers. Noise is part of it: in a flat image the inputs of a max-pooling tie, and a gradient then has
several right values.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from twins.datasets import download, markov

SPLITS = ("train", "valid", "test")
DIGITS_SPLITS = (0.7, 0.8)  # ends of train and valid, as shares
VALID = 5000  # of the downloaded sets, from the end of their training images
CLOTHES = ("T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
THINGS = ("aeroplane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "lorry")

Split = tuple[np.ndarray, np.ndarray]  # images (n, height, width, channels), labels (n,) int32
Batches = list[Split]


@dataclass(frozen=True, eq=False)
class Images:
    """One data set at one size, and what a record must say about it.

    train, valid, test: images (n, size, size, channels) float32 with labels (n,) int32. mirrored: whether an
    image's mirror image is of the same class. digest: SHA-256 of the pixels and labels before resizing.
    source: one sentence.
    """

    name: str
    train: Split
    valid: Split
    test: Split
    classes: tuple[str, ...]
    mirrored: bool
    digest: str
    source: str


@dataclass(frozen=True)
class _Raw:
    """A data set as downloaded: values from 0 to `top`."""

    splits: dict[str, Split]
    top: int
    classes: tuple[str, ...]
    mirrored: bool
    source: str


def load(dataset: str, size: int) -> Images:
    """A data set by name, its images resized to size x size: "digits", "cifar10" or "fashion_mnist".

    Errors: ValueError for an unknown name or size, download.DownloadError when a file cannot be had.
    """
    if dataset not in SETS:
        raise ValueError(f"no data set is called {dataset!r}; known: {', '.join(SETS)}")
    if size < 1:
        raise ValueError(f"images of {size} x {size} pixels hold nothing; allowed is 1 or more")
    raw = SETS[dataset]()
    sha = hashlib.sha256()
    for images, labels in (raw.splits[name] for name in SPLITS):
        sha.update(images.tobytes() + labels.tobytes())
    resized = {k: (resize(x.astype(np.float32) / raw.top, size), y) for k, (x, y) in raw.splits.items()}
    mean, deviation = (f(resized["train"][0], axis=(0, 1, 2)) for f in (np.mean, np.std))
    splits = {k: ((x - mean) / deviation, y) for k, (x, y) in resized.items()}
    return Images(dataset, **splits, **_told(raw, size), digest=sha.hexdigest())


def _told(raw: _Raw, size: int) -> dict:
    count = sum(len(labels) for _, labels in raw.splits.values())
    source = f"{raw.source}, {count:,} images in {len(raw.classes)} classes, resized to {size} × {size}."
    return {"classes": raw.classes, "mirrored": raw.mirrored, "source": source}


def resize(images: np.ndarray, size: int) -> np.ndarray:
    """Bilinear, pixel centres at halves: (n, height, width, channels) -> (n, size, size, channels)."""
    rows, columns = (_weights(old, size) for old in images.shape[1:3])
    return np.einsum("ih,nhwc,jw->nijc", rows, images, columns, optimize=True).astype(np.float32)


def _weights(old: int, new: int) -> np.ndarray:
    """What each of `new` pixels takes from each of `old`: (new, old)."""
    at = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(old)))


def batches(data: Images, batch: int, steps: int, seed: int, shift: int = 1, noise: float = 0.1) -> Batches:
    """Random training batches: shifted by up to `shift` pixels, mirrored where that is right, with noise.

    `noise` is in standard deviations of the pixels. Errors: ValueError when a batch has more images than the
    train split.
    """
    images, labels = data.train
    if not 1 <= batch <= len(images):
        raise ValueError(
            f"a batch of {batch} images is not within the 1 to {len(images)} there are to train on"
        )
    rng = np.random.default_rng(seed)
    picks = [rng.choice(len(images), batch, replace=False) for _ in range(steps)]
    return [(_augmented(images[rows], rng, shift, noise, data.mirrored), labels[rows]) for rows in picks]


def _augmented(x: np.ndarray, rng: np.random.Generator, shift: int, noise: float, mirror: bool) -> np.ndarray:
    size = x.shape[1]
    padded = np.pad(x, [(0, 0), (shift, shift), (shift, shift), (0, 0)], mode="edge")
    corners = rng.integers(0, 2 * shift + 1, (len(x), 2))
    x = np.stack([image[i : i + size, j : j + size] for image, (i, j) in zip(padded, corners, strict=True)])
    if mirror:
        x = np.where(rng.random((len(x), 1, 1, 1)) < 0.5, x[:, :, ::-1], x)
    return x + noise * rng.standard_normal(x.shape, dtype=np.float32)


def held_out(split: Split, batch: int, noise: float = 0.1, limit: int | None = None) -> Batches:
    """A split, or its first `limit` images, in order and in batches, with the same noise every time."""
    images, labels = (part[:limit] for part in split)
    rng = np.random.default_rng(0)
    images = images + noise * rng.standard_normal(images.shape, dtype=np.float32)
    return [(images[at : at + batch], labels[at : at + batch]) for at in range(0, len(images), batch)]


def _digits() -> _Raw:
    from sklearn.datasets import load_digits  # seconds, which every worker of a text model would pay

    found = load_digits()
    images, labels = found.images[..., None].astype(np.uint8), found.target.astype(np.int32)
    order = np.argsort(markov.splitmix64(0, len(labels)))  # the same shuffle with every NumPy
    cuts = [int(share * len(labels)) for share in DIGITS_SPLITS]
    parts = np.split(order, cuts)
    splits = {name: (images[rows], labels[rows]) for name, rows in zip(SPLITS, parts, strict=True)}
    return _Raw(splits, 16, tuple(map(str, range(10))), False, "Handwritten digits of scikit-learn")


def _cifar10() -> _Raw:
    rows = [np.frombuffer(file, np.uint8).reshape(-1, 1 + 3 * 32 * 32) for file in download.read("cifar10")]
    train, test = np.concatenate(rows[:-1]), rows[-1]
    parts = (train[:-VALID], train[-VALID:], test)
    splits = {
        name: (part[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), part[:, 0].astype(np.int32))
        for name, part in zip(SPLITS, parts, strict=True)
    }
    return _Raw(splits, 255, THINGS, True, "CIFAR-10")


def _fashion_mnist() -> _Raw:
    train, test = (
        (
            _idx(f"fashion_mnist_{kind}_images")[..., None],
            _idx(f"fashion_mnist_{kind}_labels").astype(np.int32),
        )
        for kind in ("train", "test")
    )
    parts = tuple(part[:-VALID] for part in train), tuple(part[-VALID:] for part in train), test
    return _Raw(dict(zip(SPLITS, parts, strict=True)), 255, CLOTHES, True, "Fashion-MNIST")


def _idx(name: str) -> np.ndarray:
    """An array of bytes from its IDX file: two zeros, type, rank, sizes, values (LeCun's MNIST format)."""
    (content,) = download.read(name)
    rank = content[3]
    sizes = np.frombuffer(content, ">i4", rank, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(sizes)


SETS: dict[str, Callable[[], _Raw]] = {
    "digits": _digits,
    "cifar10": _cifar10,
    "fashion_mnist": _fashion_mnist,
}
