"""What pairs of several families share: batches, losses and makers, and mistakes written like a diff."""

import re

from pair_corpus import Mistake, Pair

MADE = """
def mlx_model(): return Mlx()
def torch_model(): return Torch()
"""

IMAGES = """
def batch(rng, size):
    x = rng.standard_normal((size, 8, 8, 3)).astype("float32")
    return x, rng.integers(0, 5, size, dtype="int32")
"""

CHANNELS_FIRST = """
def torch_layout(x, y): return np.ascontiguousarray(x.transpose(0, 3, 1, 2)), y
"""

CLASSES = """
def mlx_loss(model, x, y): return mnn.losses.cross_entropy(model(x), y, reduction="mean")
def torch_loss(model, x, y): return F.cross_entropy(model(x), y.long())
"""

CLASSIFIER = MADE + IMAGES + CHANNELS_FIRST + CLASSES  # of images in five classes

RESTORED = """
def batch(rng, size):
    x, y = rng.standard_normal((2, size, 8, 8, 3)).astype("float32")
    return x, y
def mlx_loss(model, x, y): return mnn.losses.mse_loss(model(x), y, reduction="mean")
def torch_loss(model, x, y): return F.mse_loss(model(x), y)
"""

IMAGE_TO_IMAGE = (
    MADE + CHANNELS_FIRST + RESTORED
)  # the PyTorch half gives channels last, as the target has them

VECTORS = """
def batch(rng, size):
    x = rng.standard_normal((size, 8)).astype("float32")
    return x, rng.standard_normal((size, 4)).astype("float32")
def mlx_loss(model, x, y): return mnn.losses.mse_loss(model(x), y, reduction="mean")
def torch_loss(model, x, y): return F.mse_loss(model(x), y)
"""

REGRESSION = MADE + VECTORS

MLP = """
class Mlx(mnn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = mnn.Linear(8, 16), mnn.Linear(16, 4)
    def __call__(self, x):
        return self.b(mnn.relu(self.a(x)))
class Torch(tnn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = tnn.Linear(8, 16), tnn.Linear(16, 4)
    def forward(self, x):
        return self.b(F.relu(self.a(x)))
"""


def pair(name: str, written: str, rest: str = "") -> Pair:
    """A pair out of a text that ends with its mistakes, and a shared fragment that follows the text.

    A mistake is a line `= name | pattern of the cause`, then lines `- old` and `+ new` of its changes;
    neighbouring lines of one sign are one part of several lines.
    """
    text, *planted = re.split(r"^= ", written, flags=re.MULTILINE)
    return Pair(name, text + rest, tuple(_mistake(each) for each in planted))


def _mistake(written: str) -> Mistake:
    title, *lines = written.rstrip("\n").split("\n")
    name, _, cause = title.partition(" | ")
    runs: list[list[str]] = []
    for line in lines:
        if not runs or runs[-1][0][0] != line[0]:
            runs.append([])
        runs[-1].append(line)
    parts = ["\n".join(line[2:] for line in run) for run in runs]
    return Mistake(name, tuple(zip(parts[::2], parts[1::2], strict=True)), cause)
