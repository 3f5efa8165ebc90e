"""What is trained on what: the data of each twin, and batches that follow from the seed and the step alone.

So the order of the data needs no state: step n has the same batch on every rank, and after a resume.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from twins.datasets import corpus, images, text_pairs
from twins.models import bert, resnet, transformer_lm, vit
from twins.training import train
from twins.training.distributed.settings import Run
from twins.training.twin import Study

Batch = tuple[np.ndarray, ...]
BLOCK = 64  # steps whose batches of text pairs are drawn at once
HELD_OUT = 64  # examples in a batch of the evaluation after training
DEFAULTS: dict[str, dict] = {  # those of the pages of the report
    "transformer_lm": {
        "dataset": "stdlib",
        "vocabulary": 1024,
        "context": 64,
        "width": 128,
        "layers": 4,
        "heads": 4,
    },
    "bert": {"dataset": "beginnings", "vocabulary": 1024, "context": 64, "size": "tiny"},
    "vit": {"dataset": "digits", "size": 16, "patch": 4, "width": 64, "layers": 4, "heads": 4},
    "resnet": {"dataset": "digits", "size": 16, "width": 16, "stages": 3, "blocks": 3, "projection": False},
}


@dataclass(frozen=True, eq=False)
class Task:
    """A twin and its data: `draw` gives the global batch of a step, `held_out` is evaluated after training.

    `entropy` is the lowest loss there can be, in nats; None where it is unknown.
    """

    twin: Study
    dataset: str
    digest: str
    entropy: float | None
    draw: Callable[[int], Batch]
    held_out: Sequence[Batch]

    def data_digest(self) -> str:
        """SHA-256 of the data set's digest and the first batch."""
        sha = hashlib.sha256(self.digest.encode())
        for array in self.draw(0):
            sha.update(f"{array.dtype.str} {array.shape}".encode() + array.tobytes())
        return sha.hexdigest()


def seed_of(seed: int, step: int) -> int:
    """A seed for one step: 63 bits of a hash, so that no two steps or seeds share one."""
    return int.from_bytes(hashlib.sha256(f"{seed} {step}".encode()).digest()[:8], "big") >> 1


def task(run: Run) -> Task:
    """The task of a run. Errors: ValueError, one sentence, for an unknown model, size or data set."""
    if run.model.endswith(".py"):
        return _own(run, run.sizes)
    if run.model not in DEFAULTS:
        train.named(run.model)  # names the models there are
        raise ValueError(f"{run.model} has no data to train on; allowed: {', '.join(DEFAULTS)}")
    known = DEFAULTS[run.model]
    unknown = sorted(set(run.sizes) - set(known))
    if unknown:
        raise ValueError(f"SET names {', '.join(unknown)}; {run.model} takes {', '.join(known)}")
    return MAKERS[run.model](run, known | run.sizes)


def _made(run: Run, config, data, draw: Callable[[int], Batch], held_out: Sequence[Batch]) -> Task:
    sizes = config if isinstance(config, dict) else asdict(config)
    twin = Study(run.model, sizes, train.Recipe(run.learning_rate), run.seed)
    return Task(twin, data.name, data.digest, getattr(data, "entropy", None), draw, held_out)


def _language_model(run: Run, sizes: dict) -> Task:
    text = corpus.load(sizes["dataset"], sizes["vocabulary"])
    shape = (sizes[name] for name in ("context", "width", "layers", "heads"))
    config = transformer_lm.Config(text.vocabulary, *shape)

    def draw(step: int) -> Batch:
        (rows,) = corpus.batches(text.train, run.batch, config.context, 1, seed_of(run.seed, step))
        return rows[:, :-1], rows[:, 1:]

    rows = corpus.windows(text.valid, config.context, HELD_OUT)
    return _made(run, config, text, draw, [(rows[:, :-1], rows[:, 1:])])


def _text_pairs(run: Run, sizes: dict) -> Task:
    data = text_pairs.load(sizes["dataset"], sizes["context"], sizes["vocabulary"])
    config = bert.published(sizes["size"], data.vocabulary, sizes["context"], len(data.classes))

    @lru_cache(maxsize=1)  # drawing looks at every pair, whether for one batch or for many
    def block(number: int) -> list:
        return text_pairs.batches(data.train, run.batch, BLOCK, seed_of(run.seed, number))

    def draw(step: int) -> Batch:
        return block(step // BLOCK)[step % BLOCK]

    return _made(run, config, data, draw, text_pairs.whole(data.test, HELD_OUT, 16 * HELD_OUT))


def _images(make: Callable, run: Run, sizes: dict) -> Task:
    data = images.load(sizes["dataset"], sizes["size"])
    config = make(sizes, data.train[0].shape[3], len(data.classes))

    def draw(step: int) -> Batch:
        return images.batches(data, run.batch, 1, seed_of(run.seed, step))[0]

    return _made(run, config, data, draw, images.held_out(data.test, HELD_OUT))


def _vit(s: dict, channels: int, classes: int) -> vit.Config:
    return vit.Config(s["size"], s["patch"], channels, classes, s["width"], s["layers"], s["heads"])


def _resnet(s: dict, channels: int, classes: int) -> resnet.Config:
    return resnet.sized(s["size"], channels, classes, s["width"], s["stages"], s["blocks"], s["projection"])


def _own(run: Run, sizes: dict) -> Task:
    """A reader's own file: its `batch` draws the data."""
    if sizes:
        raise ValueError(f"SET names {', '.join(sizes)}; {Path(run.model).name} fixes its sizes itself")
    module = train.named(run.model)

    def draw(step: int) -> Batch:
        return module.example(module.Config(), np.random.default_rng(seed_of(run.seed, step)), run.batch)

    twin = Study(run.model, {}, train.Recipe(run.learning_rate), run.seed)
    return Task(twin, "batch()", "", None, draw, [draw(-1)])


MAKERS: dict[str, Callable[[Run, dict], Task]] = {
    "transformer_lm": _language_model,
    "bert": _text_pairs,
    "vit": partial(_images, _vit),
    "resnet": partial(_images, _resnet),
}
